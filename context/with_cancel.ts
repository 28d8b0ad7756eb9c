/** Contexts that can be canceled. */

import { assertContext } from "./assert_context.ts";
import type { CancelableContext, Context } from "./context.ts";
import { Node } from "./tree.ts";

/**
 * Derives a context that is done when its `cancel` is called, when it is disposed
 * of, or when `parent` is done, whichever comes first. Follows Go's
 * `context.WithCancel` and `context.WithCancelCause`.
 *
 * End it as soon as its work is over, since `parent` refers to it until then:
 * `using` does so at the end of the block.
 *
 * @param parent The context to derive from.
 * @returns The child; done from the start if `parent` is.
 * @throws {TypeError} If `parent` is not a context.
 *
 * @example
 * ```ts
 * import { background, cause, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const child = withCancel(ctx);
 * ctx.cancel("the user has left");
 * assertEquals(child.signal.aborted, true);
 * assertEquals(cause(child), "the user has left");
 * ```
 */
export function withCancel(parent: Context): CancelableContext {
  assertContext("withCancel", parent);
  return new Node(parent);
}
