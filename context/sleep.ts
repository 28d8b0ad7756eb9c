/** Waiting for a time. */

import type { Context } from "./context.ts";
import { deadlines, type QueuedDeadline } from "./deadline_queue.ts";
import { assertContext, type Ending, Node, type Watch } from "./tree.ts";

/**
 * Waits. The process is kept alive meanwhile, as by `setTimeout`, and nothing is
 * left behind on `ctx` whichever comes first. Waits that are over in the same ms
 * end in the order in which they began.
 *
 * @param ctx What ends the wait early.
 * @param ms How long, in ms, of any size; `Infinity` waits for the end of `ctx`.
 * Zero or less waits for the event loop to turn.
 * @returns A promise that resolves after `ms`, or rejects with `ctx.err` once
 * `ctx` is done.
 * @throws {TypeError} If `ctx` is not a context, or `ms` not a number.
 * @throws {RangeError} If `ms` is NaN.
 *
 * @example
 * ```ts
 * import { background, sleep, withTimeout } from "@curfew/context";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await sleep(background(), 1);
 *
 * using ctx = withTimeout(background(), 1);
 * const error = await assertRejects(() => sleep(ctx, 60_000));
 * assertEquals(error, ctx.err);
 * ```
 */
export function sleep(ctx: Context, ms: number): Promise<void> {
  assertContext("sleep", ctx);
  if (typeof ms !== "number") {
    throw new TypeError("sleep: the time must be a number of ms");
  }
  if (Number.isNaN(ms)) throw new RangeError("sleep: the time is NaN");
  return new Promise((resolve, reject) => {
    new Sleeper(ctx, ms, resolve, reject);
  });
}

/**
 * One wait: an entry of the deadline queue and a leaf of its context, until one
 * of the two ends it.
 */
export class Sleeper implements QueuedDeadline, Watch {
  at: number;
  place = -1;
  order = 0;
  readonly #ctx: Context;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  readonly #leaf: Node;
  #ended = false;

  constructor(
    ctx: Context,
    ms: number,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    const now = Date.now();
    this.at = now + Math.max(0, ms);
    this.#ctx = ctx;
    this.#resolve = resolve;
    this.#reject = reject;
    // First, for it may find that ctx is done and tell others, who may do
    // anything; what follows calls nobody.
    this.#leaf = Node.watch(ctx, this);
    if (this.#ended) return;
    deadlines.hold();
    if (ms > 0) deadlines.add(this, now);
    else deadlines.addTurn(this);
  }

  /** Ends the wait, if it has not ended yet, without settling it. */
  stop(): void {
    if (deadlines.remove(this)) deadlines.release();
    Node.unwatch(this.#leaf);
  }

  expire(): void {
    deadlines.release();
    if (Node.unwatch(this.#leaf)) this.#resolve();
  }

  fire(ending: Ending): void {
    this.#ended = true;
    // Whoever was told before us may have made the queue expire us already.
    if (deadlines.remove(this)) deadlines.release();
    this.#reject(this.#ctx.err ?? ending.err);
  }
}
