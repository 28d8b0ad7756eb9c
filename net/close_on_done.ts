/** Ties the life of a resource to a context. */

import { afterFunc } from "../context/after_func.ts";
import { assertContext } from "../context/assert_context.ts";
import type { Context } from "../context/context.ts";

/**
 * Closes `closer` once `ctx` is done: a socket, a file, a watcher, anything with
 * a `close()` or a `Symbol.dispose`. Closing it before is harmless.
 *
 * @param ctx Context that closes `closer`, in a microtask of its own.
 * @param closer Resource to close.
 * @returns A function that revokes this. It returns true if it prevented the
 * closing, and false otherwise.
 * @throws {TypeError} If `ctx` is not a context, or `closer` has neither method.
 *
 * @example A listener that closes with its context
 * ```ts
 * import { background, closeOnDone, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background());
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * closeOnDone(ctx, listener);
 * queueMicrotask(ctx.cancel);
 * for await (const conn of listener) conn.close(); // ends with ctx
 * ```
 */
export function closeOnDone(
  ctx: Context,
  closer: { close(): void } | Disposable,
): () => boolean {
  assertContext("closeOnDone", ctx);
  const given = Object(closer) as { close(): void } & Disposable;
  const canClose = typeof given.close === "function";
  if (!canClose && typeof given[Symbol.dispose] !== "function") {
    throw new TypeError(
      "closeOnDone: the second argument has neither close() nor Symbol.dispose",
    );
  }
  return afterFunc(ctx, () => {
    try {
      if (canClose) given.close();
      else given[Symbol.dispose]();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  });
}
