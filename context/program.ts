/** A program under `main`, from the call of its function to its exit code. */

import { afterFunc } from "./after_func.ts";
import { background } from "./background.ts";
import type { CancelableContext, Context } from "./context.ts";
import { failureReport, type Inspect } from "./failure_report.ts";
import { isCanceled } from "./is_canceled.ts";
import { type Owner, ownerKey, type Work } from "./owner.ts";
import { observer } from "./tree_observer.ts";
import { withTimeout } from "./with_deadline.ts";
import { withValue } from "./with_value.ts";

/** Options for {@linkcode Program}, and the process around it. */
export interface ProgramOptions {
  /** Grace period in ms. */
  readonly grace: number;
  /** Derives the program's context. */
  readonly derive: (parent: Context) => CancelableContext;
  /** Formats a value for stderr. */
  readonly inspect: Inspect;
  /** Returns the exit code that the program has set for itself. */
  readonly exitCode: () => number;
  /** Returns whether the program has its own handlers for errors of a kind. */
  readonly hasHandler: (kind: UnhandledKind) => boolean;
  /** Describes all open contexts; undefined unless `main` inspects them. */
  readonly describeTree?: (() => string) | undefined;
  /** Called once, with the exit code. */
  readonly exit: (code: number) => void;
}

/** Events of `node:process` for errors that nothing has handled. */
export type UnhandledKind = "uncaughtException" | "unhandledRejection";

/** Signal that asks the program to stop. */
export interface StopSignal {
  readonly name: string;
  /** Cause of the context that it ends. */
  readonly cause: unknown;
  /** Exit code if it forces the exit. */
  readonly forcedCode: number;
}

/**
 * Time in ms within which the same signal again is the same request. A terminal
 * sends Ctrl-C to the whole process group, `deno task` passes it on once more, and
 * libraries such as signal-exit raise each signal twice.
 */
const sameRequest = 100;

/** Longest delay of a timer in ms. */
const maxDelay = 2 ** 31 - 1;

/** The real ones: a test may fake the clock under which a program ends. */
const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;

/**
 * Runs a function, waits for it and for all work that it owns, then exits.
 *
 * 1. `ctx` ends at the first signal, at the first failure, or when nothing is left
 *    to wait for. The grace period begins at that moment.
 * 2. A failure is what the function throws, owned work rejects with or nobody
 *    handles, unless it only passes on the end of `ctx`. Each is printed once, at
 *    once.
 * 3. `exit` is called once: when nothing is left to wait for, when the grace
 *    period is over, or at a second signal.
 */
export class Program implements Owner {
  readonly ctx: CancelableContext;
  readonly #options: ProgramOptions;
  readonly #works = new Set<Work>();
  readonly #failures = new Set<unknown>();
  readonly #exited = Promise.withResolvers<void>();
  /**
   * Keeps the process alive, which promises and signal listeners do not. Set by
   * `run`.
   */
  #alive: ReturnType<typeof setInterval> | undefined;
  /** Ends the grace period without a word. Set by `#stop`. */
  #endGrace: () => void = () => {};
  /** Set at the first signal. */
  #signal: StopSignal | undefined;
  #signaledAt = -Infinity;
  /** True if the function rejected with nothing but its cancellation. */
  #isCutShort = false;
  #returned: number | undefined;
  #hasEnded = false;
  #onIdle: () => void = () => {};
  /** Timers of `#turn`. */
  readonly #turns = new Set<ReturnType<typeof setTimeout>>();

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.ctx = options.derive(withValue(background(), ownerKey, this));
  }

  /**
   * Runs `f`. Returns a promise that resolves when `exit` has been called, and
   * rejects with what `exit` throws.
   */
  run(f: (ctx: Context) => unknown): Promise<void> {
    this.#alive = setInterval(() => {}, maxDelay);
    addEventListener("error", this.#onError);
    addEventListener("unhandledrejection", this.#onRejection);
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    this.own({ describe: () => nameOf(f), finished });
    resolve(this.#call(f));
    this.#finish();
    return this.#exited.promise;
  }

  /** Handles a signal of the operating system. */
  handle(signal: StopSignal): void {
    if (this.#signal === undefined) {
      this.#signal = signal;
      this.#stop(signal.cause);
      // Not before: while listeners block, a repeated signal waits for them.
      this.#signaledAt = performance.now();
      return;
    }
    const { name, forcedCode } = signal;
    const isSame = name === this.#signal.name;
    if (isSame && performance.now() - this.#signaledAt < sameRequest) return;
    const when = isSame ? "again" : `after ${this.#signal.name}`;
    this.#force(`${name} received ${when}`, forcedCode);
  }

  own(work: Work): void {
    this.#works.add(work);
    const onFinished = () => {
      this.#works.delete(work);
      if (this.#works.size === 0) this.#onIdle();
    };
    work.finished.then(onFinished, (error) => {
      this.fail(error);
      onFinished();
    });
  }

  fail(error: unknown, isHandled?: () => boolean): void {
    if (isHandled !== undefined) {
      const finished = this.#turn().then(() => {
        if (!isHandled()) this.fail(error);
      });
      this.own({ describe: () => undefined, finished });
      return;
    }
    if (this.#hasEnded || this.#failures.has(error)) return;
    if (isCanceled(this.ctx, error)) return;
    this.#failures.add(error);
    print(failureReport(error, this.#options.inspect));
    this.#stop(error);
  }

  async #call(f: (ctx: Context) => unknown): Promise<void> {
    let result: unknown;
    try {
      result = await f(this.ctx);
    } catch (error) {
      this.#isCutShort = isCanceled(this.ctx, error);
      throw error;
    }
    if (typeof result !== "number") return;
    if (!(Number.isInteger(result) && result >= 0 && result <= 255)) {
      throw new RangeError(
        "main: expected the function to return an exit code from 0 to 255 or " +
          `no number, got ${result}`,
      );
    }
    this.#returned = result;
  }

  async #finish(): Promise<void> {
    await this.#idle();
    this.#stop();
    await this.#idle();
    this.#end(this.#exitCode());
  }

  /**
   * Waits until nothing is left to wait for, a turn of the event loop later. Only
   * then have unhandled rejections been reported.
   */
  async #idle(): Promise<void> {
    do {
      if (this.#works.size > 0) {
        await new Promise<void>((resolve) => this.#onIdle = resolve);
      }
      await this.#turn();
    } while (this.#works.size > 0);
  }

  #stop(cause?: unknown): void {
    if (this.ctx.err !== undefined) return;
    const { grace } = this.#options;
    const timer = withTimeout(background(), grace);
    observer?.described(timer, "timer", () => "grace period");
    const stopTimer = afterFunc(timer, () => this.#onGraceOver());
    this.#endGrace = () => {
      stopTimer();
      timer.cancel();
    };
    this.ctx.cancel(cause);
  }

  async #onGraceOver(): Promise<void> {
    // With a grace period of 0, what ends at once still ends well.
    await this.#turn();
    if (this.#works.size === 0) return this.#end(this.#exitCode());
    this.#force(`the grace period of ${this.#options.grace} ms is over`, 1);
  }

  #exitCode(): number {
    if (this.#failures.size > 0) return 1;
    if (this.#isCutShort && this.#signal?.name === "SIGINT") {
      return this.#signal.forcedCode;
    }
    return this.#returned ?? this.#options.exitCode();
  }

  #force(why: string, code: number): void {
    if (this.#hasEnded) return;
    const running = [...this.#works].map(describe)
      .filter((text) => text !== undefined);
    const still = running.length === 0
      ? ""
      : `; still running: ${running.join(", ")}`;
    const tree = this.#options.describeTree?.();
    const below = tree === undefined ? "" : `\n${tree}`;
    print(`main: ${why}, exit ${code}${still}${below}`);
    this.#end(code);
  }

  #end(code: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#endGrace();
    clearInterval(this.#alive);
    for (const timer of this.#turns) clearTimeout(timer);
    removeEventListener("error", this.#onError);
    removeEventListener("unhandledrejection", this.#onRejection);
    try {
      this.#options.exit(code);
      this.#exited.resolve();
    } catch (error) {
      this.#exited.reject(error);
    }
  }

  /** Waits for a turn of the event loop; forever if the program ends before. */
  #turn(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#hasEnded) return;
      const timer = setTimeout(() => {
        this.#turns.delete(timer);
        resolve();
      });
      this.#turns.add(timer);
    });
  }

  readonly #onError = (event: ErrorEvent): void => {
    // Deno gives no error for one that happened in a worker.
    const error = event.error ?? new Error(event.message);
    this.#onUnhandled("uncaughtException", event, error);
  };

  readonly #onRejection = (event: PromiseRejectionEvent): void => {
    this.#onUnhandled("unhandledRejection", event, event.reason);
  };

  #onUnhandled(kind: UnhandledKind, event: Event, error: unknown): void {
    if (event.defaultPrevented || this.#options.hasHandler(kind)) return;
    event.preventDefault();
    this.fail(error);
  }
}

function nameOf(f: (ctx: Context) => unknown): string {
  return f.name === "" ? "the main function" : `${f.name}()`;
}

function describe(work: Work): string | undefined {
  try {
    return work.describe();
  } catch {
    return "work without a description";
  }
}

/** Writes to stderr, which may be closed. */
export function print(text: string): void {
  try {
    console.error(text);
  } catch {
    // There is no other place to say it.
  }
}
