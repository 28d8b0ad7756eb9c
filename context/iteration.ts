/** Async iterators that can be left at any time. */

/** The result of `next()` once an iteration is over. */
export const over: IteratorReturnResult<void> = Object.freeze({
  done: true,
  value: undefined,
});

/**
 * Base of the iterators of `every` and `untilDone`. They are not async
 * generators, whose `return()` has to wait until a pending `next()` has settled:
 * a consumer that leaves would keep a silent source open until its next item.
 */
export abstract class Iteration<T>
  implements AsyncGenerator<T, void, undefined> {
  abstract next(): Promise<IteratorResult<T, void>>;

  /**
   * Ends the iteration if it has not ended yet. Settles each pending `next()` as
   * done and returns the cleanup that `return()` has to wait for, if any.
   */
  protected abstract leave(): Promise<void> | void;

  /** Settles at once if a `next()` is pending. */
  async return(): Promise<IteratorResult<T, void>> {
    await this.leave();
    return over;
  }

  /** The same; rejects with `error`, even if the cleanup fails as well. */
  async throw(error: unknown): Promise<never> {
    try {
      await this.leave();
    } catch {
      // As at the end of a `for await` block that throws.
    }
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}
