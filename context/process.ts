/**
 * The process around the contexts: signals of the operating system, and `main`.
 * The only file here that needs `Deno`.
 *
 * @module
 */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { assertOptions } from "./assert_options.ts";
import { background } from "./background.ts";
import type { CancelableContext, Context } from "./context.ts";
import { Canceled } from "./errors.ts";
import type { OsSignal } from "./os_signal.ts";
import { inspect } from "./inspect/inspector.ts";
import { treeText } from "./inspect/tree_text.ts";
import { print, Program, type UnhandledKind } from "./program.ts";
import { shown } from "./shown.ts";
import { label, Node, parent as parentOf, Watch } from "./tree.ts";

/**
 * Cause of a context that a signal of the operating system has ended. It is a
 * `Canceled`, so code that tests for that class need not know about signals.
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
  readonly #signal: OsSignal;

  /**
   * Creates one. Needed only in tests that end a context as a signal would.
   *
   * @param signal Name of the signal.
   */
  constructor(signal: OsSignal) {
    super(undefined, `${signal} received`);
    this.#signal = signal;
  }

  /** Name of the signal. */
  get signal(): OsSignal {
    return this.#signal;
  }
}

/**
 * Derives a context that is done at the first of the given signals, with a
 * {@linkcode SignalError} as the cause. Once it is done, for whatever reason, the
 * signals have their previous effect again: a second Ctrl-C ends the process.
 * Follows Go's `signal.NotifyContext`.
 *
 * To run a whole program, use {@linkcode main}.
 *
 * @param parent The context to derive from.
 * @param signals Names of the signals, `SIGINT` and `SIGTERM` by default. Windows
 * ignores those that it does not have.
 * @returns The child. If `parent` is done, so is the child, and no signal is
 * listened to.
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
  ...signals: OsSignal[]
): CancelableContext {
  assertContext("notifyContext", parent);
  assertDeno("notifyContext");
  const names = signals.length > 0 ? signals : defaultSignals;
  const node = new NotifyNode(parent, names);
  if (node.err !== undefined) return node;
  const listeners = new SignalListeners(
    "notifyContext",
    names,
    (signal) => node.cancel(new SignalError(signal)),
  );
  new Watch(node, () => listeners.remove()).start();
  return node;
}

/** Options for {@linkcode main}. */
export interface MainOptions {
  /**
   * Names of the signals that ask the program to stop, `SIGINT` and `SIGTERM` by
   * default. Windows ignores those that it does not have.
   */
  signals?: OsSignal[];
  /**
   * Grace period in ms: the time that everything has to finish once the program's
   * ctx is done; 30,000 by default.
   */
  grace?: number;
  /**
   * True to record all contexts, as `inspect` of `@curfew/context/inspect` does:
   * at SIGUSR1 the tree of those that are open is printed on stderr, and also after
   * the line that names what was still running. False by default; Windows has no
   * SIGUSR1.
   */
  inspect?: boolean;
  /** Ends the process; `Deno.exit` by default. Needed only in tests. */
  exit?: (code: number) => void;
}

/**
 * Runs a program. Calls `f`, waits for it and for every server and group started
 * under its ctx, awaited or not, and then exits.
 *
 * The first signal ends ctx with a {@linkcode SignalError}, and everything
 * drains. After the grace period, or at a second signal, the process exits at
 * once, with one line on stderr that names what was still running. The same
 * signal again within 100 ms is the same request, since terminals, `deno task`
 * and libraries such as signal-exit repeat it.
 *
 * A failure ends ctx too, with the error as the cause. It is printed, and
 * everything drains. These are failures of the program:
 *
 * - `f` throws or rejects;
 * - a server fails on its own, or a task of a group that nobody waits for does;
 * - an error or a rejection goes unhandled (`error`, `unhandledrejection`).
 *
 * Errors that only pass on the end of ctx are not failures; see
 * {@linkcode isCanceled}.
 *
 * | the program ends                                | exit code                              |
 * | ----------------------------------------------- | -------------------------------------- |
 * | without a failure                               | what `f` returns if that is a number, else `Deno.exitCode`, which is 0 by default |
 * | with a failure                                  | 1                                      |
 * | because SIGINT canceled `f`, which rejected     | 130, so that `&&` in a shell stops     |
 * | at a second signal                              | 128 plus its number, 143 for SIGTERM   |
 * | because the grace period is over                | 1                                      |
 *
 * Timers and sockets that are left do not keep the process alive.
 *
 * @param f Main function. Its ctx is done at the first signal or failure. A
 * number that it returns must be an exit code from 0 to 255.
 * @param options Signals, grace period and exit.
 * @returns A promise that resolves when `exit` has returned, and rejects with what
 * `exit` throws. `Deno.exit` does neither.
 * @throws {TypeError} If `f` or `exit` is not a function, `options` is not an
 * object, a signal does not exist or cannot be listened to, or this is not Deno.
 * @throws {RangeError} If `grace` is not a number of ms, 0 or more.
 * @throws {Error} If another `main` is running in this process.
 *
 * @example
 * ```ts
 * import { main } from "@curfew/context";
 *
 * await main(async (ctx) => {
 *   const reply = await fetch("data:,hello", { signal: ctx.signal });
 *   console.log(await reply.text()); // hello
 * }, { exit: (code) => console.log(code) }); // 0
 * ```
 */
export function main(
  f: (ctx: Context) => unknown,
  options: MainOptions = {},
): Promise<void> {
  assertDeno("main");
  assertOptions("main", options);
  const { signals = defaultSignals, grace = 30_000, exit = exitProcess } =
    options;
  assertMainArguments(f, signals, grace, exit);
  if (isMainRunning) {
    throw new Error(
      "main: another main is running in this process, start everything under " +
        "the ctx of that one",
    );
  }
  // One set of listeners for as long as the program runs: between the removal of
  // a listener and the addition of the next, signals get lost.
  const listeners = new SignalListeners("main", signals, (signal) => {
    program.handle({
      name: signal,
      cause: new SignalError(signal),
      forcedCode: 128 + numberOf(signal),
    });
  });
  // Before the program, so that it knows all contexts.
  const inspection = options.inspect === true ? new Inspection() : undefined;
  const program = new Program({
    grace,
    describeTree: inspection && (() => inspection.text()),
    derive: (parent) => new MainNode(parent, signals),
    inspect: Deno.inspect,
    exitCode: () => Deno.exitCode,
    hasHandler,
    exit(code) {
      listeners.remove();
      inspection?.end();
      isMainRunning = false;
      exit(code);
    },
  });
  isMainRunning = true;
  return program.run(f);
}

/** Bounds of the tree that is printed. */
const textLimits = { children: 20, contexts: 500, depth: 30 };

/** Prints the tree at SIGUSR1. */
class Inspection {
  readonly #inspector = inspect();
  readonly #listener = new SignalListeners(
    "main",
    ["SIGUSR1"],
    () => print(`main: ${this.text()}`),
  );

  text(): string {
    return treeText(this.#inspector.tree(textLimits));
  }

  end(): void {
    this.#listener.remove();
    this.#inspector[Symbol.dispose]();
  }
}

let isMainRunning = false;

const defaultSignals: readonly OsSignal[] = ["SIGINT", "SIGTERM"];

function assertDeno(caller: string): void {
  if (typeof Deno === "object") return;
  throw new TypeError(
    `${caller}: this needs Deno; elsewhere, cancel a context of withCancel in ` +
      "your own listener for the signals",
  );
}

/** The part of `node:process` used here. Deno creates it at the first access. */
interface NodeProcess {
  listenerCount(event: string): number;
  exit(code: number): void;
}

/** Returns `node:process` if it has listeners for `event`. */
function processWith(event: string): NodeProcess | undefined {
  const { process } = globalThis as { process?: Partial<NodeProcess> | null };
  // Shims for browsers replace it by an object such as { env: {} }.
  if (typeof process?.listenerCount !== "function") return undefined;
  return process.listenerCount(event) > 0 ? process as NodeProcess : undefined;
}

/**
 * Returns whether `process.on(kind)` has listeners. Deno calls them after the
 * listeners of the web's events, unless they were added first.
 */
function hasHandler(kind: UnhandledKind): boolean {
  return processWith(kind) !== undefined;
}

/** Exits, after the listeners of `process.on("exit")`, which Deno.exit skips. */
function exitProcess(code: number): void {
  processWith("exit")?.exit(code);
  Deno.exit(code);
}

function assertMainArguments(
  f: unknown,
  signals: unknown,
  grace: unknown,
  exit: unknown,
): void {
  assertFunction("main", f);
  if (!Array.isArray(signals)) {
    throw new TypeError(
      "main: expected signals to be an array such as ['SIGTERM'], got " +
        shown(signals),
    );
  }
  if (!(typeof grace === "number" && grace >= 0)) {
    throw new RangeError(
      `main: expected grace to be a number of ms >= 0, got ${shown(grace)}`,
    );
  }
  assertFunction("main", exit, "exit to be a function");
}

/** Numbers of signals that are the same on all systems. */
const signalNumbers: { readonly [name: string]: number } = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGBREAK: 21,
};

/** Returns the number of `signal`, 0 if it is not known. */
function numberOf(signal: OsSignal): number {
  const isLinux = Deno.build.os === "linux" || Deno.build.os === "android";
  if (signal === "SIGUSR1") return isLinux ? 10 : 30;
  if (signal === "SIGUSR2") return isLinux ? 12 : 31;
  return signalNumbers[signal] ?? 0;
}

/** One listener on each of some signals. */
class SignalListeners {
  readonly #listeners = new Map<OsSignal, () => void>();

  constructor(
    caller: string,
    signals: readonly OsSignal[],
    f: (signal: OsSignal) => void,
  ) {
    for (const signal of new Set(signals)) {
      const listener = () => f(signal);
      try {
        Deno.addSignalListener(signal, listener);
      } catch (error) {
        // Windows has no SIGTERM, above all; see denoland/deno#9995.
        if (Deno.build.os === "windows") continue;
        this.remove();
        const { message } = error as Error;
        throw new TypeError(
          `${caller}: cannot listen to ${signal}: ${message}`,
          { cause: error },
        );
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
  readonly #signals: readonly OsSignal[];

  constructor(parent: Context, signals: readonly OsSignal[]) {
    super(parent);
    this.#signals = signals;
  }

  override get [label](): string {
    return `notifyContext(${this.#signals.join(" ")})`;
  }
}

/** Context of a program. Reads as if it were made by `notifyContext`. */
class MainNode extends NotifyNode {
  /** Hides the value that holds the program. */
  override get [parentOf](): Context {
    return background();
  }
}
