/** A test clock. */
export interface TestClock {
  name: string;
  /** Replaces Date and the timers. */
  install(now?: number): void;
  /** Lets time pass, with microtasks. */
  tick(ms: number): Promise<void>;
  uninstall(): void;
  /** Sets the wall clock only. */
  setTime?(now: number): void;
  /** Counts the timers that are pending. */
  countTimers?(): number;
  /** Replaces Date only. */
  installDate?(now?: number): void;
  /** Replaces the timers only. */
  installTimers?(): void;
}

/** A case: installs the clock, uses contexts, and throws if they do not move. */
export type Case = (clock: TestClock) => void | Promise<void>;

export const cases: { [name: string]: Case };

/** Runs `f` and removes the clock afterwards. */
export function under(clock: TestClock, f: Case): Promise<void>;
