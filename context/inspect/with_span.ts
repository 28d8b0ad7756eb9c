/** Spans of OpenTelemetry around work with a context. */

import { assertContext } from "../assert_context.ts";
import { cause } from "../cause.ts";
import type { Context } from "../context.ts";
import { DeadlineExceeded } from "../errors.ts";
import { isCanceled } from "../is_canceled.ts";
import { remaining } from "../remaining.ts";
import { shown } from "../shown.ts";
import { textOf } from "./text_of.ts";

/** The part of an OpenTelemetry span that {@linkcode withSpan} uses. */
export interface SpanLike {
  /** Sets an attribute. */
  setAttribute(key: string, value: string | number): unknown;
  /** Records an error as an event. */
  recordException(error: Error | string): void;
  /** Sets the status; 2 is an error. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** Ends the span. */
  end(): void;
}

/** The part of an OpenTelemetry tracer that {@linkcode withSpan} uses. */
export interface TracerLike {
  /** Calls `f` with a new span, which is the active one meanwhile. */
  startActiveSpan<T>(name: string, f: (span: SpanLike) => T): T;
}

/** `SpanStatusCode.ERROR` of `@opentelemetry/api`. */
const failed = 2;

/**
 * Runs `f(ctx)` in a span that ends with it. The span gets the time left at its
 * start as `context.remaining_ms`, if ctx has a deadline, and the cause as
 * `context.cause`, if ctx ends `f`. A deadline or a failure is an error of the span;
 * a cancellation is not.
 *
 * @typeParam T The type of the result.
 * @param ctx The context of the work.
 * @param tracer A tracer of `@opentelemetry/api`. Without one, there is no span.
 * @param name Name of the span.
 * @param f The work.
 * @returns A promise that settles as `f` does.
 * @throws {TypeError} If `ctx` is not a context, or `tracer` is no tracer.
 *
 * @example
 * ```ts
 * import { background, withTimeout } from "@curfew/context";
 * import { withSpan } from "@curfew/context/inspect";
 * import { assertEquals } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 1_000);
 * const tracer = undefined; // or trace.getTracer("prices")
 * assertEquals(await withSpan(ctx, tracer, "price", () => 42), 42);
 * ```
 */
export function withSpan<T>(
  ctx: Context,
  tracer: TracerLike | undefined,
  name: string,
  f: (ctx: Context) => T | PromiseLike<T>,
): Promise<T> {
  assertContext("withSpan", ctx);
  if (tracer !== undefined && typeof tracer?.startActiveSpan !== "function") {
    throw new TypeError(
      `withSpan: expected a tracer of @opentelemetry/api, got ${shown(tracer)}`,
    );
  }
  if (tracer === undefined) return new Promise((resolve) => resolve(f(ctx)));
  return tracer.startActiveSpan(name, async (span) => {
    const left = remaining(ctx);
    if (left !== Infinity) span.setAttribute("context.remaining_ms", left);
    try {
      return await f(ctx);
    } catch (error) {
      try {
        recordFailure(span, ctx, error);
      } catch {
        // The error cannot be read. The caller gets it all the same.
      }
      throw error;
    } finally {
      span.end();
    }
  });
}

function recordFailure(span: SpanLike, ctx: Context, error: unknown): void {
  const isEnd = isCanceled(ctx, error);
  if (isEnd) span.setAttribute("context.cause", textOf(cause(ctx)));
  if (isEnd && !(ctx.err instanceof DeadlineExceeded)) return;
  span.setStatus({ code: failed, message: textOf(error) });
  span.recordException(exceptionOf(error));
}

/**
 * Returns what to record of an error. Tracers take its `code` for its type if it has
 * one: right for "ENOENT", but 23 says less than "TimeoutError".
 */
function exceptionOf(error: unknown): Error | string {
  if (!(error instanceof Error)) return textOf(error);
  if (!(error instanceof DOMException)) return error;
  const { name, message, stack } = error;
  return { name, message, ...(stack !== undefined && { stack }) };
}
