// deno-lint-ignore no-import-prefix
import * as sinon from "npm:@sinonjs/fake-timers@15.5.0";

// The clock takes no longer wait than this, so a longer one is made of several.
const MAX_WAIT = 2 ** 31 - 1;

/** What a timer calls. */
// deno-lint-ignore no-explicit-any
export type Callback = (...args: any[]) => void;

interface Timer {
  callback: Callback;
  args: unknown[];
  delay: number;
  repeat: boolean;
  due: number;
  handle: sinon.TimerId;
}

/**
 * The timers of a fake clock, under small numbers of their own. The clock only
 * says whose turn it is; the call is made when the clock is done, so that what
 * is called may set timers and throw without hindrance.
 */
export class Timers {
  readonly #clock: sinon.Clock;
  readonly #timers = new Map<number, Timer>();
  #lastId = 0;
  #woken = 0;

  constructor(start: number) {
    this.#clock = sinon.createClock(start);
  }

  get now(): number {
    return this.#clock.now;
  }

  get size(): number {
    return this.#timers.size;
  }

  add(
    callback: Callback,
    delay: number,
    args: unknown[],
    repeat: boolean,
  ): number {
    const id = ++this.#lastId;
    const wait = Math.max(repeat ? 1 : 0, Math.floor(delay) || 0);
    const due = this.now + wait;
    const handle = this.#wake(id, due);
    this.#timers.set(id, { callback, args, delay: wait, repeat, due, handle });
    return id;
  }

  clear(id: unknown): void {
    if (typeof id !== "number") return;
    const timer = this.#timers.get(id);
    if (!timer) return;
    this.#timers.delete(id);
    this.#clock.clearTimeout(timer.handle);
  }

  /** Moves the clock on and calls what is due on the way. */
  advance(to: number): void {
    while (this.#next <= to && this.size > 0) this.#step();
    if (to > this.now) this.#clock.tick(to - this.now);
  }

  /** Moves the clock on to the next timer; false if there is none. */
  next(): boolean {
    while (this.size > 0) {
      if (!this.#step()) continue;
      this.advance(this.now);
      return true;
    }
    return false;
  }

  get #next(): number {
    return this.#clock.timerHeap?.peek()?.callAt ?? Infinity;
  }

  #wake(id: number, due: number): sinon.TimerId {
    const wait = Math.min(due - this.now, MAX_WAIT);
    return this.#clock.setTimeout(() => this.#woken = id, wait);
  }

  /** Moves the clock to whose turn it is; false if that one waits on. */
  #step(): boolean {
    this.#clock.next();
    const id = this.#woken;
    const timer = this.#timers.get(id)!;
    const due = timer.due <= this.now;
    if (due && timer.repeat) timer.due += timer.delay;
    if (due && !timer.repeat) this.#timers.delete(id);
    else timer.handle = this.#wake(id, timer.due);
    if (due) timer.callback.apply(null, timer.args);
    return due;
  }
}
