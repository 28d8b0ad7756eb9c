/**
 * The interface that everything here is about, and the rules of its use.
 *
 * A context says when work must stop, why, and what belongs to it. It is handed
 * down: a function that waits for anything takes one as its first argument, named
 * `ctx`, and passes it, or a child of it, to whatever it calls.
 *
 * - Derive a child to add something: a way to cancel, a deadline, a value. The
 *   parent is never changed, and a child cannot outlive it.
 * - End every context that you derive, at the latest when its work is over:
 *   `using step = withTimeout(ctx, 500)`. Until then the parent refers to it.
 * - Pass contexts as arguments. Do not store them in objects that live longer than
 *   one call.
 * - Use values for what belongs to a request and crosses layers (a user, a trace
 *   id), not for optional arguments.
 * - Give one context to as many tasks as you like, at the same time.
 *
 * @module
 */

import type { ContextError } from "./errors.ts";
import type { Key } from "./key.ts";

/**
 * Deadline, cancellation and values of a piece of work. Any object that implements
 * this interface can be a parent. Follows Go's `context.Context`.
 *
 * Hand its signal to platform calls as `{ signal: ctx.signal }`. Do not hand over
 * the context itself as the options: an API that copies them loses the signal.
 *
 * @example The signal of a context in a platform call
 * ```ts
 * import { background, withTimeout } from "@curfew/context";
 *
 * using ctx = withTimeout(background(), 500);
 * const bus = new EventTarget();
 * bus.addEventListener("message", () => console.log("got one"), {
 *   signal: ctx.signal,
 * });
 * ```
 */
export interface Context {
  /**
   * Signal that is aborted when the context is done; its reason is
   * {@linkcode Context.err}. Created on first use, and the same from then on.
   */
  readonly signal: AbortSignal;

  /**
   * Promise that resolves when the context is done, and never rejects. Created on
   * first use. To race against it in a loop, use `afterFunc` instead: a promise
   * keeps every reaction that was ever added to it.
   */
  readonly done: Promise<void>;

  /**
   * Error that ended the context, undefined while it is open. The same object on
   * every read. Reading it notices a deadline that has passed, whether or not a
   * timer has had time to fire, and ends the context then.
   */
  readonly err: ContextError | undefined;

  /**
   * The earliest deadline that applies, undefined if there is none. Time is
   * monotonic: the Date moves along if the wall clock is stepped.
   */
  readonly deadline: Date | undefined;

  /**
   * Returns the value that the nearest `withValue` stored under `key`, or
   * undefined.
   *
   * @throws {TypeError} If `key` was not made by `createKey`.
   */
  value<T>(key: Key<T>): T | undefined;
}

/**
 * A context that can be ended: the result of `withCancel`, `withTimeout` and the
 * like.
 *
 * @example Ended by the block it was made in
 * ```ts
 * import { background, withCancel } from "@curfew/context";
 *
 * function search(): void {
 *   using ctx = withCancel(background());
 *   // everything that is started here with ctx stops when search() returns
 *   console.log(ctx.err); // undefined
 * }
 * search();
 * ```
 */
export interface CancelableContext extends Context, Disposable {
  /**
   * Ends the context and everything below it; when it returns, all of them are
   * done. Calling it again changes nothing. It is bound, so it can be passed on as
   * a function. Disposing of the context is the same as `cancel()`.
   *
   * @param cause The reason, returned by the function `cause`. Without one, or if
   * it is `null`, the cause is the error itself.
   */
  readonly cancel: (cause?: unknown) => void;
}
