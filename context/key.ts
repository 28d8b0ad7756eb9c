/** Keys of the values that contexts hold. */

import { shown } from "./shown.ts";

/**
 * A key for values of type `T`; created by {@linkcode createKey}.
 *
 * @typeParam T The type of the values stored under the key.
 */
export class Key<T> {
  /** Name in the string of a context. Two keys with one name are different keys. */
  readonly name: string;

  /**
   * Never set. Makes T invariant, so that a `Key<string>` is neither a
   * `Key<number>` nor a `Key<string | number>`.
   */
  declare protected readonly type: ((value: T) => T) | undefined;

  /**
   * Called by {@linkcode createKey}.
   *
   * @param name Name in the string of a context.
   */
  constructor(name: string) {
    this.name = name;
    Object.freeze(this);
  }
}

/**
 * Creates a key for values of type `T`. Keys never collide, whatever their names:
 * only code that has the key can read the value.
 *
 * @typeParam T The type of the values stored under the key.
 * @param name Name in the string of a context: `withValue(user)`.
 * @returns A new key.
 * @throws {TypeError} If `name` is not a string.
 *
 * @example
 * ```ts
 * import { background, createKey, withValue } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const userKey = createKey<string>("user");
 * const ctx = withValue(background(), userKey, "ada");
 * assertEquals(ctx.value(userKey), "ada");
 * assertEquals(String(ctx), "background.withValue(user)");
 * ```
 */
export function createKey<T>(name: string): Key<T> {
  if (typeof name !== "string") {
    throw new TypeError(
      `createKey: expected a string as the name, got ${shown(name)}`,
    );
  }
  return new Key<T>(name);
}

/**
 * Marks keys, also for a second copy of this package in the same program: a value
 * may be looked up through contexts of both.
 */
const isKey = Symbol.for("@curfew/context/key");
Object.defineProperty(Key.prototype, isKey, { value: true });

/**
 * Throws a TypeError unless `key` came from `createKey`.
 *
 * @param caller The public function that was called, for the message.
 */
export function assertKey(caller: string, key: unknown): void {
  if (!(typeof key === "object" && key !== null && isKey in key)) {
    throw new TypeError(
      `${caller}: ${
        shown(key)
      } is not a key of a context: make one with createKey()`,
    );
  }
}
