/** The promise, rejected with the signal's reason when the signal aborts. */
export function abortable<T>(p: Promise<T>, signal: AbortSignal): Promise<T>;
/** The items, ended with the signal's reason when the signal aborts. */
export function abortable<T>(
  p: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T>;
