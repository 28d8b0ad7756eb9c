/** Ticks. */

import type { Context } from "./context.ts";
import { sleep } from "./sleep.ts";
import { assertContext } from "./tree.ts";

/**
 * Ticks every `ms` until `ctx` is done, and then ends quietly. The n-th tick is at
 * n x `ms` from the call, without drift. Those that pass while the loop's body is
 * busy are skipped, not piled up: the next tick is the next one to come.
 *
 * @param ctx What ends the ticks.
 * @param ms The time between two ticks, in ms, above 0.
 * @returns The numbers of the ticks, the first being 1.
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
export function every(ctx: Context, ms: number): AsyncIterable<number> {
  assertContext("every", ctx);
  if (!(typeof ms === "number" && ms > 0)) {
    throw new RangeError(
      `every: the time must be a number of ms above 0, got ${ms}`,
    );
  }
  return ticks(ctx, ms, Date.now());
}

async function* ticks(
  ctx: Context,
  ms: number,
  start: number,
): AsyncGenerator<number, void, undefined> {
  let tick = 0;
  for (;;) {
    // Not the one after the last: those that have been missed are gone.
    tick = Math.max(tick + 1, Math.ceil((Date.now() - start) / ms));
    const wait = start + tick * ms - Date.now();
    // Only a clock that was put back lets it be so long until the next.
    if (wait > 2 * ms) start -= wait - ms;
    try {
      await sleep(ctx, start + tick * ms - Date.now());
    } catch {
      return;
    }
    yield tick;
  }
}
