/** Options for `get` of {@linkcode Lazy}. */
export interface LazyGetOptions {
  /** Aborts the wait of this caller only. */
  signal?: AbortSignal;
}

/** A value that is made once, when it is first asked for. */
export class Lazy<T> {
  constructor(init: () => T | Promise<T>);
  /** The value, made now if it has not been. */
  get(options?: LazyGetOptions): Promise<T>;
  /** Whether the value has been made. */
  get initialized(): boolean;
  /** The value if it has been made. */
  peek(): { ok: true; value: T } | { ok: false };
  /** Forgets the value. */
  reset(): void;
  #private;
}
