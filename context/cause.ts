/** The cause of a context's end. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { causeOf } from "./tree.ts";

/**
 * Returns the reason why `ctx` is done: the cause that was given to the `cancel`,
 * the deadline or the signal that ended it or its ancestor; if none was given, its
 * `err`. Follows Go's `context.Cause`.
 *
 * @param ctx Any context.
 * @returns The cause; undefined while `ctx` is not done.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example
 * ```ts
 * import { background, cause, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * assertEquals(cause(ctx), undefined);
 * ctx.cancel("out of paper");
 * assertEquals(cause(ctx), "out of paper");
 * ```
 */
export function cause(ctx: Context): unknown {
  assertContext("cause", ctx);
  return causeOf(ctx);
}
