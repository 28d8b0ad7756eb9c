/** Contexts such as a user of the package might write. */

import {
  Canceled,
  type Context,
  type ContextError,
  type Key,
} from "@curfew/context";

/** Passes everything on, as a wrapper that logs would. */
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

/** Ends when it is told to and not before; values and deadline are passed on. */
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

/** Has no values at all, so nothing of the tree above can be found through it. */
export class WithoutValues extends OwnSignal {
  override value(): undefined {
    return undefined;
  }
}

/** Says that it has a deadline, and leaves it to others to keep it. */
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
