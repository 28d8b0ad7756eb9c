/** Ticks. */

import { assertContext } from "./assert_context.ts";
import { Backlog } from "./backlog.ts";
import type { Context } from "./context.ts";
import { Iteration, over } from "./iteration.ts";
import { shown } from "./shown.ts";
import { Sleeper } from "./sleep.ts";
import { clock } from "./tree.ts";

/**
 * Ticks every `ms` until `ctx` is done; then the loop ends quietly. The n-th tick
 * comes n x `ms` after the call, without drift. Ticks that pass while the loop
 * body is busy are skipped, not piled up.
 *
 * `return()` ends it at once, even while it waits for a tick. If you call `next()`
 * several times without waiting, each call gets a tick of its own, in order.
 * Follows Go's `time.Ticker`.
 *
 * @param ctx The context that ends the loop.
 * @param ms Time between two ticks, in milliseconds, above 0. `Infinity` waits for
 * the end of `ctx`.
 * @returns An iterator over the numbers of the ticks, from 1.
 * @throws {TypeError} If `ctx` is not a context.
 * @throws {RangeError} If `ms` is not a number above 0.
 *
 * @example
 * ```ts
 * import { background, every, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background());
 * for await (const tick of every(ctx, 1)) {
 *   console.log(tick); // 1, 2, 3
 *   if (tick >= 3) ctx.cancel();
 * }
 * ```
 */
export function every(
  ctx: Context,
  ms: number,
): AsyncGenerator<number, void, undefined> {
  assertContext("every", ctx);
  if (!(typeof ms === "number" && ms > 0)) {
    throw new RangeError(`every: expected milliseconds > 0, got ${shown(ms)}`);
  }
  return new Ticks(ctx, ms);
}

class Ticks extends Iteration<number> {
  readonly #ctx: Context;
  readonly #ms: number;
  readonly #start = clock.now();
  /** The tick that is waited for, or else the latest one. */
  #tick = 0;
  /** The pending calls of `next()`. */
  readonly #pending = new Backlog<
    (result: IteratorResult<number, void>) => void
  >();
  /** The wait for a tick, while a `next()` is pending. */
  #wait: Sleeper | undefined;
  #isOver = false;

  constructor(ctx: Context, ms: number) {
    super();
    this.#ctx = ctx;
    this.#ms = ms;
  }

  next(): Promise<IteratorResult<number, void>> {
    if (this.#isOver) return Promise.resolve(over);
    return new Promise((resolve) => {
      this.#pending.push(resolve);
      if (this.#pending.size === 1) this.#sleep();
    });
  }

  #sleep(): void {
    const now = clock.now();
    const elapsed = (now - this.#start) / this.#ms;
    // Not simply the next one: the ticks that were missed are skipped.
    this.#tick = Math.max(this.#tick + 1, Math.ceil(elapsed));
    const wait = this.#start + this.#tick * this.#ms - now;
    this.#wait = new Sleeper(this.#ctx, wait, this.#onTick, this.#onEnd);
    // Not before: a wait that is over at once begins the next one in here.
    this.#wait.start();
  }

  readonly #onTick = (): void => {
    // None is pending if return() was called between the end of the wait and this.
    this.#pending.shift()?.({ done: false, value: this.#tick });
    if (this.#pending.size > 0) this.#sleep();
  };

  readonly #onEnd = (): void => {
    this.#isOver = true;
    for (let settle; (settle = this.#pending.shift());) settle(over);
  };

  protected override leave(): void {
    this.#wait?.stop();
    this.#onEnd();
  }
}
