/** The two ways in which a context ends. */

/**
 * The `err` of a context that was cancelled: by its `cancel`, by its parent, by
 * a foreign signal, by the operating system.
 *
 * A DOMException of the name `AbortError`, so that every library that tests for
 * that name takes it for what it is. Follows Go's `context.Canceled`.
 *
 * @example
 * ```ts
 * import { background, Canceled, withCancel } from "@curfew/context";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * ctx.cancel("enough");
 * assertInstanceOf(ctx.err, Canceled);
 * assertEquals(ctx.err.name, "AbortError");
 * assertEquals(ctx.err.cause, "enough");
 * ```
 */
export class Canceled extends DOMException {
  /**
   * Makes one; users need it only to pretend to be a context.
   *
   * @param cause Kept as the error's `cause`; `null` and `undefined` are none.
   * @param message What the error says; "context canceled" by default.
   */
  constructor(cause?: unknown, message: string = "context canceled") {
    super(message, "AbortError");
    setCause(this, cause);
  }

  /** What `console.log` shows in Deno: the cause too, unlike for a DOMException. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect): string {
    return withCause(this, inspect);
  }
}

/**
 * The `err` of a context whose deadline has passed.
 *
 * A DOMException of the name `TimeoutError`, like the reason of
 * `AbortSignal.timeout`. Follows Go's `context.DeadlineExceeded`.
 *
 * @example
 * ```ts
 * import { background, DeadlineExceeded, withTimeout } from "@curfew/context";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 0);
 * assertInstanceOf(ctx.err, DeadlineExceeded);
 * assertEquals(ctx.err.message, "context deadline exceeded");
 * ```
 */
export class DeadlineExceeded extends DOMException {
  /**
   * Makes one; users need it only to pretend to be a context.
   *
   * @param cause Kept as the error's `cause`; `null` and `undefined` are none.
   */
  constructor(cause?: unknown) {
    super("context deadline exceeded", "TimeoutError");
    setCause(this, cause);
  }

  /** What `console.log` shows in Deno: the cause too, unlike for a DOMException. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect): string {
    return withCause(this, inspect);
  }
}

/**
 * What `err` can be once a context is done.
 *
 * @example Told apart by name, as any AbortSignal's reason is
 * ```ts
 * import { background, type ContextError, withTimeout } from "@curfew/context";
 *
 * function status(err: ContextError): number {
 *   return err.name === "TimeoutError" ? 504 : 503;
 * }
 * using ctx = withTimeout(background(), 0);
 * if (ctx.err !== undefined) console.log(status(ctx.err)); // 504
 * ```
 */
export type ContextError = Canceled | DeadlineExceeded;

type Inspect = (value: unknown) => string;

function withCause(error: DOMException, inspect: Inspect): string {
  const text = error.stack ?? String(error);
  if (error.cause === undefined) return text;
  return `${text}\nCaused by: ${inspect(error.cause)}`;
}

/** As `new Error(message, { cause })` would, which DOMException does not know. */
function setCause(error: DOMException, cause: unknown): void {
  if (cause === undefined || cause === null) return;
  Object.defineProperty(error, "cause", {
    value: cause,
    writable: true,
    configurable: true,
  });
}

/**
 * Brand of the errors of this package, which a second copy of it in the same
 * process can read.
 */
const brand = Symbol.for("@curfew/context/error");
for (const kind of [Canceled, DeadlineExceeded]) {
  Object.defineProperty(kind.prototype, brand, { value: true });
}

/** Returns whether `error` is a `Canceled` or `DeadlineExceeded` of any copy. */
export function isOurs(error: unknown): error is ContextError {
  return typeof error === "object" && error !== null && brand in error;
}
