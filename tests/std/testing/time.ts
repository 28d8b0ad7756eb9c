/**
 * A stand-in for `@std/testing/time` where only the npm registry can be
 * reached: the upstream API over the clock of `npm:@sinonjs/fake-timers`.
 *
 * @module
 */

import { type Callback, Timers } from "./timers.ts";

/** Options for `delay` of {@linkcode FakeTime}. */
export interface DelayOptions {
  /** Aborts the wait. */
  signal?: AbortSignal;
  /** Whether the wait keeps the process alive. By default it does. */
  persistent?: boolean;
}

/** Options for {@linkcode FakeTime}. */
export interface FakeTimeOptions {
  /** How fast the time goes by itself, 1 being real. By default it stands. */
  advanceRate: number;
  /** How often it moves in real milliseconds, by default 10. */
  advanceFrequency?: number;
}

/** Something was asked of the time that it cannot do as it is. */
export class TimeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "TimeError";
  }
}

const real = {
  Date,
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  timeout: AbortSignal.timeout,
};

let current: { time: FakeTime; timers: Timers } | undefined;

function faked(what: string): Timers {
  if (!current) throw new TimeError(`Cannot ${what}: time is not faked`);
  return current.timers;
}

function assertFunction(callback: unknown, name: string): void {
  if (typeof callback !== "function") {
    throw new TimeError(
      `FakeTime does not support non-function callbacks to ${name}`,
    );
  }
}

function fakeSetTimeout(
  callback: Callback,
  delay = 0,
  ...args: unknown[]
): number {
  assertFunction(callback, "setTimeout");
  return faked("set timeout").add(callback, delay, args, false);
}

function fakeClearTimeout(id?: unknown): void {
  faked("clear timeout").clear(id);
}

function fakeSetInterval(
  callback: Callback,
  delay = 0,
  ...args: unknown[]
): number {
  assertFunction(callback, "setInterval");
  return faked("set interval").add(callback, delay, args, true);
}

function fakeClearInterval(id?: unknown): void {
  faked("clear interval").clear(id);
}

function fakeTimeout(delay: number): AbortSignal {
  const controller = new AbortController();
  fakeSetTimeout(() => {
    controller.abort(new DOMException("Signal timed out.", "TimeoutError"));
  }, delay);
  return controller.signal;
}

function fakeNow(): number {
  return current?.timers.now ?? real.Date.now();
}

// One for all instances of FakeTime, as upstream: `Date` does not tell them apart.
const FakeDate = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length > 0 ? args : [fakeNow()], newTarget),
  apply: () => new real.Date(fakeNow()).toString(),
  get: (target, property, receiver) =>
    property === "now" ? fakeNow : Reflect.get(target, property, receiver),
});

function overrideGlobals(): void {
  globalThis.Date = FakeDate;
  globalThis.setTimeout = fakeSetTimeout as unknown as typeof setTimeout;
  globalThis.clearTimeout = fakeClearTimeout;
  globalThis.setInterval = fakeSetInterval as unknown as typeof setInterval;
  globalThis.clearInterval = fakeClearInterval;
  AbortSignal.timeout = fakeTimeout;
}

function restoreGlobals(): void {
  globalThis.Date = real.Date;
  globalThis.setTimeout = real.setTimeout;
  globalThis.clearTimeout = real.clearTimeout;
  globalThis.setInterval = real.setInterval;
  globalThis.clearInterval = real.clearInterval;
  AbortSignal.timeout = real.timeout;
}

/** Puts a time of its own in the place of the real one. */
export class FakeTime {
  readonly #start: number;
  readonly #timers: Timers;
  readonly #stop: () => void;

  constructor(
    start?: number | string | Date | null,
    options?: FakeTimeOptions,
  ) {
    if (current) {
      throw new TimeError("Cannot construct FakeTime: time is already faked");
    }
    this.#start = Math.floor(
      start == null ? real.Date.now() : new real.Date(start).getTime(),
    );
    if (Number.isNaN(this.#start)) {
      throw new TypeError(
        `Cannot construct FakeTime: invalid start time ${this.#start}`,
      );
    }
    this.#timers = new Timers(this.#start);
    current = { time: this, timers: this.#timers };
    overrideGlobals();

    const rate = Math.max(0, options?.advanceRate ?? 0);
    const frequency = Math.max(0, options?.advanceFrequency ?? 10);
    const advancing = rate > 0
      ? real.setInterval(() => this.tick(rate * frequency), frequency)
      : undefined;
    this.#stop = () => real.clearInterval(advancing);
  }

  /** Brings the real time back. */
  static restore(): void {
    if (!current) {
      throw new TimeError("Cannot restore time: time is already restored");
    }
    current.time.restore();
  }

  /** Brings the real time back while the callback runs. */
  static restoreFor<T>(
    // deno-lint-ignore no-explicit-any
    callback: (...args: any[]) => Promise<T> | T,
    // deno-lint-ignore no-explicit-any
    ...args: any[]
  ): Promise<T> {
    if (!current) {
      return Promise.reject(
        new TimeError("Cannot restore time: time is not faked"),
      );
    }
    const override = () => current && overrideGlobals();
    restoreGlobals();
    try {
      const result = callback(...args);
      if (result instanceof Promise) return result.finally(override);
      override();
      return Promise.resolve(result);
    } catch (error) {
      override();
      return Promise.reject(error);
    }
  }

  /** What time it is. To set it calls what is due until then. */
  get now(): number {
    return this.#timers.now;
  }
  set now(value: number) {
    if (value < this.now) {
      throw new RangeError(
        `Cannot set current time in the past, time must be >= ${this.now}: received ${value}`,
      );
    }
    this.#timers.advance(value);
  }

  /** What time it was at first. */
  get start(): number {
    return this.#start;
  }

  /** Resolves after so many real milliseconds. */
  delay(ms: number, options: DelayOptions = {}): Promise<void> {
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => {
      real.clearTimeout(timer);
      reject(new DOMException("Delay was aborted.", "AbortError"));
    };
    const timer = real.setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    return promise;
  }

  /** Lets everything run that waits for no timer. */
  async runMicrotasks(): Promise<void> {
    await this.delay(0);
  }

  /** Moves the time on. */
  tick(ms = 0): void {
    this.now += ms;
  }

  /** Lets everything run that waits for no timer, then moves the time on. */
  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.now += ms;
  }

  /** Moves the time on to the next timer. Whether there was one. */
  next(): boolean {
    return this.#timers.next();
  }

  /** As {@linkcode next}, when everything has run that waits for no timer. */
  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  /** Moves the time on until there is no timer left. */
  runAll(): void {
    while (this.next());
  }

  /** As {@linkcode runAll}, with everything else that is waiting. */
  async runAllAsync(): Promise<void> {
    while (this.#timers.size > 0) await this.nextAsync();
  }

  /** Brings the real time back. */
  restore(): void {
    if (!current) {
      throw new TimeError("Cannot restore time: time is already restored");
    }
    current = undefined;
    restoreGlobals();
    this.#stop();
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}
