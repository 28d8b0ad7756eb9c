/** Children with a time at which they end. */

import type { CancelableContext, Context } from "./context.ts";
import { assertParent, Ending, Node } from "./tree.ts";

/** What {@linkcode withDeadline} and {@linkcode withTimeout} can be told. */
export interface DeadlineOptions {
  /**
   * What the function `cause` says once the deadline has passed; by default the
   * `DeadlineExceeded` itself. It does not apply to a cancel before that.
   */
  cause?: unknown;
}

/** The last moment, in ms since the epoch, that a Date can hold. */
const endOfTime = 8.64e15;

/**
 * Derives a context that is done at a given time, if not before: by `cancel`,
 * by being disposed of, or because `parent` is done. Its `err` is then a
 * `DeadlineExceeded`. Follows Go's `context.WithDeadline` and
 * `WithDeadlineCause`.
 *
 * Where `parent` has an earlier deadline that one stays in force, and the result
 * is a plain `withCancel`. Deadlines due in the same ms end in the order in which
 * they were made.
 *
 * A wall clock that is put back by more than a second takes the deadline back with
 * it: it comes when it would have come, as Go's does.
 *
 * The process is kept alive for the deadline only while somebody listens: while
 * the context or one under it has had its signal or promise asked for, or has an
 * `afterFunc`, and is not yet done.
 *
 * @param parent The context to derive from.
 * @param at The time: a Date, or ms since the epoch. What a Date cannot hold
 * (`Infinity`, say) is no deadline.
 * @param options The cause.
 * @returns The child; done from the start where `at` is now or past.
 * @throws {TypeError} If `parent` is not a context, or `at` neither a Date nor a
 * number.
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
  assertParent(parent);
  const time = at instanceof Date ? at.getTime() : at;
  assertTime("withDeadline", time, "a Date or a number of ms");
  return endAt(parent, time, Date.now(), options);
}

/**
 * Derives a context that is done `ms` from now, if not before. The same as
 * `withDeadline(parent, Date.now() + ms)`; follows Go's `context.WithTimeout`
 * and `WithTimeoutCause`.
 *
 * @param parent The context to derive from.
 * @param ms How long from now, in ms, of any size: what is more than the
 * platform's timers take is right, and `Infinity` is no deadline.
 * @param options The cause.
 * @returns The child; done from the start where `ms` is zero or less.
 * @throws {TypeError} If `parent` is not a context, or `ms` not a number.
 * @throws {RangeError} If `ms` is NaN.
 *
 * @example A request that may take half a second
 * ```ts
 * import { background, type Context, withTimeout } from "@curfew/context";
 *
 * async function greeting(ctx: Context): Promise<string> {
 *   using step = withTimeout(ctx, 500);
 *   const reply = await fetch("data:,hello", step);
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
  assertParent(parent);
  assertTime("withTimeout", ms, "a number of ms");
  // Read once: a look at the clock is half of what the whole call costs.
  const now = Date.now();
  return endAt(parent, now + ms, now, options);
}

function endAt(
  parent: Context,
  at: number,
  now: number,
  options: DeadlineOptions | undefined,
): CancelableContext {
  if (at > endOfTime || Node.due(parent) < at) return new Node(parent);
  const exceeded = Ending.exceededWith(options?.cause);
  return Node.withDeadline(parent, Math.max(at, -endOfTime), now, exceeded);
}

function assertTime(caller: string, time: number, expected: string): void {
  if (typeof time !== "number") {
    throw new TypeError(`${caller}: the time must be ${expected}`);
  }
  if (Number.isNaN(time)) {
    throw new RangeError(`${caller}: the time is NaN, it must be ${expected}`);
  }
}
