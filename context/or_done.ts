/** Waiting for a promise, but not for longer than a context lasts. */

import type { Context } from "./context.ts";
import { assertContext, Node } from "./tree.ts";

/**
 * Waits for `promise` or for the end of `ctx`, whichever is first: for what takes
 * no signal. The work behind the promise is not stopped, only no longer waited
 * for; its late outcome is dropped, also where it is an error.
 *
 * Unlike `Promise.race` with `ctx.done`, it leaves nothing on `ctx`. A promise that
 * never settles keeps what was attached to it, as with any `await`.
 *
 * @typeParam T The type of the promise's value.
 * @param ctx What ends the wait early.
 * @param promise What to wait for.
 * @returns A promise with the outcome of `promise`, or that rejects with
 * `ctx.err`; where `ctx` is done already it always rejects.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example
 * ```ts
 * import { background, orDone, withTimeout } from "@curfew/context";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 1);
 * const error = await assertRejects(() => orDone(ctx, new Promise(() => {})));
 * assertEquals(error, ctx.err);
 * ```
 */
export function orDone<T>(
  ctx: Context,
  promise: PromiseLike<T> | T,
): Promise<T> {
  assertContext("orDone", ctx);
  return new Promise((resolve, reject) => {
    const leaf = Node.watch(ctx, {
      fire: (ending) => reject(ctx.err ?? ending.err),
    });
    Promise.resolve(promise).then(
      (value) => {
        if (Node.unwatch(leaf)) resolve(value);
      },
      (error) => {
        if (Node.unwatch(leaf)) reject(error);
      },
    );
  });
}
