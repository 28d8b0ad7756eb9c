/** The time left. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { clock, Node } from "./tree.ts";

/**
 * Returns the time that `ctx` has left, for APIs that take a timeout but no signal.
 *
 * @param ctx Any context.
 * @returns The ms until its deadline; `Infinity` without one, 0 once it is done.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example
 * ```ts
 * import { background, remaining, withTimeout } from "@curfew/context";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assertEquals(remaining(background()), Infinity);
 * using ctx = withTimeout(background(), 1000);
 * assert(remaining(ctx) <= 1000);
 * ```
 */
export function remaining(ctx: Context): number {
  assertContext("remaining", ctx);
  if (ctx.err !== undefined) return 0;
  const due = Node.due(ctx);
  return due === Infinity ? Infinity : Math.max(0, due - clock.now());
}
