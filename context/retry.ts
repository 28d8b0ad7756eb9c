/** Calls that are repeated when they fail. */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { assertOptions } from "./assert_options.ts";
import { call } from "./call.ts";
import type { CancelableContext, Context } from "./context.ts";
import { orDone } from "./or_done.ts";
import { remaining } from "./remaining.ts";
import { shown } from "./shown.ts";
import { sleep } from "./sleep.ts";
import { withCancel } from "./with_cancel.ts";
import { withTimeout } from "./with_deadline.ts";

/**
 * The waits between attempts. Each one is drawn at random from 0 up to a limit
 * that grows exponentially ("full jitter"), so that callers that failed together
 * do not return together.
 */
export interface Backoff {
  /** Limit of the wait before the second attempt in ms; 100 by default. */
  first?: number | undefined;
  /** Growth of the limit from one wait to the next; 2 by default. */
  factor?: number | undefined;
  /** Largest limit in ms; 10,000 by default. */
  max?: number | undefined;
}

/** Options for {@linkcode retry}. */
export interface RetryOptions {
  /** Number of calls at most; 5 by default. `Infinity` leaves the end to ctx. */
  attempts?: number | undefined;
  /** Time limit of one attempt in ms; none by default. */
  attemptTimeout?: number | undefined;
  /** The waits between attempts. */
  backoff?: Backoff | undefined;
  /**
   * Decides about an error: false gives up, true waits as `backoff` says, and a
   * number waits for that many ms, for example as a `Retry-After` header asks. By
   * default every error is retried. It is not called after the last attempt.
   */
  retryIf?: ((error: unknown) => boolean | number) | undefined;
}

/**
 * Calls `f` until it succeeds, for as long as `ctx` lasts.
 *
 * Never waits past the deadline of `ctx`: if the next wait would reach it, `retry`
 * gives up at once, while the caller still has time to do something else. Once
 * `ctx` is done, `f` is not called again and `retry` rejects with `ctx.err`, even
 * during a wait or an attempt that ignores its ctx.
 *
 * Each attempt has a ctx of its own that ends with the attempt. The result must
 * not depend on it: read the body of a response inside `f`. An attempt that
 * ignores the end of its ctx is abandoned and may overlap with the next one.
 *
 * @typeParam T The type of the result.
 * @param ctx The context that ends the attempts.
 * @param f The call. It receives the ctx of the attempt, and the number of the
 * attempt, from 1.
 * @param options Limits, waits, and which errors to retry.
 * @returns A promise for the first result. It rejects with `ctx.err` once `ctx` is
 * done, else with the last error: that of `f`, or `DeadlineExceeded` if the
 * attempt took longer than `attemptTimeout`.
 * @throws {TypeError} If `ctx` is not a context, `f` or `retryIf` is not a
 * function, or `options` or `backoff` is not an object.
 * @throws {RangeError} If an option is out of range. If the result of `retryIf` is
 * neither a boolean nor a number, the promise rejects with a RangeError.
 *
 * @example A backend that fails now and then
 * ```ts
 * import { background, retry, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 5_000);
 * const reply = await retry(ctx, async (ctx, attempt) => {
 *   const reply = await fetch("data:,hello", { signal: ctx.signal });
 *   if (attempt === 1) throw new Error("503");
 *   return await reply.text(); // in here: ctx ends with the attempt
 * }, { attemptTimeout: 1_000, backoff: { first: 10 } });
 * assertEquals(reply, "hello");
 * ```
 *
 * @example Only what may succeed later, and not before the server says
 * ```ts
 * import { background, retry } from "@curfew/context";
 * import { assertRejects } from "@std/assert";
 *
 * class HttpError extends Error {
 *   constructor(readonly status: number, readonly retryAfter?: number) {
 *     super(`status ${status}`);
 *   }
 * }
 *
 * function retryIf(error: unknown): boolean | number {
 *   if (!(error instanceof HttpError)) return true; // no connection
 *   if (error.status < 500 && error.status !== 429) return false;
 *   return error.retryAfter === undefined ? true : error.retryAfter * 1_000;
 * }
 *
 * const notFound = () => {
 *   throw new HttpError(404);
 * };
 * await assertRejects(
 *   () => retry(background(), notFound, { retryIf }),
 *   HttpError,
 *   "status 404",
 * );
 * ```
 */
export function retry<T>(
  ctx: Context,
  f: (ctx: Context, attempt: number) => T | PromiseLike<T>,
  options: RetryOptions = {},
): Promise<T> {
  assertContext("retry", ctx);
  assertOptions("retry", options);
  const { attempts = 5, attemptTimeout = Infinity, retryIf = always } = options;
  const { backoff = {} } = options;
  assertOptions("retry: backoff", backoff);
  const { first = 100, factor = 2, max = 10_000 } = backoff;
  assertFunction("retry", f, "f to be a function");
  assertFunction("retry", retryIf, "retryIf to be a function");
  assertNumber(
    "attempts to be an integer >= 1, or Infinity",
    attempts,
    attempts === Infinity || (Number.isInteger(attempts) && attempts >= 1),
  );
  assertNumber(
    "attemptTimeout > 0 ms",
    attemptTimeout,
    typeof attemptTimeout === "number" && attemptTimeout > 0,
  );
  assertNumber("backoff.first >= 0 ms", first, isFiniteFrom(0, first));
  assertNumber("backoff.factor >= 1", factor, isFiniteFrom(1, factor));
  assertNumber("backoff.max >= 0 ms", max, isFiniteFrom(0, max));
  return run(ctx, f, {
    attempts,
    attemptTimeout,
    retryIf,
    backoff: { first, factor, max },
  });
}

/** Options without gaps. */
interface Plan {
  readonly attempts: number;
  readonly attemptTimeout: number;
  readonly retryIf: (error: unknown) => boolean | number;
  readonly backoff: { first: number; factor: number; max: number };
}

async function run<T>(
  ctx: Context,
  f: (ctx: Context, attempt: number) => T | PromiseLike<T>,
  { attempts, attemptTimeout, retryIf, backoff }: Plan,
): Promise<T> {
  const { factor, max } = backoff;
  let limit = Math.min(backoff.first, max);
  for (let attempt = 1;; attempt++) {
    if (ctx.err !== undefined) throw ctx.err;
    const step = attemptUnder(ctx, attemptTimeout);
    let failure: unknown;
    try {
      return await orDone(step, call(f, step, attempt));
    } catch (error) {
      failure = error;
    } finally {
      step.cancel();
    }
    if (ctx.err !== undefined) throw ctx.err;
    if (attempt === attempts) throw failure;
    const wait = waitAfter(failure, retryIf, limit);
    if (wait >= remaining(ctx)) throw failure;
    await sleep(ctx, wait);
    limit = Math.min(limit * factor, max);
  }
}

function attemptUnder(ctx: Context, timeout: number): CancelableContext {
  return timeout === Infinity ? withCancel(ctx) : withTimeout(ctx, timeout);
}

/** Returns the wait before the next attempt in ms; Infinity to give up. */
function waitAfter(
  failure: unknown,
  retryIf: (error: unknown) => boolean | number,
  limit: number,
): number {
  const decision = retryIf(failure);
  if (decision === false) return Infinity;
  if (decision === true) return Math.random() * limit;
  if (typeof decision === "number" && !Number.isNaN(decision)) return decision;
  throw new RangeError(
    `retry: expected true, false or a number of ms from retryIf, got ${
      shown(decision)
    }`,
    { cause: failure },
  );
}

function always(): boolean {
  return true;
}

/** Returns whether `value` is a finite number, and not less than `least`. */
function isFiniteFrom(least: number, value: number): boolean {
  return Number.isFinite(value) && value >= least;
}

function assertNumber(
  expectation: string,
  value: unknown,
  good: boolean,
): void {
  if (good) return;
  throw new RangeError(`retry: expected ${expectation}, got ${shown(value)}`);
}
