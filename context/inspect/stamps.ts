/** Values attached to objects of others. */

/** Values by object, like those of a WeakMap. */
export interface Stamps<K extends object, V> {
  get(key: K): V | undefined;
  has(key: K): boolean;
  /** Attaches a value; to each key only once. */
  set(key: K, value: V): void;
}

/** Makes a subclass add its private fields to an object that there is already. */
class Returns {
  constructor(object: object) {
    return object;
  }
}

/**
 * Returns stamps of their own. Each is a private field of its object: a WeakMap with
 * an entry for each request costs the garbage collector as much as the request.
 */
export function newStamps<K extends object, V>(): Stamps<K, V> {
  return class Stamp extends Returns {
    readonly #value: V;

    constructor(key: K, value: V) {
      super(key);
      this.#value = value;
    }

    static get(key: K): V | undefined {
      return #value in key ? (key as unknown as Stamp).#value : undefined;
    }

    static has(key: K): boolean {
      return #value in key;
    }

    static set(key: K, value: V): void {
      new Stamp(key, value);
    }
  };
}
