/** The two roots of every tree. */

import type { Context } from "./context.ts";
import { NeverDone } from "./tree.ts";

const backgroundContext = new NeverDone("background");
const todoContext = new NeverDone("todo");

/**
 * Returns the root of contexts: never done, without deadline or values. Use it in
 * the main function and in tests. Follows Go's `context.Background`.
 *
 * @returns Always the same context; nothing is ever registered on it.
 *
 * @example
 * ```ts
 * import { background, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background());
 * console.log(String(ctx)); // background.withCancel
 * ```
 */
export function background(): Context {
  return backgroundContext;
}

/**
 * Returns a root like `background`, for code that should get a context from its
 * caller but does not yet. You can search for it. Follows Go's `context.TODO`.
 *
 * @returns Always the same context; nothing is ever registered on it.
 *
 * @example
 * ```ts
 * import { todo, withTimeout } from "@curfew/context";
 *
 * using ctx = withTimeout(todo(), 500);
 * console.log(ctx.err); // undefined
 * ```
 */
export function todo(): Context {
  return todoContext;
}
