/** Waiting for a number of tasks. */

import type { Context } from "./context.ts";
import { orDone } from "./or_done.ts";
import { assertContext } from "./tree.ts";

/**
 * Counts tasks and waits until none is left. Follows Go's `sync.WaitGroup`; for
 * tasks that are to be cancelled together, or limited, see `group`.
 *
 * A round lasts from the first task until the count is zero. What a task of
 * {@linkcode WaitGroup.go} fails with is kept for those who wait; it is no
 * unhandled rejection.
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

  /** How many tasks have not ended. */
  get count(): number {
    return this.#count;
  }

  /**
   * Counts tasks.
   *
   * @param n How many; may be negative, as in Go.
   * @throws {RangeError} If the count would fall below zero.
   * @throws {TypeError} If `n` is not an integer.
   */
  add(n: number = 1): void {
    if (!Number.isInteger(n)) {
      throw new TypeError(`WaitGroup: add() takes an integer, got ${n}`);
    }
    if (this.#count + n < 0) {
      throw new RangeError(
        "WaitGroup: done() called more often than add()",
      );
    }
    if (n === 0) return;
    // A new round starts clean; but what nobody has heard of is not lost.
    if (this.#count === 0) this.#round = new Round(this.#round.untold);
    this.#count += n;
    if (this.#count === 0) this.#round.end();
  }

  /**
   * One task has ended.
   *
   * @throws {RangeError} If the count would fall below zero.
   */
  done(): void {
    this.add(-1);
  }

  /**
   * Runs a task: counts it, calls `f`, and counts it off once that has returned
   * or, where it returned a promise, once that has settled, well or not.
   *
   * @param f The task.
   * @throws {TypeError} If `f` is not a function.
   */
  go(f: () => unknown): void {
    if (typeof f !== "function") {
      throw new TypeError("WaitGroup: go() takes a function");
    }
    this.add();
    new Promise((resolve) => resolve(f())).then(
      () => this.done(),
      (error) => {
        this.#round.failure ??= { error, told: false };
        this.done();
      },
    );
  }

  /**
   * Waits until the count is zero; at zero it does not wait at all. All who wait
   * are told together.
   *
   * @param ctx What ends the wait early; it goes on for ever by default. At zero
   * it does not matter.
   * @returns A promise that resolves at zero, or rejects with the first failure
   * of the round's tasks, or with `ctx.err`.
   * @throws {TypeError} If `ctx` is not a context.
   */
  async wait(ctx?: Context): Promise<void> {
    if (ctx !== undefined) assertContext("WaitGroup.wait", ctx);
    const round = this.#round;
    if (this.#count > 0) await round.wait(ctx);
    if (round.failure === undefined) return;
    round.failure.told = true;
    throw round.failure.error;
  }
}

/** From the first task until the count is zero. */
class Round {
  /** The first of its tasks' failures. */
  failure: Failure | undefined;
  // Not one promise for all: it would keep those who have given up.
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(failure?: Failure) {
    this.failure = failure;
  }

  /** The failure, unless somebody has been told of it. */
  get untold(): Failure | undefined {
    return this.failure?.told ? undefined : this.failure;
  }

  end(): void {
    this.#over = true;
    // Those who wait are as good as told; the next round may begin before.
    if (this.failure !== undefined && this.#waiting.size > 0) {
      this.failure.told = true;
    }
    for (const tell of this.#waiting) tell();
  }

  async wait(ctx: Context | undefined): Promise<void> {
    let tell = () => {};
    const zero = new Promise<void>((resolve) =>
      this.#waiting.add(tell = resolve)
    );
    try {
      await (ctx === undefined ? zero : orDone(ctx, zero));
    } catch (error) {
      // That ctx ends after the last task does not matter.
      if (!this.#over) throw error;
    } finally {
      this.#waiting.delete(tell);
    }
  }
}

interface Failure {
  readonly error: unknown;
  told: boolean;
}
