/** Options for {@linkcode deadline}. */
export interface DeadlineOptions {
  /** Aborts the wait. */
  signal?: AbortSignal;
}

/** The promise, rejected with a `TimeoutError` after so many milliseconds. */
export function deadline<T>(
  p: Promise<T>,
  ms: number,
  options?: DeadlineOptions,
): Promise<T>;
