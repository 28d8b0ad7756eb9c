/** A child whose value is computed when it is first looked up. */

import type { Context } from "./context.ts";
import type { Key } from "./key.ts";
import { read, ValueContext } from "./tree.ts";

/**
 * Like `withValue`, for a value that is expensive and often not looked up.
 *
 * @param compute Called at each look-up until it returns something other than
 * undefined, which is then the value.
 */
export function withLazyValue<T>(
  parent: Context,
  key: Key<T>,
  compute: () => T | undefined,
): Context {
  return new LazyValueContext(parent, key, compute);
}

class LazyValueContext<T> extends ValueContext {
  readonly #compute: () => T | undefined;
  #found: T | undefined;

  constructor(parent: Context, key: Key<T>, compute: () => T | undefined) {
    super(parent, key, undefined);
    this.#compute = compute;
  }

  override [read](): T | undefined {
    return this.#found ??= this.#compute();
  }
}
