/** What waits its turn. */

/** A queue that says when it is full. */
export class Backlog<T> {
  readonly #limit: number;
  #items: (T | undefined)[] = [];
  /** Where the first one stands: `shift()` of a long array copies all of it. */
  #head = 0;

  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  get full(): boolean {
    return this.size >= this.#limit;
  }

  /** Puts `item` last. Whoever calls it has seen that the queue is not full. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first one. */
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

  /** Forgets all of it, and says how much that was. */
  clear(): number {
    const { size } = this;
    this.#items = [];
    this.#head = 0;
    return size;
  }
}
