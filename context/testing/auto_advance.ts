/** Tests in which fake time passes by itself. */

import { shown } from "../shown.ts";
import { assertOptions } from "../assert_options.ts";
import { Node } from "../tree.ts";
import { callOf, type OpenNode, OpenNodes } from "./open_nodes.ts";
import { RealWait, turn } from "./turn.ts";

/**
 * A fake clock that is installed: `FakeTime` of `@std/testing/time`, a clock of
 * `@sinonjs/fake-timers`, or `vi` of vitest.
 *
 * @example
 * ```ts
 * import { autoAdvance, type TestClock } from "@curfew/context/testing";
 * import { FakeTime } from "@std/testing/time";
 *
 * using time = new FakeTime();
 * const clock: TestClock = time;
 * using _advancing = autoAdvance(clock);
 * ```
 */
export type TestClock =
  | {
    /** The time in ms. */
    readonly now: number;
    /** Moves to the next timer. Returns false, or the same time, without one. */
    next(): unknown;
  }
  | {
    /** Moves to the next timer. */
    advanceTimersToNextTimer(): unknown;
    /** Number of timers. */
    getTimerCount(): number;
  };

/** Options for {@linkcode autoAdvance}. */
export interface AutoAdvanceOptions {
  /**
   * Time in real ms that the program must also be idle before the clock moves; 0
   * by default. A few ms give real sockets the time they need.
   */
  quiet?: number;
}

/** A clock that moves by itself; returned by {@linkcode autoAdvance}. */
export interface AutoAdvance extends Disposable {
  /** Fake time in ms that has passed so far. */
  readonly elapsed: number;
  /**
   * Stops the clock until `promise` has settled, for something that takes real
   * time, such as a request to another process.
   *
   * @param promise The promise to wait for.
   * @returns A promise with the same outcome.
   */
  real<T>(promise: PromiseLike<T>): Promise<T>;
  /**
   * Waits until no timer is left and the program is idle.
   *
   * @returns A promise that resolves then, or when the clock is disposed of. It
   * rejects if something waits that no timer and no server can wake: a deadlock.
   * The message names what waits. It also rejects with what a timer throws, which
   * stops the clock; without a call of `idle` that is pending, that error goes unhandled.
   */
  idle(): Promise<void>;
}

/**
 * Moves a fake clock to its next timer whenever the program is idle, until it is
 * disposed of: a retry loop of thirty minutes takes milliseconds, and a test needs
 * no loop of ticks and microtasks.
 *
 * The program is idle when all microtasks have run and the real event loop has
 * turned twice without a context being created or ended. Requests and connections
 * of our servers create contexts, so they count. Follows Go's `testing/synctest`
 * and trio's autojump clock.
 *
 * @param clock The fake clock, which must be installed already.
 * @param options The time to be idle.
 * @returns The moving clock. Dispose of it before the clock is removed.
 * @throws {TypeError} If `clock` is no clock of a known kind, or `options` not an
 * object.
 * @throws {RangeError} If `quiet` is not a number of ms, 0 or more.
 *
 * @example A loop of thirty minutes
 * ```ts
 * import { background, every } from "@curfew/context";
 * import { autoAdvance } from "@curfew/context/testing";
 * import { FakeTime } from "@std/testing/time";
 * import { assertEquals } from "@std/assert";
 *
 * using time = new FakeTime();
 * using clock = autoAdvance(time);
 * for await (const tick of every(background(), 60_000)) if (tick === 30) break;
 * assertEquals(clock.elapsed, 30 * 60_000);
 * ```
 */
export function autoAdvance(
  clock: TestClock,
  options: AutoAdvanceOptions = {},
): AutoAdvance {
  assertOptions("autoAdvance", options);
  const { quiet = 0 } = options;
  if (!(typeof quiet === "number" && quiet >= 0)) {
    throw new RangeError(
      `autoAdvance: expected quiet in milliseconds >= 0, got ${shown(quiet)}`,
    );
  }
  return new MovingClock(steps(clock), quiet);
}

/** Time in real ms between looks for new timers while there are none. */
const pause = 1;

/** Looks without a timer or any activity after which nothing can wake the program. */
const deadlockLooks = 5;

class MovingClock implements AutoAdvance {
  readonly #steps: Steps;
  readonly #quiet: number;
  readonly #nodes = new OpenNodes();
  readonly #start = Date.now();
  #last = this.#start;
  #isOver = false;
  /** Number of promises that `real` waits for. */
  #real = 0;
  #wait: RealWait | undefined;
  #idle: Omit<PromiseWithResolvers<void>, "promise">[] = [];

  constructor(steps: Steps, quiet: number) {
    this.#steps = steps;
    this.#quiet = quiet;
    this.#run().catch((error) => this.#fail(error));
  }

  get elapsed(): number {
    if (!this.#isOver) this.#last = Date.now();
    return this.#last - this.#start;
  }

  async real<T>(promise: PromiseLike<T>): Promise<T> {
    this.#real++;
    try {
      return await promise;
    } finally {
      this.#real--;
    }
  }

  idle(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    // Not Promise.withResolvers(), which Node 20 lacks.
    const idle = new Promise<void>((resolve, reject) =>
      this.#idle.push({ resolve, reject })
    );
    this.#wait?.[Symbol.dispose]();
    return idle;
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#last = Date.now();
    this.#isOver = true;
    this.#wait?.[Symbol.dispose]();
    this.#nodes[Symbol.dispose]();
    for (const { resolve } of this.#idle.splice(0)) resolve();
  }

  async #run(): Promise<void> {
    let looks = 0;
    while (!this.#isOver) {
      await this.#settled();
      if (this.#isOver) return;
      if (this.#real === 0 && this.#steps.next()) {
        looks = 0;
        continue;
      }
      if (this.#real === 0 && ++looks >= deadlockLooks) this.#settleIdle();
      const before = this.#nodes.events;
      await this.#pause(pause);
      if (this.#nodes.events !== before) looks = 0;
    }
  }

  /** Stops the clock with what a timer threw: an error of `idle`, or an unhandled one. */
  #fail(error: unknown): void {
    const waiting = this.#idle.splice(0);
    this[Symbol.dispose]();
    if (waiting.length === 0) throw error;
    for (const { reject } of waiting) reject(error);
  }

  /** Resolves when the program is idle. */
  async #settled(): Promise<void> {
    let events: number;
    do {
      for (let turns = 0; turns < 2; turns++) {
        events = this.#nodes.events;
        await turn();
        if (this.#isOver) return;
        if (this.#nodes.events !== events) turns = -1;
      }
      events = this.#nodes.events;
      if (this.#quiet > 0) await this.#pause(this.#quiet);
    } while (this.#nodes.events !== events && !this.#isOver);
  }

  async #pause(ms: number): Promise<void> {
    // A program that is stuck must end, unless idle() is about to say so.
    this.#wait = new RealWait(ms, this.#idle.length > 0);
    await this.#wait.over;
  }

  #settleIdle(): void {
    if (this.#idle.length === 0) return;
    const stuck = this.#nodes.open().filter(({ node }) =>
      Node.isWait(node) && !this.#isServed(node)
    );
    for (const { resolve, reject } of this.#idle.splice(0)) {
      if (stuck.length === 0) resolve();
      else reject(new Error(deadlock(stuck)));
    }
  }

  /** Returns whether a server that runs can wake `node`. A group cannot. */
  #isServed(node: Node): boolean {
    return Node.lineage(node).some((above) => {
      const purpose = this.#nodes.purposeOf(above);
      return purpose !== undefined && purpose !== "group" && purpose !== "task";
    });
  }
}

function deadlock(stuck: readonly OpenNode[]): string {
  const lines = stuck.map((open) => `  ${callOf(open)} at ${open.site.line}`);
  return "autoAdvance: deadlock: no timer is left, and these wait:\n" +
    lines.join("\n");
}

/** Moves a clock from timer to timer. */
interface Steps {
  /** Moves to the next timer and fires it; returns false if there is none. */
  next(): boolean;
}

function steps(clock: TestClock): Steps {
  const {
    next,
    countTimers,
    advanceTimersToNextTimer,
    getTimerCount,
  } = Object(clock) as {
    next?: () => unknown;
    countTimers?: () => number;
    advanceTimersToNextTimer?: () => unknown;
    getTimerCount?: () => number;
  };
  if (advanceTimersToNextTimer !== undefined && getTimerCount !== undefined) {
    return stepsOf(
      () => getTimerCount.call(clock),
      () => advanceTimersToNextTimer.call(clock),
    );
  }
  if (typeof next === "function") {
    return countTimers === undefined
      ? { next: () => next.call(clock) === true }
      : stepsOf(() => countTimers.call(clock), () => next.call(clock));
  }
  throw new TypeError(
    "autoAdvance: expected a FakeTime, a clock of @sinonjs/fake-timers or " +
      `vitest's vi, got ${shown(clock)}`,
  );
}

function stepsOf(count: () => number, next: () => unknown): Steps {
  return {
    next: () => {
      if (count() === 0) return false;
      next();
      return true;
    },
  };
}
