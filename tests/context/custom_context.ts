/** Contexts that a user of the package might write. */

import {
  Canceled,
  type Context,
  type ContextError,
  type Key,
} from "@curfew/context";

/** Delegates everything, like a wrapper that logs. */
export class Wrapper implements Context {
  readonly inner: Context;

  constructor(inner: Context) {
    this.inner = inner;
  }

  get signal(): AbortSignal {
    return this.inner.signal;
  }

  get done(): Promise<void> {
    return this.inner.done;
  }

  get err(): ContextError | undefined {
    return this.inner.err;
  }

  get deadline(): Date | undefined {
    return this.inner.deadline;
  }

  value<T>(key: Key<T>): T | undefined {
    return this.inner.value(key);
  }
}

/** Ends at `end()` and not before; values and deadline are delegated. */
export class OwnSignal extends Wrapper {
  readonly #controller = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  #err: ContextError | undefined;

  override get signal(): AbortSignal {
    return this.#controller.signal;
  }

  override get done(): Promise<void> {
    return this.#done.promise;
  }

  override get err(): ContextError | undefined {
    return this.#err;
  }

  end(err: ContextError = new Canceled()): void {
    this.#err = err;
    this.#done.resolve();
    this.#controller.abort(err);
  }
}

/** Is done at `end()`; its signal is aborted only at `abort()`. */
export class LateSignal extends Wrapper {
  readonly #controller = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  readonly #canceled = new Canceled();
  #err: ContextError | undefined;

  override get signal(): AbortSignal {
    return this.#controller.signal;
  }

  override get done(): Promise<void> {
    return this.#done.promise;
  }

  override get err(): ContextError | undefined {
    return this.#err;
  }

  end(): void {
    this.#err = this.#canceled;
    this.#done.resolve();
  }

  abort(): void {
    this.#controller.abort(this.#err);
  }
}

/** Has no values, so nothing of the tree above can be found through it. */
export class WithoutValues extends OwnSignal {
  override value(): undefined {
    return undefined;
  }
}

/** Has a deadline at which it does not end by itself. */
export class Due extends Wrapper {
  readonly #at: number;

  constructor(inner: Context, at: number) {
    super(inner);
    this.#at = at;
  }

  override get deadline(): Date {
    return new Date(this.#at);
  }
}
