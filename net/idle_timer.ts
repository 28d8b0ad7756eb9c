/** Idle timeouts. */

import { afterFunc } from "../context/after_func.ts";
import { background } from "../context/background.ts";
import type { CancelableContext } from "../context/context.ts";
import { clock } from "../context/tree.ts";
import { observer } from "../context/tree_observer.ts";
import { withTimeout } from "../context/with_deadline.ts";

/**
 * Cause of the context of a connection or peer that has sent and received nothing
 * for its `idleTimeout`. Also the error of a read of a request's body after the
 * `bodyTimeout` of `serveHttp`.
 *
 * @example A silent connection
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
  /** The timeout in ms. */
  readonly idleTimeout: number;

  /**
   * Creates the error. Servers do; you need it only in tests of handlers.
   *
   * @param idleTimeout The timeout in ms.
   */
  constructor(idleTimeout: number) {
    super(`nothing was sent or received for ${idleTimeout} ms`);
    this.name = "IdleTimeout";
    this.idleTimeout = idleTimeout;
  }
}

/**
 * Calls `f` once when `touch()` has not been called for `ms` milliseconds. A touch
 * only reads the clock: the alarm is not moved, but set again when it goes off too
 * early.
 */
export class IdleTimer {
  readonly #ms: number;
  readonly #f: () => void;
  /** Time of the last touch, in ms of the clock. */
  #last: number = clock.now();
  #alarm: CancelableContext | undefined;
  #stopped = false;

  /**
   * @param ms Idle timeout in ms; Infinity disables it.
   * @param f Called at most once.
   */
  constructor(ms: number, f: () => void) {
    this.#ms = ms;
    this.#f = f;
    if (ms !== Infinity) this.#set(ms);
  }

  /** Restarts the timeout. */
  touch(): void {
    if (this.#ms !== Infinity) this.#last = clock.now();
  }

  /** Stops the timer for good. */
  stop(): void {
    this.#stopped = true;
    this.#alarm?.cancel();
  }

  #set(ms: number): void {
    const alarm = this.#alarm = withTimeout(background(), ms);
    observer?.described(alarm, "timer", () => "idle timeout");
    afterFunc(alarm, () => {
      if (this.#stopped) return;
      const left = this.#last + this.#ms - clock.now();
      if (left > 0) this.#set(left);
      else this.#f();
    });
  }
}
