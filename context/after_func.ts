/** What runs once a context is done. */

import type { Context } from "./context.ts";
import { assertContext, Node, type Watch } from "./tree.ts";

/**
 * Runs `f` in a microtask of its own once `ctx` is done, however it ends; at
 * once (in a microtask) where it is done already. Registrations are independent
 * of each other, also those of one function. If `f` throws, that is an uncaught
 * error of its own and keeps nobody else from running. Follows Go's
 * `context.AfterFunc`.
 *
 * @param ctx The context to wait for.
 * @param f What to run, without arguments.
 * @returns A function that takes the registration back. It returns true if that
 * has kept `f` from running, and false if `ctx` was done before, or it has been
 * called before.
 * @throws {TypeError} If `ctx` is not a context or `f` not a function.
 *
 * @example Ending a wait that knows nothing of contexts
 * ```ts
 * import { afterFunc, background, withTimeout } from "@curfew/context";
 *
 * using ctx = withTimeout(background(), 10);
 * const { promise, resolve } = Promise.withResolvers<string>();
 * using stack = new DisposableStack();
 * stack.defer(afterFunc(ctx, () => resolve("nobody came")));
 * console.log(await promise); // nobody came
 * ```
 */
export function afterFunc(ctx: Context, f: () => void): () => boolean {
  assertContext("afterFunc", ctx);
  if (typeof f !== "function") {
    throw new TypeError("afterFunc: the second argument must be a function");
  }
  const leaf = Node.watch(ctx, new AfterFunc(f));
  let stopped = false;
  return () => {
    if (stopped) return false;
    stopped = true;
    return Node.unwatch(leaf);
  };
}

class AfterFunc implements Watch {
  readonly #f: () => void;

  constructor(f: () => void) {
    this.#f = f;
  }

  fire(): void {
    queueMicrotask(this.#f);
  }
}
