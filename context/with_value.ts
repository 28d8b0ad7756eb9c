/** Contexts that carry a value. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { assertKey, type Key } from "./key.ts";
import { ValueContext } from "./tree.ts";

/**
 * Derives a context in which `key` has the value `value`; everything else is its
 * parent's. Follows Go's `context.WithValue`.
 *
 * Use values for what belongs to a request and crosses layers, such as a user or a
 * trace, not for optional arguments of a function.
 *
 * @typeParam T The type of the key's values.
 * @param parent The context to derive from.
 * @param key A key from `createKey`.
 * @param value Anything; a stored `undefined` hides the parent's value.
 * @returns The child.
 * @throws {TypeError} If `parent` is not a context or `key` not a key.
 *
 * @example
 * ```ts
 * import { background, createKey, withValue } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const traceKey = createKey<string>("trace");
 * const request = withValue(background(), traceKey, "4bf92f35");
 * assertEquals(request.value(traceKey), "4bf92f35");
 * ```
 */
export function withValue<T>(
  parent: Context,
  key: Key<T>,
  value: NoInfer<T>,
): Context {
  assertContext("withValue", parent);
  assertKey("withValue", key);
  return new ValueContext(parent, key, value);
}
