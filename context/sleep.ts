/** Waiting for some time to pass. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { Ending } from "./ending.ts";
import { assertMilliseconds } from "./milliseconds.ts";
import { clock, DeadlineNode, deadlines, expiry, label, Node } from "./tree.ts";

/**
 * Waits for `ms` milliseconds. Like `setTimeout`, it keeps the process alive
 * meanwhile; unlike it, nothing is left behind on `ctx`, whichever comes first.
 * Waits that are over in the same millisecond end in the order in which they began.
 *
 * @param ctx Ends the wait early.
 * @param ms The time to wait, in ms, of any size; `Infinity` waits for the end of
 * `ctx`. Zero or less waits for one turn of the event loop.
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
  assertMilliseconds("sleep", ms);
  return new Promise((resolve, reject) => {
    new Sleeper(ctx, ms, resolve, reject).start();
  });
}

/** A wait: a leaf of its context whose own deadline resolves it. */
export class Sleeper extends DeadlineNode {
  readonly #ctx: Context;
  readonly #ms: number;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    ctx: Context,
    ms: number,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    super(ctx, clock.now() + Math.max(0, ms));
    this.#ctx = ctx;
    this.#ms = ms;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Begins to wait; rejects at once if ctx is done. */
  start(): this {
    Node.start(this);
    if (Node.isMarked(this)) return this;
    if (this.#ms > 0) DeadlineNode.enqueue(this, clock.now());
    else deadlines.addTurn(this);
    return this;
  }

  /** Ends the wait, if it has not ended yet, without settling it. */
  stop(): void {
    Node.stop(this);
  }

  notify(ending: Ending): void {
    if (ending === slept) this.#resolve();
    else this.#reject(this.#ctx.err ?? ending.err);
  }

  override [expiry](): Ending {
    return slept;
  }

  override get [label](): string {
    return `sleep(${this.#ms})`;
  }
}

/** The ending of every wait that was not cut short. */
const slept = Ending.canceled();
