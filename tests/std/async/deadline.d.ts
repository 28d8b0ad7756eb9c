/** Options for {@linkcode deadline}. */
export interface DeadlineOptions {
  /** Aborts the wait. */
  signal?: AbortSignal;
}

/** Returns `p`, rejected with a `TimeoutError` after `ms` milliseconds. */
export function deadline<T>(
  p: Promise<T>,
  ms: number,
  options?: DeadlineOptions,
): Promise<T>;
