/** A function that runs once it has not been called for a while. */
export interface DebouncedFunction<T extends Array<unknown>> {
  (...args: T): void;
  /** Drops the pending call. */
  clear(): void;
  /** Makes the pending call at once. */
  flush(): void;
  /** True while a call is pending. */
  readonly pending: boolean;
}

/** Delays calls of `fn` until none has come for `wait` milliseconds. */
// deno-lint-ignore no-explicit-any
export function debounce<T extends Array<any>>(
  fn: (this: DebouncedFunction<T>, ...args: T) => void,
  wait: number,
): DebouncedFunction<T>;
