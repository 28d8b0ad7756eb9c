/** A child that can be cancelled. */

import type { CancelableContext, Context } from "./context.ts";
import { assertParent, Node } from "./tree.ts";

/**
 * Derives a context that is done when its `cancel` is called, when it is
 * disposed of, or when `parent` is done, whichever comes first. Follows Go's
 * `context.WithCancel` and `WithCancelCause`.
 *
 * End it as soon as the work it was made for is over, or `parent` keeps it:
 * `using` does so at the end of the block.
 *
 * @param parent The context to derive from.
 * @returns The child; done from the start where `parent` is done.
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
  assertParent(parent);
  return new Node(parent);
}
