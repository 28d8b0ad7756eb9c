/** The latest of a sequence. */

/** Keeps the latest `size` of what is pushed. */
export class Ring<T> implements Iterable<T> {
  readonly #size: number;
  readonly #items: T[] = [];
  /** Index of the oldest item once the ring is full. */
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Adds an item, in place of the oldest one if the ring is full. */
  push(item: T): void {
    if (this.#size === 0) return;
    if (this.#items.length < this.#size) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.#size;
  }

  /** Replaces every item by the result of `f`. */
  map(f: (item: T) => T): void {
    this.#items.forEach((item, i) => this.#items[i] = f(item));
  }

  /** The items, the oldest first. */
  *[Symbol.iterator](): Iterator<T> {
    yield* this.#items.slice(this.#next);
    yield* this.#items.slice(0, this.#next);
  }
}
