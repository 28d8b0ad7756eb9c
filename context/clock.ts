/**
 * The clock that deadlines are kept by: monotonic, and as fast as the wall clock.
 *
 * Invariants:
 *
 * 1. A step of the wall clock, in either direction, moves time by less than 100 ms
 *    and for 100 ms at most. Time is the wall clock minus a cached offset, since
 *    reading the monotonic clock costs twice as much, and an offset is good for the
 *    100 ms of wall time that follow its measurement.
 * 2. A test clock is whatever replaces `Date.now`. While one is installed, time
 *    follows it, forward only: a test clock that goes back is another clock, and so
 *    is another instance with the same functions (test_clock_instance.ts).
 * 3. Time is continuous when a test clock is installed, replaced or removed:
 *    what was 5 s away before is 5 s away after.
 */

import { TestClockInstance } from "./test_clock_instance.ts";

/** The `Date.now` that was there first; undefined if it is a test clock's. */
const wallNow =
  /\[native code\]/.test(Function.prototype.toString.call(Date.now))
    ? Date.now
    : undefined;
const monotonicNow = performance.now.bind(performance);
const realSetTimeout = globalThis.setTimeout;

/** For how long, in ms of wall time, an offset is good. */
const offsetLifetime = 100;

/** The last moment that a Date can hold, in ms since the epoch; minus it, the first. */
export const endOfTime = 8.64e15;

/** Rounding error in ms: the wall clock counts whole ms. */
const rounding = 2;

/** Milliseconds since an arbitrary moment. */
export class Clock {
  /** The `Date.now` that `#offset` belongs to. */
  #source: typeof Date.now | undefined = wallNow;
  readonly #instance = new TestClockInstance();
  /** Wall time minus time, in ms; whole unless a test clock has fractions. */
  #offset = 0;
  /** Monotonic time minus time; changes only when a test clock is removed. */
  #origin = 0;
  /** The wall time of the last measurement; under a test clock each read is one. */
  #measuredAt = -Infinity;
  /** The same, but -Infinity under a test clock, so that each read measures. */
  #freshAt = -Infinity;
  readonly #onSwitch: () => void;

  /**
   * @param onSwitch Called when a test clock was installed, replaced or removed.
   * Nothing announces one, so this happens at the next call of `now`.
   */
  constructor(onSwitch: () => void) {
    this.#onSwitch = onSwitch;
  }

  /** The time, in ms; whole unless a test clock has fractions. */
  now(): number {
    const wall = Date.now();
    const age = wall - this.#freshAt;
    if (Date.now !== wallNow || age < 0 || age >= offsetLifetime) {
      this.#measure(wall);
    }
    return wall - this.#offset;
  }

  /** The time of the last measurement: less than 100 ms before the last read. */
  get measured(): number {
    return this.#measuredAt - this.#offset;
  }

  /** True if a test clock was installed when the time was last read. */
  get isFake(): boolean {
    return this.#source !== wallNow;
  }

  /** The wall time at `time`, unless the wall clock is stepped before then. */
  toWall(time: number): number {
    this.now();
    return time + this.#offset;
  }

  /** The same as a Date: the nearest one if that is beyond all Dates. */
  toDate(time: number): Date {
    const wall = this.toWall(time);
    return new Date(Math.max(-endOfTime, Math.min(wall, endOfTime)));
  }

  /** The inverse of {@linkcode toWall}. */
  fromWall(wall: number): number {
    this.now();
    return wall - this.#offset;
  }

  /**
   * Called when a timer that was set for `time` has fired. If only the timers or
   * only `Date` belong to a test clock, the timers move the time. If neither does,
   * the timer is early because it was set by a time that followed a step.
   */
  advanceTo(time: number): void {
    const wall = Date.now();
    this.#measure(wall);
    const behind = time - (wall - this.#offset);
    if (behind <= rounding) return;
    if (!this.isFake && globalThis.setTimeout === realSetTimeout) return;
    this.#offset -= behind;
    if (!this.isFake) this.#origin -= behind;
  }

  #measure(wall: number): void {
    const isFake = Date.now !== wallNow;
    const isSwitch = isFake && this.#instance.hasChanged() ||
      Date.now !== this.#source || isFake && wall < this.#measuredAt;
    if (isSwitch) {
      this.#follow(wall);
    } else if (!isFake) {
      const offset = Math.round(wall - monotonicNow() + this.#origin);
      if (!(Math.abs(offset - this.#offset) <= rounding)) this.#offset = offset;
    }
    this.#measuredAt = wall;
    this.#freshAt = isFake ? -Infinity : wall;
    if (isSwitch) this.#onSwitch();
  }

  /** Invariant 3: starts from the last known time of the clock before. */
  #follow(wall: number): void {
    const time = this.isFake
      ? this.#measuredAt - this.#offset
      : Math.round(monotonicNow() - this.#origin);
    this.#source = Date.now;
    this.#offset = wall - time;
    if (!this.isFake) this.#origin = Math.round(monotonicNow()) - time;
  }
}
