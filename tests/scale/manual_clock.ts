/**
 * A test clock that is set by hand. Unlike `FakeTime` it can pass a deadline
 * without firing a timer, as the real clock does while the event loop is busy.
 */
export class ManualClock implements Disposable {
  /** The time in ms since the epoch. Setting it fires nothing. */
  now: number;
  readonly #timers = new Map<number, { at: number; fire: () => void }>();
  readonly #restore: () => void;
  #lastId = 0;

  constructor(now = Date.UTC(2026, 10, 22, 5)) {
    this.now = now;
    const { Date: realDate, setTimeout, clearTimeout } = globalThis;
    this.#restore = () =>
      Object.assign(globalThis, { Date: realDate, setTimeout, clearTimeout });
    const time = (): number => this.now;
    class FakeDate extends realDate {
      constructor(value: number | string | Date = time()) {
        super(value);
      }
      static override now(): number {
        return time();
      }
    }
    Object.assign(globalThis, {
      Date: FakeDate,
      setTimeout: (fire: () => void, delay = 0): number => {
        this.#timers.set(++this.#lastId, { at: this.now + delay, fire });
        return this.#lastId;
      },
      clearTimeout: (id: number) => void this.#timers.delete(id),
    });
  }

  /** Fires the timers that are due. */
  ring(): void {
    for (const [id, { at, fire }] of [...this.#timers]) {
      if (at > this.now || !this.#timers.delete(id)) continue;
      fire();
    }
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}
