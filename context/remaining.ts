/** How much time is left. */

import type { Context } from "./context.ts";
import { assertContext, Node } from "./tree.ts";

/**
 * How long `ctx` still has, for whatever takes a timeout but no signal.
 *
 * @param ctx Any context.
 * @returns The ms to its deadline, `Infinity` without one, 0 once it is done.
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
  return due === Infinity ? Infinity : Math.max(0, due - Date.now());
}
