/** A function that waits until it has not been called for a while. */
export interface DebouncedFunction<T extends Array<unknown>> {
  (...args: T): void;
  /** Forgets the pending call. */
  clear(): void;
  /** Makes the pending call now. */
  flush(): void;
  /** Whether a call is pending. */
  readonly pending: boolean;
}

/** Options for {@linkcode debounce}. */
export interface DebounceOptions {
  /** Forgets the pending call when it aborts. */
  signal?: AbortSignal;
}

/** Puts off calls until none has come for `wait` milliseconds. */
// deno-lint-ignore no-explicit-any
export function debounce<T extends Array<any>>(
  fn: (this: DebouncedFunction<T>, ...args: T) => void,
  wait: number,
  options?: DebounceOptions,
): DebouncedFunction<T>;
