/** Contexts that outlive their parent. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { NeverDone } from "./tree.ts";

/**
 * Derives a context with the values of `parent` and nothing else: it has no
 * deadline and is never done, even if `parent` is. Use it for work that must go on
 * when a request is over, such as a rollback. Follows Go's `context.WithoutCancel`.
 *
 * @param parent The context whose values are kept.
 * @returns The child.
 * @throws {TypeError} If `parent` is not a context.
 *
 * @example A clean-up with its own time limit
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
  assertContext("withoutCancel", parent);
  return new NeverDone("withoutCancel", parent);
}
