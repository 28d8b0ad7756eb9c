/** Options for {@linkcode poll}. */
export interface PollOptions {
  /** Aborts the polling. */
  signal?: AbortSignal;
  /** Milliseconds between two calls, by default 1000. */
  interval?: number;
}

/** Calls the function again and again until its result will do. */
export function poll<T>(
  fn: () => T,
  isDone: (result: Awaited<T>) => boolean,
  options?: PollOptions,
): Promise<Awaited<T>>;
