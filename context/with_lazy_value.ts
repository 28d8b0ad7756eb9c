/** A child whose value is computed when it is first looked up. */

import type { Context } from "./context.ts";
import type { Key } from "./key.ts";
import { read, ValueContext } from "./tree.ts";

/**
 * Like `withValue`, for a value that is expensive and often not looked up.
 *
 * @param source Passed to `compute`, so that no closure is needed.
 * @param compute Called at each look-up until it returns something other than
 * undefined, which is then the value.
 */
export function withLazyValue<T, S>(
  parent: Context,
  key: Key<T>,
  source: S,
  compute: (source: S) => T | undefined,
): Context {
  return new LazyValueContext(parent, key, source, compute);
}

class LazyValueContext<T, S> extends ValueContext {
  readonly #source: S;
  readonly #compute: (source: S) => T | undefined;
  #found: T | undefined;

  constructor(
    parent: Context,
    key: Key<T>,
    source: S,
    compute: (source: S) => T | undefined,
  ) {
    super(parent, key, undefined);
    this.#source = source;
    this.#compute = compute;
  }

  override [read](): T | undefined {
    return this.#found ??= this.#compute(this.#source);
  }
}
