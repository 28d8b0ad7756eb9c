/** Queues. */

/** First-in, first-out queue with an optional limit. */
export class Backlog<T> {
  readonly #limit: number;
  #items: (T | undefined)[] = [];
  /**
   * Index of the first item. Items before it are gone: `Array.shift()` would copy
   * the rest of a long array each time.
   */
  #head = 0;

  /** @param limit Number of items from which on the queue is full. */
  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  get full(): boolean {
    return this.size >= this.#limit;
  }

  /** Appends `item`, which must not be undefined. The caller checks `full`. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes the first item and returns it; undefined if there is none. */
  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Removes all items and returns their number. */
  clear(): number {
    const { size } = this;
    this.#items = [];
    this.#head = 0;
    return size;
  }
}
