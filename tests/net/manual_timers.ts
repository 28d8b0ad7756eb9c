/** Timers of the servers, under the control of a test. */

import { realTimers } from "../../net/real_timers.ts";

interface Timer {
  readonly f: () => void;
  readonly ms: number;
}

/** Replaces the timers of the real clock by timers that only the test fires. */
export class ManualTimers implements Disposable {
  readonly #real = { ...realTimers };
  readonly #timers = new Map<number, Timer>();
  /** Times in ms of all timers that were ever set, in order. */
  readonly set: number[] = [];

  constructor() {
    realTimers.setTimeout = ((f: () => void, ms = 0) => {
      const id = this.set.push(ms);
      this.#timers.set(id, { f, ms });
      return id;
    }) as unknown as typeof setTimeout;
    realTimers.clearTimeout = ((id: number) => {
      this.#timers.delete(id);
    }) as typeof clearTimeout;
  }

  /** Times in ms of the timers that are pending, in order. */
  get pending(): number[] {
    return Array.from(this.#timers.values(), ({ ms }) => ms);
  }

  /** Fires the pending timers that were set for `ms`. */
  fire(ms: number): void {
    for (const [id, timer] of [...this.#timers]) {
      if (timer.ms !== ms) continue;
      this.#timers.delete(id);
      timer.f();
    }
  }

  [Symbol.dispose](): void {
    Object.assign(realTimers, this.#real);
  }
}
