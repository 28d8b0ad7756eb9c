/**
 * Tells the instances of a test clock apart. `FakeTime` of `@std/testing` has one
 * `Date.now` and one `setTimeout` for all its instances, so the functions do not say
 * that one clock was removed and another installed. The ids of its timers do: each
 * instance counts them from 1.
 */

const realSetTimeout = globalThis.setTimeout;

/** The instance of the test clock that is installed. */
export class TestClockInstance {
  /** The `setTimeout` of the latest call. */
  #set: typeof setTimeout | undefined;
  #lastId = 0;
  /** A `setTimeout` that returns objects belongs to one clock only. */
  #opaque: typeof setTimeout | undefined = realSetTimeout;

  /** Returns whether the clock is another one than at the last call. */
  hasChanged(): boolean {
    const { setTimeout, clearTimeout } = globalThis;
    const isOther = setTimeout !== this.#set;
    this.#set = setTimeout;
    if (setTimeout === this.#opaque || setTimeout === realSetTimeout) {
      return isOther;
    }
    const id: unknown = setTimeout(() => {}, 0);
    clearTimeout(id as number);
    if (typeof id !== "number") {
      this.#opaque = setTimeout;
      return isOther;
    }
    const isEarlier = id <= this.#lastId;
    this.#lastId = id;
    return isOther || isEarlier;
  }
}
