/** Keys under which contexts hold values. */

/**
 * A key of a value of type `T`; made by {@linkcode createKey}.
 *
 * @typeParam T The type of the values stored under the key.
 */
export class Key<T> {
  /** What strings of a context show. Two keys of one name are different keys. */
  readonly name: string;

  /**
   * Never set. It ties T to the class both ways, so that a `Key<string>` is
   * neither a `Key<number>` nor a `Key<string | number>`.
   */
  declare protected readonly type: ((value: T) => T) | undefined;

  /**
   * Used by {@linkcode createKey}.
   *
   * @param name What strings of a context show.
   */
  constructor(name: string) {
    this.name = name;
    Object.freeze(this);
  }
}

/**
 * Makes a key for values of type `T`. Two keys never collide, whatever their
 * names: who holds the key can read the value, nobody else can.
 *
 * @typeParam T The type of the values stored under the key.
 * @param name What strings of a context show for it: `withValue(user)`.
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
    throw new TypeError("createKey: the name of a key must be a string");
  }
  return new Key<T>(name);
}

/**
 * What a key is known by, also to a second copy of this package in the same
 * program, through whose contexts it may be looked up.
 */
const isKey = Symbol.for("@curfew/context/key");
Object.defineProperty(Key.prototype, isKey, { value: true });

/** Throws what a user is told who looks a value up by something else. */
export function assertKey(key: unknown): void {
  if (!(typeof key === "object" && key !== null && isKey in key)) {
    throw new TypeError(
      `${typeof key} is not a key of a context: make one with createKey()`,
    );
  }
}
