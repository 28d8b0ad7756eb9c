/**
 * The interface everything here is about, and the rules of its use.
 *
 * A context says when work must stop, why, and what belongs to it. It is handed
 * down: a function that waits for anything takes one as its first argument,
 * named `ctx`, and gives it, or a child of it, to whatever it calls.
 *
 * - Derive a child to add something: a way to cancel, a deadline, a value. The
 *   parent is never changed, and a child can never outlive it.
 * - Whoever derives a context that can be cancelled ends it, at the latest when
 *   the work is over: `using step = withTimeout(ctx, 500)`. Until then the
 *   parent holds on to it.
 * - Pass contexts as arguments; do not store them in objects that live longer
 *   than one call.
 * - Values are for what belongs to a request and crosses layers (a user, a
 *   trace id), not for optional arguments.
 * - One context may be given to any number of tasks at once.
 *
 * @module
 */

import type { ContextError } from "./errors.ts";
import type { Key } from "./key.ts";

/**
 * When work must stop, why, and what belongs to it.
 *
 * A context is itself a valid `{ signal }` bag: it can be given as the options
 * of `fetch`, `addEventListener`, `Deno.readTextFile` and anything else that
 * takes a signal. Any object that implements this interface is a good parent.
 *
 * Follows Go's `context.Context`.
 *
 * @example A context as the options of a platform call
 * ```ts
 * import { background, withTimeout } from "@curfew/context";
 *
 * using ctx = withTimeout(background(), 500);
 * const bus = new EventTarget();
 * bus.addEventListener("message", () => console.log("got one"), ctx);
 * ```
 */
export interface Context {
  /**
   * Aborted when the context is done; its reason is {@linkcode Context.err}.
   * Made when it is first asked for, always the same afterwards.
   */
  readonly signal: AbortSignal;

  /**
   * Resolves when the context is done, and never rejects. Made when it is first
   * asked for. For a loop that races against it, prefer `afterFunc`: a promise
   * keeps every reaction that was ever added to it.
   */
  readonly done: Promise<void>;

  /**
   * Undefined while the context is open, then what ended it: the same object on
   * every read. A deadline that has passed is seen at once, whether or not a
   * timer has had the time to fire.
   */
  readonly err: ContextError | undefined;

  /**
   * The earliest deadline in force, undefined where there is none. It moves only
   * with a wall clock that is put back.
   */
  readonly deadline: Date | undefined;

  /**
   * The value that the nearest `withValue` stored under `key`, or undefined.
   *
   * @throws {TypeError} If `key` was not made by `createKey`.
   */
  value<T>(key: Key<T>): T | undefined;
}

/**
 * A context that can be ended: what `withCancel` and its kin return.
 *
 * @example Ended by the block it was made in
 * ```ts
 * import { background, withCancel } from "@curfew/context";
 *
 * function search(): void {
 *   using ctx = withCancel(background());
 *   // whatever is started here with ctx is told to stop when search() is left
 *   console.log(ctx.err); // undefined
 * }
 * search();
 * ```
 */
export interface CancelableContext extends Context, Disposable {
  /**
   * Ends the context and everything under it; when it returns, all of them are
   * done. Calling it again changes nothing. It is bound: it can be handed on as
   * a function.
   *
   * @param cause Why. `null` and `undefined` give no cause, anything else is
   * one; it is read by the function `cause`.
   */
  readonly cancel: (cause?: unknown) => void;
}
