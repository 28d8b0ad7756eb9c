/**
 * The process around the contexts: signals of the operating system, and a main
 * function that ends as it should. The one file here that needs `Deno`.
 *
 * @module
 */

import { afterFunc } from "./after_func.ts";
import { background } from "./background.ts";
import type { CancelableContext, Context } from "./context.ts";
import { Canceled } from "./errors.ts";
import { running } from "./running.ts";
import { assertParent, Ending, Node } from "./tree.ts";
import { withTimeout } from "./with_deadline.ts";

/**
 * The cause of a context that a signal of the operating system has ended. It is
 * a `Canceled`, so what tests for that need not know of signals.
 *
 * @example
 * ```ts
 * import { background, cause, SignalError, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background());
 * ctx.cancel(new SignalError("SIGTERM")); // as notifyContext does
 * const why = cause(ctx);
 * if (why instanceof SignalError) console.log(why.signal); // SIGTERM
 * ```
 */
export class SignalError extends Canceled {
  /** The name of the signal. */
  readonly signal: Deno.Signal;

  /**
   * Makes one; for tests, which want to end a context as a signal would.
   *
   * @param signal The name of the signal.
   */
  constructor(signal: Deno.Signal) {
    super(undefined, `${signal} received`);
    this.signal = signal;
  }
}

/**
 * Derives a context that is done at the first of the given signals, with a
 * {@linkcode SignalError} as the cause. From then on, and from the moment it is
 * done for any other reason, the signals have their previous effect again: the
 * second Ctrl-C ends the process. Follows Go's `signal.NotifyContext`.
 *
 * A program as a whole is better run by {@linkcode main}.
 *
 * @param parent The context to derive from.
 * @param signals Which signals; `SIGINT` and `SIGTERM` by default. What Windows
 * does not know is left out there.
 * @returns The child; done from the start, and no signal listened to, where
 * `parent` is done.
 * @throws {TypeError} If `parent` is not a context, a signal does not exist or
 * cannot be listened to, or this is not Deno.
 *
 * @example
 * ```ts
 * import { background, notifyContext } from "@curfew/context";
 *
 * using ctx = notifyContext(background(), "SIGUSR1");
 * console.log(String(ctx)); // background.notifyContext(SIGUSR1)
 * ```
 */
export function notifyContext(
  parent: Context,
  ...signals: Deno.Signal[]
): CancelableContext {
  assertParent(parent);
  assertDeno("notifyContext");
  const names = signals.length > 0 ? signals : defaultSignals;
  const node = new NotifyNode(parent, names);
  if (node.err !== undefined) return node;
  const received = new AbortController();
  const listeners = new SignalListeners(
    "notifyContext",
    names,
    (signal) => received.abort(new SignalError(signal)),
  );
  Node.tie(
    node,
    received,
    () => Ending.canceledBy(received.signal.reason),
    () => listeners.remove(),
  );
  return node;
}

/** What {@linkcode main} can be told. */
export interface MainOptions {
  /** The signals that end the program; `SIGINT` and `SIGTERM` by default. */
  signals?: Deno.Signal[];
  /** How long, in ms, the program may take to end after one; 30,000 by default. */
  grace?: number;
  /** Ends the process; `Deno.exit` by default. For tests. */
  exit?: (code: number) => void;
}

/**
 * Runs a program: calls `f` with a context that the first signal ends, keeps the
 * process alive until `f` has settled, and then ends it.
 *
 * - `f` has returned, or has failed only because of the signal: exit code 0.
 * - `f` has failed otherwise: the error on stderr, exit code 1.
 * - A second signal has come: exit at once, 130 for `SIGINT`, 143 for `SIGTERM`.
 *   At a terminal, what comes within 100 ms of a Ctrl-C belongs to it.
 * - `f` has not settled `grace` ms after the signal: exit at once, code 1.
 *
 * In the last two cases one line on stderr says what was still running. Timers
 * and sockets that are left do not keep the process.
 *
 * @param f The program. Its context is done at the first signal, with a
 * {@linkcode SignalError} as the cause.
 * @param options Signals, grace and exit.
 * @returns A promise that resolves once `exit` has been called, for tests; with
 * `Deno.exit` nothing comes after it.
 * @throws {TypeError} If `f` is not a function, a signal does not exist or cannot
 * be listened to, or this is not Deno.
 * @throws {RangeError} If `grace` is not a number of ms, 0 or more.
 *
 * @example
 * ```ts
 * import { main } from "@curfew/context";
 *
 * await main(async (ctx) => {
 *   const reply = await fetch("data:,hello", ctx);
 *   console.log(await reply.text()); // hello
 * }, { exit: (code) => console.log(code) }); // 0
 * ```
 */
export function main(
  f: (ctx: Context) => unknown,
  options: MainOptions = {},
): Promise<void> {
  assertDeno("main");
  const { signals = defaultSignals, grace = 30_000, exit = Deno.exit } =
    options;
  if (typeof f !== "function") {
    throw new TypeError("main: the first argument must be a function");
  }
  if (!(typeof grace === "number" && grace >= 0)) {
    throw new RangeError(
      `main: grace must be a number of ms, 0 or more, got ${grace}`,
    );
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  const ctx = new NotifyNode(background(), signals);
  // Signal listeners and promises keep no process alive; a deadline does.
  const alive = withTimeout(background(), century);
  afterFunc(alive, () => {});
  const overtime = new Overtime(grace, (why, code) => {
    const held = [nameOf(f), ...[...running].map((describe) => describe())];
    const still = held.filter((what) => what !== undefined).join(", ");
    console.error(`main: ${why}, exit ${code}; still running: ${still}`);
    end(code);
  });
  // One set of listeners for as long as the program runs: to take one away and
  // add the next loses signals in between.
  let interruptedAt = -Infinity;
  const listeners = new SignalListeners("main", signals, (signal) => {
    if (ctx.err !== undefined) {
      const echo = signal === "SIGINT" && Deno.stdin.isTerminal() &&
        performance.now() - interruptedAt < keyPress;
      return echo ? undefined : overtime.cutShort(signal);
    }
    if (signal === "SIGINT") interruptedAt = performance.now();
    overtime.start();
    ctx.cancel(new SignalError(signal));
  });

  let ended = false;
  function end(code: number): void {
    if (ended) return;
    ended = true;
    overtime.stop();
    listeners.remove();
    alive.cancel();
    ctx.cancel();
    exit(code);
    resolve();
  }

  call(f, ctx).then(
    () => end(0),
    (error) => {
      if (ended) return;
      if (isBecauseOf(ctx, error)) return end(0);
      console.error(error);
      end(1);
    },
  );
  return promise;
}

/** Tells who is in Node or a browser what to do there. */
function assertDeno(caller: string): void {
  if (typeof Deno === "object") return;
  throw new TypeError(
    `${caller}: this needs Deno; elsewhere, cancel a context of withCancel in ` +
      "a listener of your own for the signals",
  );
}

const defaultSignals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM"];

/** In ms: longer than any program runs. */
const century = 100 * 365 * 24 * 3_600_000;

/**
 * In ms: what comes from a terminal within this is one Ctrl-C. The terminal sends
 * it to the whole group, and `deno task` passes it on to its child once more.
 */
const keyPress = 100;

/** Signals and their numbers, where those are the same on all systems. */
const signalNumbers: { readonly [name: string]: number } = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGBREAK: 21,
};

/** The time between the first signal and the end of the process. */
class Overtime {
  readonly #grace: number;
  readonly #exit: (why: string, code: number) => void;
  #timeout: CancelableContext | undefined;
  #stopTimer: (() => boolean) | undefined;

  constructor(grace: number, exit: (why: string, code: number) => void) {
    this.#grace = grace;
    this.#exit = exit;
  }

  start(): void {
    this.#timeout = withTimeout(background(), this.#grace);
    this.#stopTimer = afterFunc(this.#timeout, () => {
      this.#exit(`the grace of ${this.#grace} ms is over`, 1);
    });
  }

  cutShort(signal: Deno.Signal): void {
    const code = 128 + (signalNumbers[signal] ?? 0);
    this.#exit(`${signal} received again`, code);
  }

  stop(): void {
    this.#stopTimer?.();
    this.#timeout?.cancel();
  }
}

/** One listener on each of some signals. */
class SignalListeners {
  readonly #listeners = new Map<Deno.Signal, () => void>();

  constructor(
    caller: string,
    signals: readonly Deno.Signal[],
    f: (signal: Deno.Signal) => void,
  ) {
    for (const signal of new Set(signals)) {
      const listener = () => f(signal);
      try {
        Deno.addSignalListener(signal, listener);
      } catch (error) {
        // SIGTERM, above all, does not exist on Windows (#9995).
        if (Deno.build.os === "windows") continue;
        this.remove();
        throw new TypeError(`${caller}: cannot listen to ${signal}`, {
          cause: error,
        });
      }
      this.#listeners.set(signal, listener);
    }
  }

  remove(): void {
    for (const [signal, listener] of this.#listeners) {
      Deno.removeSignalListener(signal, listener);
    }
    this.#listeners.clear();
  }
}

class NotifyNode extends Node {
  readonly #signals: readonly Deno.Signal[];

  constructor(parent: Context, signals: readonly Deno.Signal[]) {
    super(parent);
    this.#signals = signals;
  }

  protected override get label(): string {
    return `notifyContext(${this.#signals.join(" ")})`;
  }
}

// deno-lint-ignore require-await -- what f throws at once is a rejection too
async function call(
  f: (ctx: Context) => unknown,
  ctx: Context,
): Promise<unknown> {
  return f(ctx);
}

function nameOf(f: (ctx: Context) => unknown): string {
  return f.name === "" ? "the main function" : `${f.name}()`;
}

/** Whether `error` only says that `ctx` was cancelled. */
function isBecauseOf(
  ctx: Context,
  error: unknown,
  above: readonly unknown[] = [],
): boolean {
  if (ctx.err === undefined) return false;
  if (error instanceof Canceled) return true;
  // Causes may lead in a circle.
  if (above.includes(error)) return false;
  const path = [...above, error];
  if (error instanceof AggregateError) {
    return error.errors.length > 0 &&
      error.errors.every((each) => isBecauseOf(ctx, each, path));
  }
  return error instanceof Error && error.cause !== undefined &&
    isBecauseOf(ctx, error.cause, path);
}
