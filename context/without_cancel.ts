/** A child that outlives its parent. */

import type { Context } from "./context.ts";
import { assertParent, NeverDone } from "./tree.ts";

/**
 * Derives a context with the values of `parent` and nothing else: it has no
 * deadline and is never done, whatever becomes of `parent`. For what must go on
 * when a request is over: an audit entry, a rollback. Follows Go's
 * `context.WithoutCancel`.
 *
 * @param parent The context whose values are kept.
 * @returns The child.
 * @throws {TypeError} If `parent` is not a context.
 *
 * @example A clean-up with a time of its own
 * ```ts
 * import { background, withCancel, withoutCancel, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const request = withCancel(background());
 * request.cancel();
 * using cleanup = withTimeout(withoutCancel(request), 1000);
 * assertEquals(cleanup.err, undefined);
 * ```
 */
export function withoutCancel(parent: Context): Context {
  assertParent(parent);
  return new NeverDone("withoutCancel", parent);
}
