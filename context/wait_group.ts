/** Counts tasks. */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { call } from "./call.ts";
import type { Context } from "./context.ts";
import { orDone } from "./or_done.ts";
import { shown } from "./shown.ts";

/**
 * Counts tasks and waits until none is left. Follows Go's `sync.WaitGroup`. For
 * tasks that are canceled together, or limited, use `group`.
 *
 * A round lasts from the first task until the count is zero; then the next one
 * can begin. The first failure of a round's tasks is what its `wait` rejects
 * with, and never an unhandled rejection. If no `wait` got it, it is kept for the
 * next round.
 *
 * @example
 * ```ts
 * import { background, sleep, WaitGroup } from "@curfew/context";
 *
 * const tasks = new WaitGroup();
 * for (const name of ["ada", "grace"]) {
 *   tasks.go(async () => {
 *     await sleep(background(), 1);
 *     console.log(name, "is done");
 *   });
 * }
 * await tasks.wait();
 * console.log("all are done");
 * ```
 */
export class WaitGroup {
  #count = 0;
  #round = new Round();

  /** Number of tasks that have not ended. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds tasks to the count.
   *
   * @param n Number of tasks; 1 by default. It may be negative, as in Go.
   * @throws {RangeError} If the count would fall below zero.
   * @throws {TypeError} If `n` is not an integer.
   */
  add(n: number = 1): void {
    if (!Number.isInteger(n)) {
      throw new TypeError(
        `WaitGroup.add: expected an integer, got ${shown(n)}`,
      );
    }
    if (this.#count + n < 0) {
      throw new RangeError(
        `WaitGroup.add: the count would fall to ${this.#count + n}: ` +
          "done() was called more often than add()",
      );
    }
    if (n === 0) return;
    // A new round starts without a failure, unless no wait() has got it yet.
    if (this.#count === 0) this.#round = new Round(this.#round.untold);
    this.#count += n;
    if (this.#count === 0) this.#round.end();
  }

  /**
   * Takes one task that has ended off the count.
   *
   * @throws {RangeError} If the count would fall below zero.
   */
  done(): void {
    this.add(-1);
  }

  /**
   * Adds a task to the count, calls `f`, and takes the task off the count when `f`
   * has returned or thrown or, if it returned a promise, when that has settled.
   *
   * @param f The task. If it throws or rejects, that is a failure of the round.
   * @throws {TypeError} If `f` is not a function.
   */
  go(f: () => unknown): void {
    assertFunction("WaitGroup.go", f);
    this.add();
    call(f).then(
      () => this.done(),
      (error) => {
        this.#round.failure ??= { error, isTold: false };
        this.done();
      },
    );
  }

  /**
   * Waits until the count is zero. At zero it settles at once, even if `ctx` is
   * done. Concurrent calls settle together.
   *
   * @param ctx The context that ends the wait. Without it, nothing does.
   * @returns A promise that resolves at zero. It rejects with the first failure of
   * the round's tasks, once all of them have ended, or with `ctx.err` if `ctx` is
   * done before.
   * @throws {TypeError} If `ctx` is not a context.
   */
  async wait(ctx?: Context): Promise<void> {
    if (ctx !== undefined) assertContext("WaitGroup.wait", ctx);
    const round = this.#round;
    if (this.#count > 0) await round.wait(ctx);
    if (round.failure === undefined) return;
    round.failure.isTold = true;
    throw round.failure.error;
  }
}

/** The time from the first task until the count is zero. */
class Round {
  /** The first failure of the round's tasks. */
  failure: Failure | undefined;
  // Not one promise for all calls of wait(): it would keep the reactions of those
  // whose ctx has ended.
  readonly #waiting = new Set<() => void>();
  #isOver = false;

  constructor(failure?: Failure) {
    this.failure = failure;
  }

  /** The failure, if no `wait` has got it yet. */
  get untold(): Failure | undefined {
    return this.failure?.isTold ? undefined : this.failure;
  }

  end(): void {
    this.#isOver = true;
    // The next round may begin before the calls of wait() go on.
    if (this.failure !== undefined && this.#waiting.size > 0) {
      this.failure.isTold = true;
    }
    for (const settle of this.#waiting) settle();
  }

  async wait(ctx: Context | undefined): Promise<void> {
    let settle = () => {};
    const zero = new Promise<void>((resolve) =>
      this.#waiting.add(settle = resolve)
    );
    try {
      await (ctx === undefined ? zero : orDone(ctx, zero));
    } catch (error) {
      // An end of ctx after the last task does not matter.
      if (!this.#isOver) throw error;
    } finally {
      this.#waiting.delete(settle);
    }
  }
}

/** The first failure of a round. */
interface Failure {
  readonly error: unknown;
  /** Set once a `wait` rejects with it. */
  isTold: boolean;
}
