/** Several async iterables as one. */
export class MuxAsyncIterator<T> implements AsyncIterable<T> {
  /** Adds one more. */
  add(iterable: AsyncIterable<T>): void;
  /** The items of all, as they come. */
  iterate(): AsyncIterableIterator<T>;
  [Symbol.asyncIterator](): AsyncIterator<T>;
  #private;
}
