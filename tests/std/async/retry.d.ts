/** All attempts failed; `cause` is the error of the last. */
export class RetryError extends Error {
  constructor(cause: unknown, attempts: number);
}

/** Options for {@linkcode retry}. */
export interface RetryOptions {
  /** By how much the wait grows each time, by default 2. */
  multiplier?: number;
  /** The longest wait in milliseconds, by default 60000. */
  maxTimeout?: number;
  /** How many attempts there are, by default 5. */
  maxAttempts?: number;
  /** The first wait in milliseconds, by default 1000. */
  minTimeout?: number;
  /** How much of a wait is random, from 0 to 1, by default 1. */
  jitter?: number;
  /** Whether such an error is worth another attempt. By default each is. */
  isRetriable?: (err: unknown) => boolean;
  /** Aborts the attempts. */
  signal?: AbortSignal;
}

/** Calls the function until it succeeds, waiting longer each time. */
export function retry<T>(
  fn: (() => Promise<T>) | (() => T),
  options?: RetryOptions,
): Promise<T>;
