/** Functions that run once a context is done. */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import type { Context } from "./context.ts";
import { label, Leaf } from "./tree.ts";

/** The platform's: that of a test clock may run nothing until the clock ticks. */
const { queueMicrotask } = globalThis;

/**
 * Runs `f` in its own microtask once `ctx` is done, for whatever reason; if `ctx`
 * is done already, in the next microtask. Registrations are independent of each
 * other, even of the same function. If `f` throws, that is an uncaught error and
 * stops nothing else. Follows Go's `context.AfterFunc`.
 *
 * `f` runs in the async context (AsyncLocalStorage) of the code that ends `ctx`. If
 * it needs that of the registration, pass `AsyncLocalStorage.bind(f)`.
 *
 * @param ctx The context to wait for.
 * @param f The function to run, without arguments.
 * @returns A function that withdraws the registration. It returns true if it has
 * kept `f` from running, and false if `ctx` was done already or it was called
 * before.
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
  assertFunction("afterFunc", f);
  const leaf = new AfterFunc(ctx, f).start();
  return () => leaf.stop();
}

class AfterFunc extends Leaf {
  readonly #f: () => void;

  constructor(ctx: Context, f: () => void) {
    super(ctx);
    this.#f = f;
  }

  notify(): void {
    // A promise reaction would keep the async context of the registration. It
    // would also make a registration that runs cost 830 ns instead of 160.
    queueMicrotask(this.#f);
  }

  override get [label](): string {
    return "afterFunc";
  }
}
