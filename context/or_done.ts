/** Waits that end with a context. */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { assertOptions } from "./assert_options.ts";
import type { Context } from "./context.ts";
import { Watch } from "./tree.ts";

/** Options for {@linkcode orDone}. */
export interface OrDoneOptions<T> {
  /**
   * Receives the promise's value if it arrives after the wait has ended with
   * ctx: closes the connection, releases the lock. It runs at most once. If it
   * throws or rejects, that is an unhandled rejection. By default the value is
   * dropped.
   */
  late?: ((value: T) => unknown) | undefined;
}

/**
 * Waits for `promise`, but no longer than until `ctx` is done. Use it for work
 * that takes no signal.
 *
 * The work behind the promise goes on. If it ends in a value that has to be
 * closed or released, pass `late`; a late error is dropped.
 *
 * Unlike `Promise.race` with `ctx.done`, it leaves nothing on `ctx`. A promise
 * that never settles keeps its reactions, as with any `await`.
 *
 * @typeParam T The type of the promise's value.
 * @param ctx The context that ends the wait.
 * @param promise The promise to wait for.
 * @param options Options for the value that arrives too late.
 * @returns A promise that settles as `promise` does, or rejects with `ctx.err`
 * once `ctx` is done. If `ctx` is already done, it rejects with `ctx.err` even
 * if `promise` has settled, and `late` receives the value.
 * @throws {TypeError} If `ctx` is not a context, `promise` is a function, `late`
 * is not one, or `options` is not an object.
 *
 * @example Limit the time of a wait
 * ```ts
 * import { background, orDone, withTimeout } from "@curfew/context";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 1);
 * const error = await assertRejects(() => orDone(ctx, new Promise(() => {})));
 * assertEquals(error, ctx.err);
 * ```
 *
 * @example Close a connection that arrives too late
 * ```ts
 * import { background, orDone, withTimeout } from "@curfew/context";
 * import { assertRejects } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<{ close(): void }>();
 * using ctx = withTimeout(background(), 1);
 * await assertRejects(() =>
 *   orDone(ctx, promise, { late: (connection) => connection.close() })
 * );
 * resolve({ close: () => console.log("closed") }); // closed
 * ```
 */
export function orDone<T>(
  ctx: Context,
  promise: PromiseLike<T> | T,
  options: OrDoneOptions<T> = {},
): Promise<T> {
  assertContext("orDone", ctx);
  assertOptions("orDone", options);
  const { late = ignore } = options;
  if (typeof promise === "function" && !("then" in promise)) {
    throw new TypeError(
      "orDone: expected a promise, got a function: call it, as in orDone(ctx, f())",
    );
  }
  assertFunction("orDone", late, "late to be a function");
  return new Promise((resolve, reject) => {
    const leaf = new Watch(ctx, (ending) => reject(ctx.err ?? ending.err))
      .start();
    Promise.resolve(promise).then(
      (value) => leaf.stop() ? resolve(value) : late(value),
      (error) => {
        if (leaf.stop()) reject(error);
      },
    );
  });
}

function ignore(): void {}
