/** The two roots of every tree. */

import type { Context } from "./context.ts";
import { NeverDone } from "./tree.ts";

const backgroundContext = new NeverDone("background");
const todoContext = new NeverDone("todo");

/**
 * The root: never done, without deadline or values. For the main function, for
 * tests, and as the top of what a request starts. Follows Go's
 * `context.Background`.
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
 * The same as `background`, for places where it is not clear yet which context
 * to use, or where a caller does not have one to hand down so far: it can be
 * searched for. Follows Go's `context.TODO`.
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
