/** The end of what nobody uses. */

import { afterFunc } from "../context/after_func.ts";
import { background } from "../context/background.ts";
import type { CancelableContext } from "../context/context.ts";
import { withTimeout } from "../context/with_deadline.ts";

/**
 * The cause of the context of a connection or peer on which nothing has been sent
 * or received for its `idleTimeout`.
 *
 * @example A connection that says nothing
 * ```ts
 * import { background, cause, dialTcp, IdleTimeout, serveTcp } from "@curfew/context";
 * import { assertInstanceOf } from "@std/assert";
 *
 * const why = Promise.withResolvers<unknown>();
 * const options = { hostname: "127.0.0.1", port: 0, idleTimeout: 20 };
 * await using server = serveTcp(background(), options, async (ctx) => {
 *   await ctx.done;
 *   why.resolve(cause(ctx));
 * });
 * using _silent = await dialTcp(background(), server.addr);
 * assertInstanceOf(await why.promise, IdleTimeout);
 * ```
 */
export class IdleTimeout extends Error {
  /** How long that was, in ms. */
  readonly idleTimeout: number;

  /**
   * Makes one; for tests of handlers.
   *
   * @param idleTimeout The time, in ms.
   */
  constructor(idleTimeout: number) {
    super(`nothing was sent or received for ${idleTimeout} ms`);
    this.name = "IdleTimeout";
    this.idleTimeout = idleTimeout;
  }
}

/**
 * Calls `f` once `touch()` has not been called for a while. A touch costs a look
 * at the clock: the alarm stays where it is, and is set anew when it goes off.
 */
export class IdleTimer {
  readonly #ms: number;
  readonly #f: () => void;
  #last: number = Date.now();
  #alarm: CancelableContext | undefined;
  #stopped = false;

  /**
   * @param ms How long; Infinity is never.
   * @param f Called once.
   */
  constructor(ms: number, f: () => void) {
    this.#ms = ms;
    this.#f = f;
    if (ms !== Infinity) this.#set(ms);
  }

  /** Something has happened: the time begins again. */
  touch(): void {
    if (this.#ms !== Infinity) this.#last = Date.now();
  }

  /** There is nothing to wait for any more. */
  stop(): void {
    this.#stopped = true;
    this.#alarm?.cancel();
  }

  #set(ms: number): void {
    const alarm = this.#alarm = withTimeout(background(), ms);
    afterFunc(alarm, () => {
      if (this.#stopped) return;
      const now = Date.now();
      // The clock was put back: nobody knows when that was, so it begins again.
      if (this.#last > now) this.#last = now;
      const left = this.#last + this.#ms - now;
      if (left > 0) this.#set(left);
      else this.#f();
    });
  }
}
