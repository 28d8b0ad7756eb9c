/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Aborts the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Keeps the process alive during the wait. True by default. */
  persistent?: boolean;
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options?: DelayOptions): Promise<void>;
