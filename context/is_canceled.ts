/** Tells cancellations from failures. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import {
  errorsOf,
  isError,
  isObject,
  isPresent,
  isSuppressedError,
} from "./error_parts.ts";
import { isOurs } from "./errors.ts";
import { causeOf } from "./tree.ts";

/**
 * Reports whether `error` only passes on the end of `ctx`, however it is
 * wrapped. Use it to tell work that was canceled from work that failed.
 *
 * The relation of the error to `ctx` decides, not the error's class. The result
 * is true if `ctx` is done and `error` is one of these:
 *
 * - `ctx.err` or `cause(ctx)`;
 * - an AbortError or a TimeoutError of the platform or a library that carries no
 *   cause. Many APIs, such as `events.once`, drop the reason of the signal;
 * - an error that leads to one of these through its `cause`, through every one
 *   of `AggregateError.errors`, or through both halves of a `SuppressedError`.
 *   If it has several of these parts, all of them must lead there.
 *
 * It is false for a `Canceled` or `DeadlineExceeded` of another cancellation,
 * such as the timeout of a child, and for an AbortError with an unrelated cause.
 *
 * If `ctx` was canceled with a primitive as the cause, any equal value counts as
 * that cause. Cancel with an Error if the difference matters.
 *
 * @param ctx The context whose end may be behind the error.
 * @param error Any value that was thrown. Getters that throw and causes that
 * form a circle are failures.
 * @returns True if `error` is nothing but the end of `ctx`; false while `ctx` is
 * open.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example
 * ```ts
 * import { background, isCanceled, sleep, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * using ctx = withCancel(background());
 * const work = sleep(ctx, 60_000).catch((error) => {
 *   throw new Error("cannot refresh the cache", { cause: error });
 * });
 * ctx.cancel();
 * const error = await work.catch((error) => error);
 * assertEquals(isCanceled(ctx, error), true);
 * assertEquals(isCanceled(ctx, new Error("disk full")), false);
 * ```
 */
export function isCanceled(ctx: Context, error: unknown): boolean {
  assertContext("isCanceled", ctx);
  const { err } = ctx;
  if (!err) return false;
  try {
    const ends = new Set([...chainOfOurs(err), ...chainOfOurs(causeOf(ctx))]);
    const ours: unknown[] = [];
    // Two walks. Errors of ours keep their reason, so an AbortError without a
    // cause that is found below one belongs to that other cancellation.
    return everyPathEnds([error], (part) => {
      if (ends.has(part)) return true;
      if (isOurs(part)) return ours.push(part) > 0;
      return isAbortWithoutCause(part);
    }) && everyPathEnds(ours, (part) => ends.has(part));
  } catch {
    return false; // A getter or a proxy trap threw.
  }
}

/**
 * Maximum number of errors on the way down from one error, far above any real
 * one. It stops at a `cause` getter that makes up a new error on each read.
 */
const maxDepth = 200_000;

/**
 * Yields `reason`, then its cause, and so on down through errors of this
 * package. If a context ended because a context of another copy did, or one
 * joined by `withSignal`, this includes the cause that was given there.
 */
function* chainOfOurs(reason: unknown): Iterable<unknown> {
  const seen = new Set();
  while (isPresent(reason) && !seen.has(reason)) {
    seen.add(reason);
    yield reason;
    reason = causeOfOurs(reason);
  }
}

/** Returns the cause of an error of this package; undefined for anything else. */
function causeOfOurs(reason: unknown): unknown {
  try {
    return isOurs(reason) ? (reason as Error).cause : undefined;
  } catch {
    return undefined; // A proxy trap threw: a cause may be any value.
  }
}

/**
 * Walks from `errors` down through their parts. Returns whether every path gets
 * to an `isEnd`; one that leads in a circle does not. Depth-first with a stack
 * of its own, since a chain of causes may be longer than the call stack is deep.
 */
function everyPathEnds(
  errors: readonly unknown[],
  isEnd: (error: unknown) => boolean,
): boolean {
  const stack = [...errors];
  /** The errors above the top of the stack whose parts are being walked. */
  const path = new Set<unknown>();
  const known = new Set<unknown>();
  while (stack.length > 0) {
    const error = stack.at(-1);
    if (known.has(error) || path.delete(error) || isEnd(error)) {
      known.add(error);
      stack.pop();
      continue;
    }
    const parts = partsOf(error);
    if (parts.length === 0 || path.size === maxDepth) return false;
    path.add(error);
    for (const part of parts) {
      if (path.has(part)) return false;
      stack.push(part);
    }
  }
  return true;
}

/** Returns the errors that `error` stands for; none if it stands for itself. */
function partsOf(error: unknown): readonly unknown[] {
  if (!isObject(error)) return [];
  return [
    ...(isPresent(error.cause) ? [error.cause] : []),
    ...(errorsOf(error) ?? []),
    ...(isSuppressedError(error) ? [error.error, error.suppressed] : []),
  ];
}

function isAbortWithoutCause(error: unknown): boolean {
  return isObject(error) && !isPresent(error.cause) &&
    (error.name === "AbortError" || error.name === "TimeoutError") &&
    isError(error);
}
