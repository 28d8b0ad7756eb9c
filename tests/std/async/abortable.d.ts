/** Returns `p`, rejected with the signal's reason if the signal aborts first. */
export function abortable<T>(p: Promise<T>, signal: AbortSignal): Promise<T>;
/** Iterates over `p` until the signal aborts, then throws the signal's reason. */
export function abortable<T>(
  p: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T>;
