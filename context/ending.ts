/** Ends of contexts. */

import { Canceled, type ContextError, DeadlineExceeded } from "./errors.ts";
import { newCanceled, newDeadlineExceeded } from "./slow_dom_exception.ts";

/** The end of a context; shared by everything that ended with it. */
export class Ending {
  readonly #newError: (cause: unknown) => ContextError;
  readonly #cause: unknown;
  #err: ContextError | undefined;

  private constructor(
    newError: (cause: unknown) => ContextError,
    cause: unknown,
  ) {
    this.#newError = newError;
    this.#cause = cause;
  }

  static canceled(cause?: unknown): Ending {
    return new Ending(newCanceled, cause);
  }

  static exceeded(cause?: unknown): Ending {
    return new Ending(newDeadlineExceeded, cause);
  }

  /** The end of a foreign context: what it hands down to those below it. */
  static of(err: ContextError | undefined, cause: unknown): Ending {
    // By name: the error may be the platform's, or another copy's of this package.
    const isTimeout = err?.name === "TimeoutError";
    const kind = isTimeout ? DeadlineExceeded : Canceled;
    const newError = isTimeout ? newDeadlineExceeded : newCanceled;
    if (!(err instanceof kind)) return new Ending(newError, cause);
    const ending = new Ending(newError, cause === err ? undefined : cause);
    if (cause === err || cause === err.cause) ending.#err = err;
    return ending;
  }

  /** Created when first read. */
  get err(): ContextError {
    return this.#err ??= this.#newError(this.#cause);
  }

  get cause(): unknown {
    return this.#cause ?? this.err;
  }

  /** True for a cancellation without a cause, as by the end of a block. */
  get isPlain(): boolean {
    return this.#cause === undefined && this.#newError === newCanceled;
  }
}
