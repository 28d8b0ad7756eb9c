/** Merges async iterables into one. */
export class MuxAsyncIterator<T> implements AsyncIterable<T> {
  /** Adds an iterable. */
  add(iterable: AsyncIterable<T>): void;
  /** Yields the items of all in the order of arrival. */
  iterate(): AsyncIterableIterator<T>;
  [Symbol.asyncIterator](): AsyncIterator<T>;
  #private;
}
