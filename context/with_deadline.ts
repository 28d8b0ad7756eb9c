/** Contexts with a deadline. */

import { assertContext } from "./assert_context.ts";
import { assertOptions } from "./assert_options.ts";
import { endOfTime } from "./clock.ts";
import type { CancelableContext, Context } from "./context.ts";
import { isError } from "./error_parts.ts";
import { assertMilliseconds } from "./milliseconds.ts";
import { clock, DeadlineNode, Node } from "./tree.ts";

/** Options for {@linkcode withDeadline} and {@linkcode withTimeout}. */
export interface DeadlineOptions {
  /**
   * Returned by the function `cause` once the deadline has passed; by default the
   * `DeadlineExceeded` itself. It does not apply if the context is canceled first.
   */
  cause?: unknown;
}

/**
 * Derives a context that is done at a given time, or earlier: when `cancel` is
 * called, when it is disposed of, or when `parent` is done. If the time comes
 * first, its `err` is a `DeadlineExceeded`. Follows Go's `context.WithDeadline`
 * and `context.WithDeadlineCause`.
 *
 * If `parent` has an earlier deadline, that one applies and the result is a plain
 * `withCancel`. Deadlines that are due in the same millisecond end in the order in
 * which they were made.
 *
 * Time is monotonic: if the wall clock is stepped later on, the deadline comes
 * when it would have come otherwise, as in Go.
 *
 * The deadline keeps the process alive only while something waits for the context
 * or one below it: while it is open and its signal or promise has been read, or an
 * `afterFunc` is registered.
 *
 * @param parent The context to derive from.
 * @param at The time, as a Date or in ms since the epoch. A time that no Date can
 * hold, such as `Infinity`, is no deadline.
 * @param options The cause.
 * @returns The child; done from the start if `at` is now or in the past.
 * @throws {TypeError} If `parent` is not a context, `at` is neither a Date nor a
 * number, or `options` is an Error or not an object.
 * @throws {RangeError} If `at` is NaN or an invalid Date.
 *
 * @example
 * ```ts
 * import { background, remaining, withDeadline } from "@curfew/context";
 * import { assert } from "@std/assert";
 *
 * using ctx = withDeadline(background(), new Date(Date.now() + 60_000));
 * assert(remaining(ctx) <= 60_000);
 * ```
 */
export function withDeadline(
  parent: Context,
  at: Date | number,
  options?: DeadlineOptions,
): CancelableContext {
  assertContext("withDeadline", parent);
  const time = at instanceof Date ? at.getTime() : at;
  assertMilliseconds(
    "withDeadline",
    time,
    "a Date or milliseconds since the epoch",
  );
  assertDeadlineOptions("withDeadline", options);
  if (time > endOfTime) return new Node(parent);
  const now = clock.now();
  return endAt(parent, clock.fromWall(time), now, options);
}

/**
 * Derives a context that is done after `ms` milliseconds, or earlier. The same as
 * `withDeadline(parent, Date.now() + ms)`. Follows Go's `context.WithTimeout` and
 * `context.WithTimeoutCause`.
 *
 * @param parent The context to derive from.
 * @param ms The time from now, in ms. It may exceed what the platform's timers
 * take; `Infinity` is no deadline.
 * @param options The cause.
 * @returns The child; done from the start if `ms` is zero or less.
 * @throws {TypeError} If `parent` is not a context, `ms` is not a number, or
 * `options` is an Error or not an object.
 * @throws {RangeError} If `ms` is NaN.
 *
 * @example A request that may take half a second
 * ```ts
 * import { background, type Context, withTimeout } from "@curfew/context";
 *
 * async function greeting(ctx: Context): Promise<string> {
 *   using step = withTimeout(ctx, 500);
 *   const reply = await fetch("data:,hello", { signal: step.signal });
 *   return await reply.text(); // read before step ends at the brace
 * }
 * console.log(await greeting(background())); // hello
 * ```
 */
export function withTimeout(
  parent: Context,
  ms: number,
  options?: DeadlineOptions,
): CancelableContext {
  assertContext("withTimeout", parent);
  assertMilliseconds("withTimeout", ms);
  assertDeadlineOptions("withTimeout", options);
  // Read once: reading the clock is half of what the whole call costs.
  const now = clock.now();
  return endAt(parent, now + ms, now, options);
}

function assertDeadlineOptions(caller: string, options: unknown): void {
  if (options === undefined) return;
  assertOptions(caller, options);
  // An Error type-checks, since it may have a cause.
  if (!isError(options)) return;
  throw new TypeError(
    `${caller}: expected an object with options, got an Error: pass { cause: error }`,
  );
}

function endAt(
  parent: Context,
  at: number,
  now: number,
  options: DeadlineOptions | undefined,
): CancelableContext {
  if (isBeyondDates(at) || Node.due(parent) < at) return new Node(parent);
  const node = new DeadlineNode(
    parent,
    Math.max(at, -endOfTime),
    options?.cause,
  );
  DeadlineNode.enqueue(node, now);
  return node;
}

/** Returns whether no Date can hold `at`, which is in ms of {@linkcode clock}. */
function isBeyondDates(at: number): boolean {
  // The wall time is needed only near the end: see withTimeout for what it costs.
  return at > endOfTime / 2 && clock.toWall(at) > endOfTime;
}
