/**
 * The alarm that wakes the deadline queue: a single timer of the platform at a
 * time, for the earliest deadline.
 *
 * Under the real clock it is an `AbortSignal.timeout`, which costs a tenth of a
 * `setTimeout` and leaves nothing for a test's sanitizer to find. While a test has
 * replaced `setTimeout`, it is a timer of that clock.
 */

/** Timers of the platform take at most this many ms (denoland/deno#32858). */
const longestDelay = 2 ** 31 - 1;

/** The real timers, as they were before any test replaced them. */
const { timeout } = AbortSignal;
const realSetTimeout = globalThis.setTimeout;

/** Wakes the queue. The two kinds differ only in the timers they use. */
interface Timer {
  /** Fires at `at` or earlier. Replaces what was set before. */
  set(at: number, now: number): void;
  /** Stops firing and stops keeping the process alive. */
  release(): void;
}

/** The timer for whatever clock is installed at the time. */
export class Alarm {
  readonly #real: RealTimer;
  readonly #fake: FakeTimer;
  #current: Timer;

  /**
   * @param ring Called with the time that the alarm was set for, or an earlier
   * one; -Infinity if it only wants to be set again.
   */
  constructor(ring: (at: number) => void) {
    this.#real = new RealTimer(ring);
    this.#fake = new FakeTimer(ring);
    this.#current = this.#real;
  }

  /**
   * Rings at `at`, or earlier if it cannot wait that long; keeps the process
   * alive until then. Replaces the time that was set before.
   */
  set(at: number, now: number): void {
    const timer = globalThis.setTimeout === realSetTimeout
      ? this.#real
      : this.#fake;
    if (timer !== this.#current) this.#current.release();
    this.#current = timer;
    timer.set(at, now);
  }

  /** Does not ring, and lets the process end. */
  release(): void {
    this.#current.release();
  }

  /**
   * Forgets all timers. Called when a test clock was installed, replaced or
   * removed: a fake timer is then lost, and the time of a real one means nothing.
   */
  forget(): void {
    this.#real.forget();
    this.#fake.forget();
  }
}

/** One `AbortSignal.timeout`. */
interface Timeout {
  readonly signal: AbortSignal;
  /** The time at which it fires. */
  readonly at: number;
  /** A timeout that was set before and fires later; needed again after this one. */
  readonly later: Timeout | undefined;
}

/**
 * `AbortSignal.timeout` cannot be cleared, so a timeout is kept for as long as it
 * fires early enough. An earlier one is put in front of it, and the later one is
 * used again afterwards: otherwise every short wait beside a distant deadline
 * would leave one more timer to the platform for all that time.
 *
 * In Deno a timeout keeps the process alive exactly while it has a listener.
 */
class RealTimer implements Timer {
  readonly #ring: (at: number) => void;
  #next: Timeout | undefined;
  #isListening = false;
  #letProcessEnd: (() => void) | undefined;

  constructor(ring: (at: number) => void) {
    this.#ring = ring;
  }

  set(at: number, now: number): void {
    // Fired with nobody listening; or overdue, as after the sleep of a machine whose
    // timers stand still meanwhile, so that nothing says when they fire.
    while (this.#next && (this.#next.signal.aborted || this.#next.at < now)) {
      this.release();
      this.#next = this.#next.later;
    }
    if (this.#next === undefined || at < this.#next.at) {
      this.release();
      const delay = Math.min(Math.max(0, Math.ceil(at - now)), longestDelay);
      this.#next = {
        signal: timeout.call(AbortSignal, delay),
        at: Math.min(at, now + delay),
        later: this.#next,
      };
    }
    this.#listen();
  }

  release(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    this.#next!.signal.removeEventListener("abort", this.#fired);
    this.#letProcessEnd?.();
  }

  forget(): void {
    this.release();
    this.#next = undefined;
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#next!.signal.addEventListener("abort", this.#fired);
    this.#letProcessEnd = keepProcessAlive?.();
  }

  readonly #fired = (): void => {
    const { at, later } = this.#next!;
    this.release();
    this.#next = later;
    this.#ring(at);
  };
}

/**
 * Interval, in ms of real time, at which a fake alarm is renewed. Nothing announces that a
 * test clock is removed, and its timers go with it: without this, a deadline that
 * was pending then would be lost unless the program happened to look at it.
 */
const renewal = 1_000;

interface FakeTimeout {
  /** The time at which it fires. */
  readonly at: number;
  /** The `setTimeout` that made it, which tells test clocks apart. */
  readonly set: typeof setTimeout;
  clear(): void;
}

/** A `setTimeout` of a test clock, which can be cleared. */
class FakeTimer implements Timer {
  readonly #ring: (at: number) => void;
  #pending: FakeTimeout | undefined;
  #renewal: AbortSignal | undefined;
  /** True while `#renewal` has a listener. */
  #isRenewing = false;
  #letProcessEnd: (() => void) | undefined;

  constructor(ring: (at: number) => void) {
    this.#ring = ring;
  }

  set(at: number, now: number): void {
    this.#renew();
    const { setTimeout } = globalThis;
    // Setting it again would change its order among the timers of the test.
    if (this.#pending?.at === at && this.#pending.set === setTimeout) return;
    this.#clear();
    // A timer for nothing would make a test jump from one to the next forever.
    if (at < Infinity) this.#pending = this.#start(at, now);
    this.#letProcessEnd ??= keepProcessAlive?.();
  }

  release(): void {
    this.#clear();
    this.#isRenewing = false;
    this.#renewal?.removeEventListener("abort", this.#renewed);
    this.#letProcessEnd?.();
    this.#letProcessEnd = undefined;
  }

  forget(): void {
    this.#pending = undefined;
  }

  #start(at: number, now: number): FakeTimeout {
    const { setTimeout, clearTimeout } = globalThis;
    const delay = Math.min(Math.max(0, Math.ceil(at - now)), longestDelay);
    const id = setTimeout(() => {
      if (this.#pending !== pending) return;
      this.#pending = undefined;
      this.#ring(pending.at);
    }, delay);
    const pending: FakeTimeout = {
      at: Math.min(at, now + delay),
      set: setTimeout,
      clear: () => clearTimeout(id),
    };
    return pending;
  }

  #clear(): void {
    // Ids of one clock may be those of another's timers.
    if (this.#pending?.set === globalThis.setTimeout) this.#pending.clear();
    this.forget();
  }

  #renew(): void {
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    // It cannot be cleared, so one that has not fired is used again.
    if (this.#renewal === undefined || this.#renewal.aborted) {
      this.#renewal = timeout.call(AbortSignal, renewal);
    }
    this.#renewal.addEventListener("abort", this.#renewed);
  }

  readonly #renewed = (): void => {
    this.#isRenewing = false;
    this.#renewal = undefined;
    // The queue sets the alarm again, by whatever clock is there now.
    this.#ring(-Infinity);
  };
}

/**
 * Keeps the process alive until the function it returns is called. Undefined
 * where a timeout with a listener does so: everywhere but in Node.
 */
const keepProcessAlive = "process" in globalThis && !("Deno" in globalThis)
  ? holdNode.bind(undefined, setInterval, clearInterval)
  : undefined;

function holdNode(
  set: typeof setInterval,
  clear: typeof clearInterval,
): () => void {
  const timer = set(() => {}, longestDelay);
  return () => clear(timer);
}
