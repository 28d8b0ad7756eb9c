/** Thrown when all attempts have failed; `cause` is the last error. */
export class RetryError extends Error {
  constructor(cause: unknown, attempts: number);
}

/** Options for {@linkcode retry}. */
export interface RetryOptions {
  /** Factor by which the wait grows, 2 by default. */
  multiplier?: number;
  /** Longest wait in milliseconds, 60000 by default. */
  maxTimeout?: number;
  /** Number of attempts, 5 by default. */
  maxAttempts?: number;
  /** First wait in milliseconds, 1000 by default. */
  minTimeout?: number;
  /** Random share of a wait, from 0 to 1; 1 by default. */
  jitter?: number;
}

/** Calls `fn` until it succeeds, waiting longer each time. */
export function retry<T>(
  fn: (() => Promise<T>) | (() => T),
  options?: RetryOptions,
): Promise<T>;
