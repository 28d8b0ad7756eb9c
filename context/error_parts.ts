/** Reads the errors that another error carries. */

/** Properties in which errors carry others; any of them may be missing. */
export interface Parts {
  readonly name?: unknown;
  readonly cause?: unknown;
  /** Errors of an AggregateError. */
  readonly errors?: unknown;
  /** Error of a SuppressedError that was thrown last. */
  readonly error?: unknown;
  /** Error of a SuppressedError that was on its way by then. */
  readonly suppressed?: unknown;
}

/** Returns whether `value` can carry other errors. */
export function isObject(value: unknown): value is Parts {
  return typeof value === "object" && value !== null;
}

/** Returns whether `value` is an error, possibly one of another realm. */
export function isError(value: unknown): value is Error {
  if (value instanceof Error) return true;
  const tag = Object.prototype.toString.call(value);
  return tag === "[object Error]" || tag === "[object DOMException]";
}

/**
 * Returns the errors of an AggregateError, undefined for anything else. Its name
 * alone counts as well, since it may be of another realm.
 */
export function errorsOf(error: Parts): readonly unknown[] | undefined {
  const isAggregate = error instanceof AggregateError ||
    error.name === "AggregateError";
  return isAggregate && Array.isArray(error.errors) ? error.errors : undefined;
}

/**
 * Returns whether `error` is a SuppressedError. Its name alone counts as well:
 * compilers make one of a plain Error if the runtime has no such class.
 */
export function isSuppressedError(error: Parts): boolean {
  return error.name === "SuppressedError" ||
    typeof SuppressedError === "function" && error instanceof SuppressedError;
}

/** Returns whether there is a cause; `undefined` and `null` are none. */
export function isPresent(cause: unknown): boolean {
  return cause !== undefined && cause !== null;
}
