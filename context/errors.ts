/** The two errors that a context ends with. */

/**
 * The `err` of a context that was canceled: by its `cancel`, by its parent, by a
 * foreign signal or by the operating system.
 *
 * It is a DOMException named `AbortError`, which is what libraries test for.
 * Follows Go's `context.Canceled`.
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
   * Creates the error; needed only when you implement `Context` yourself.
   *
   * @param cause The error's `cause`; `null` and `undefined` are none.
   * @param message The message; "context canceled" by default.
   */
  constructor(cause?: unknown, message: string = "context canceled") {
    super(message, "AbortError");
    setCause(this, cause);
  }

  /** Printed by `console.log` in Deno; shows the cause, unlike a DOMException. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect): string {
    return withCause(this, inspect);
  }
}

/**
 * The `err` of a context whose deadline has passed.
 *
 * It is a DOMException named `TimeoutError`, like the reason of
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
   * Creates the error; needed only when you implement `Context` yourself.
   *
   * @param cause The error's `cause`; `null` and `undefined` are none.
   */
  constructor(cause?: unknown) {
    super("context deadline exceeded", "TimeoutError");
    setCause(this, cause);
  }

  /** Printed by `console.log` in Deno; shows the cause, unlike a DOMException. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect): string {
    return withCause(this, inspect);
  }
}

/**
 * The errors that a context can end with.
 *
 * @example Telling them apart by name, as with any AbortSignal's reason
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

/** Sets the cause as `new Error(message, { cause })` does; DOMException cannot. */
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
