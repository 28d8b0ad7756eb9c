/** Contexts that outlive their parent by a grace period. */

import { assertContext } from "./assert_context.ts";
import type { CancelableContext, Context } from "./context.ts";
import { drainingKey } from "./draining.ts";
import { Ending } from "./ending.ts";
import { assertMilliseconds } from "./milliseconds.ts";
import {
  causeOf,
  clock,
  DeadlineNode,
  expiry,
  graceEnd,
  GraceNode,
  label,
  Node,
  parent as parentOf,
  QuietWatch,
  Tie,
  ValueContext,
} from "./tree.ts";
import { withoutCancel } from "./without_cancel.ts";

/**
 * Derives a context for work that finishes what it has begun when `parent` ends:
 * it has the values of `parent` and is done `ms` milliseconds after it. Meanwhile
 * `draining(ctx)` is done together with `parent`, so the work can take nothing
 * new. Servers give their handlers such a pair; this is the same for a queue
 * consumer or a batch.
 *
 * It ends with a `Canceled` whose cause is that of `parent`. Its deadline is that
 * of `parent` plus `ms`.
 *
 * @param parent The context whose end begins the grace period.
 * @param ms The grace period in milliseconds; `Infinity` waits until the context
 * is canceled.
 * @returns The child. Cancel or dispose of it as soon as the work is done.
 * @throws {TypeError} If `parent` is not a context, or `ms` not a number.
 * @throws {RangeError} If `ms` is negative or NaN.
 *
 * @example A consumer that finishes the job in hand
 * ```ts
 * import { background, draining, every, withCancel, withGrace } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const service = withCancel(background());
 * using work = withGrace(service, 5_000);
 * for await (const tick of every(draining(work), 1)) {
 *   service.cancel("deployment"); // in the middle of the job
 *   assertEquals(work.err, undefined); // there is time to finish it
 *   assertEquals(tick, 1);
 * }
 * ```
 */
export function withGrace(parent: Context, ms: number): CancelableContext {
  assertContext("withGrace", parent);
  assertMilliseconds("withGrace", ms, "milliseconds >= 0");
  if (ms < 0) {
    throw new RangeError(`withGrace: expected milliseconds >= 0, got ${ms}`);
  }
  return new GracePeriod(parent, ms);
}

class GracePeriod extends GraceNode {
  readonly #origin: Context;
  readonly #ms: number;

  constructor(origin: Context, ms: number) {
    const base = new ValueContext(withoutCancel(origin), drainingKey, origin);
    super(base, Node.due(origin) + ms);
    this.#origin = origin;
    this.#ms = ms;
    if (DeadlineNode.at(this) < Infinity) {
      DeadlineNode.enqueue(this, clock.now());
    }
    if (!Node.isMarked(this)) Node.tie(this, new GraceTie(this, origin));
  }

  /** Called when the parent has ended or is found to have; idempotent. */
  begin(): void {
    const now = clock.now();
    // The deadline of the origin may have passed some time ago, unnoticed.
    const ended = Math.min(now, Node.due(this.#origin));
    const at = ended + this.#ms;
    if (at < DeadlineNode.at(this)) DeadlineNode.advance(this, at, now);
    // That can notify before it ends this context, and a listener look at it.
    else if (DeadlineNode.at(this) <= now) Node.end(this, this[expiry]());
  }

  override get [graceEnd](): number {
    return Math.min(DeadlineNode.at(this), Node.due(this.#origin) + this.#ms);
  }

  override [expiry](): Ending {
    const origin = this.#origin;
    // The parent is still open if `contextPort` asks for this end beforehand.
    return Ending.canceled(causeOf(origin) ?? Node.expiryOf(origin)?.cause);
  }

  override get [parentOf](): Context {
    return this.#origin;
  }

  override get [label](): string {
    return `withGrace(${this.#ms}ms)`;
  }
}

/** Begins the grace period when the parent ends. */
class GraceTie extends Tie {
  readonly #grace: GracePeriod;
  readonly #origin: Context;
  readonly #watch: QuietWatch;

  constructor(grace: GracePeriod, origin: Context) {
    super(grace, undefined);
    this.#grace = grace;
    this.#origin = origin;
    this.#watch = new QuietWatch(origin, () => grace.begin()).start();
  }

  override refresh(): void {
    if (this.#origin.err !== undefined) this.#grace.begin();
  }

  override release(): void {
    this.#watch.stop();
  }
}
