/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Aborts the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Whether the wait keeps the process alive. By default it does. */
  persistent?: boolean;
}

/** Resolves after so many milliseconds. */
export function delay(ms: number, options?: DelayOptions): Promise<void>;
