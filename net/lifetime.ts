/** The two moments in the life of a server. */

import { afterFunc } from "../context/after_func.ts";
import { background } from "../context/background.ts";
import { cause } from "../context/cause.ts";
import type { CancelableContext, Context } from "../context/context.ts";
import { drainingKey } from "../context/draining.ts";
import { ownerOf } from "../context/owner.ts";
import { remaining } from "../context/remaining.ts";
import { withCancel } from "../context/with_cancel.ts";
import { withTimeout } from "../context/with_deadline.ts";
import { withValue } from "../context/with_value.ts";
import { withoutCancel } from "../context/without_cancel.ts";
import { assertRange } from "./arguments.ts";
import { realTimers } from "./real_timers.ts";

/**
 * How long, in ms, `finished` still waits after the hard moment for handlers to
 * heed it. What takes no notice of its context must not hold the end up.
 */
const lastCall = 50;

/**
 * What every server here has: a soft moment, from which on it takes no new work,
 * and a hard one, a grace later, at which what is left of it is cut.
 *
 * Work in flight keeps the values of the server's context, not its end: it
 * learns of the hard moment only.
 */
export class Lifetime {
  /** Done at the soft moment: when the caller's context is, or `stop` is called. */
  readonly serving: CancelableContext;
  /** Done at the hard moment. */
  readonly work: CancelableContext;
  /** The same for the handlers, with the caller's values; knows the soft moment. */
  readonly handlers: Context;
  readonly #name: string;
  #grace: number;
  readonly #ended = Promise.withResolvers<void>();
  #overtime: CancelableContext | undefined;
  #atHard: () => void = () => {};

  /**
   * @param ctx The caller's.
   * @param name What messages call the server.
   * @param grace The ms between the two moments.
   * @param describe Says what the server still holds.
   */
  constructor(
    ctx: Context,
    name: string,
    grace: number,
    describe: () => string | undefined,
  ) {
    this.#name = name;
    assertRange(name, { grace }, 0);
    this.#grace = grace;
    this.serving = withCancel(ctx);
    this.work = withCancel(withoutCancel(ctx));
    this.handlers = withValue(this.work, drainingKey, this.serving);
    ownerOf(ctx)?.own({ describe, finished: this.#ended.promise });
  }

  /** Why the server ends. */
  get cause(): unknown {
    return cause(this.serving);
  }

  /** Calls `f` at the soft moment. */
  onSoft(f: () => void): void {
    afterFunc(this.serving, f);
  }

  /** Starts the grace; at its end cancels the work, then calls `f`. */
  startGrace(f: () => void = () => {}): void {
    if (this.work.err !== undefined) return;
    const overtime = withTimeout(background(), this.#grace);
    const longer = this.#overtime;
    this.#overtime = overtime;
    this.#atHard = f;
    longer?.cancel();
    afterFunc(overtime, () => {
      if (this.#overtime !== overtime || this.work.err !== undefined) return;
      this.work.cancel(
        new Error(`${this.#name}: the grace of ${this.#grace} ms is over`, {
          cause: this.cause,
        }),
      );
      f();
    });
  }

  /** At most that long from now, or from the soft moment; never longer than it is. */
  limitGrace(grace: number): void {
    assertRange(this.#name, { grace }, 0);
    const overtime = this.#overtime;
    const left = overtime === undefined ? this.#grace : remaining(overtime);
    if (grace >= left) return;
    this.#grace = grace;
    if (overtime !== undefined) this.startGrace(this.#atHard);
  }

  /** The server has ended: nothing of it may stay behind. */
  end(): void {
    this.work.cancel();
    this.serving.cancel();
    this.#overtime?.cancel();
    this.#ended.resolve();
  }
}

/** Resolves with `ended`, or a little later than the hard moment without it. */
export async function lastCallFor(ended: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = realTimers.setTimeout(resolve, lastCall);
  await Promise.race([ended, promise]);
  realTimers.clearTimeout(timer);
}
