/** The two-phase life that all servers share. */

import { afterFunc } from "../context/after_func.ts";
import { background } from "../context/background.ts";
import { cause } from "../context/cause.ts";
import type { CancelableContext, Context } from "../context/context.ts";
import { drainingKey } from "../context/draining.ts";
import { type Owner, ownerOf } from "../context/owner.ts";
import { remaining } from "../context/remaining.ts";
import { WaitGroup } from "../context/wait_group.ts";
import { withCancel } from "../context/with_cancel.ts";
import { withTimeout } from "../context/with_deadline.ts";
import { withValue } from "../context/with_value.ts";
import { withoutCancel } from "../context/without_cancel.ts";
import { assertRange } from "./arguments.ts";
import { observer } from "../context/tree_observer.ts";
import { addrText } from "./host_port.ts";
import { realTimers } from "./real_timers.ts";
import type {
  ServerAddr,
  ServerOptions,
  ServerState,
  ShutdownOptions,
} from "./server.ts";

/** Work that a {@linkcode ServerLifetime} starts, drains and cuts. */
export interface ServerWork<Report> {
  /**
   * Takes no new work from now on. Resolves when nothing is in flight and the
   * sockets are closed. Called once; never rejects. If the grace period is 0,
   * `isCut` is true already and `cut()` follows in the same turn.
   */
  drain(): Promise<unknown>;
  /**
   * Cuts what is left, and closes the sockets. Called when the grace period is
   * over, after the contexts of the handlers have been canceled, and when
   * `onListen` has thrown.
   */
  cut(): void;
  /** Counts off what is left, and returns the report. Called once, at the end. */
  report(): Report;
  /** Work in flight, such as "3 requests in flight"; undefined if there is none. */
  inFlight(): string | undefined;
}

/** Grace period in ms of a server that was given none. */
const defaultGrace = 10_000;

/**
 * Time in ms that handlers get to react to the end of the grace period before
 * `finished` leaves them behind.
 */
const lastCall = 50;

/** Throws a RangeError unless `lameDuck` and `grace` are durations. */
export function assertTimes(
  caller: string,
  { lameDuck = 0, grace = defaultGrace }: { lameDuck?: number; grace?: number },
): void {
  assertRange(caller, { lameDuck, grace }, 0);
}

/**
 * The life of one server, from the moment it listens until it is closed. Three
 * contexts make it up:
 *
 * 1. `#stopping` is done when the shutdown begins: the caller's ctx is done, or
 *    `shutdown()` or `fail()` has been called.
 * 2. `draining` is done when the drain begins: together with 1, or after the lame
 *    duck.
 * 3. `#working` is done when the grace period is over. `handlers` is a child of it
 *    with the values of the caller's ctx; the contexts of all work in flight
 *    derive from that one.
 *
 * `withGrace` would do for 2 and 3 if `shutdown()` could not shorten the grace
 * period, and if handlers did not want to read in their cause that it is over.
 */
export class ServerLifetime<Addr extends ServerAddr, Report> {
  /** Name of the function that made the server, for messages. */
  readonly name: string;
  /** Address on which the server listens. */
  readonly addr: Addr;
  /** Done when the drain begins; what `draining(ctx)` of a handler ends with. */
  readonly draining: CancelableContext;
  /** Parent of the contexts of all handlers. */
  readonly handlers: Context;
  /** See `Server.finished`. Set by `start()`. */
  finished!: Promise<Report>;
  readonly #stopping: CancelableContext;
  readonly #working: CancelableContext;
  readonly #owner: Owner | undefined;
  readonly #options: ServerOptions<Addr> & { readonly onError?: unknown };
  readonly #report: (error: unknown) => void;
  readonly #hooks: ((ctx: Context) => unknown)[] = [];
  /** Hooks that run; those that were registered late count as well. */
  readonly #running = new WaitGroup();
  /** Timers of grace periods that are running. */
  readonly #graces: CancelableContext[] = [];
  /** Set by `start()`. */
  #isAwaited!: boolean;
  #closed = false;
  #stoppedAt = 0;
  #failure: { error: Error } | undefined;

  /**
   * @param name Name of the calling function.
   * @param ctx The caller's ctx, which is open.
   * @param addr Address on which the server listens.
   * @param options Checked by `assertTimes`.
   * @param report Passes errors to `onError`.
   */
  constructor(
    name: string,
    ctx: Context,
    addr: Addr,
    options: ServerOptions<Addr> & { readonly onError?: unknown },
    report: (error: unknown) => void,
  ) {
    this.name = name;
    this.addr = addr;
    this.#options = options;
    this.#report = report;
    this.#owner = ownerOf(ctx);
    this.#stopping = withCancel(ctx);
    const values = withoutCancel(ctx);
    this.draining = this.#lameDuck === 0 ? this.#stopping : withCancel(values);
    this.#working = withCancel(values);
    this.handlers = withValue(this.#working, drainingKey, this.draining);
    if (observer === undefined) return;
    const describe = () => `${name} ${addrText(addr)}`;
    for (const part of [this.#stopping, this.draining, this.#working]) {
      observer.described(part, "server", describe);
    }
  }

  /**
   * Calls `onListen` and begins the life of `work`. Throws what `onListen` throws.
   *
   * @param work Work of the server.
   * @param isAwaited True if the caller of an asynchronous function gets `finished`
   * as its result: then a failure is the caller's to handle, and reported nowhere
   * else.
   */
  start(work: ServerWork<Report>, isAwaited = false): void {
    try {
      this.#options.onListen?.(this.addr);
    } catch (error) {
      work.cut();
      this.#end();
      throw error;
    }
    this.finished = this.#live(work);
    this.#isAwaited = isAwaited;
    // `fail()` has reported the failure.
    const handled = this.finished.catch(() => {});
    this.#owner?.own({
      describe: () => this.#describe(work),
      finished: isAwaited ? handled : this.finished,
    });
  }

  /** See `Server.state`. */
  get state(): ServerState {
    if (this.#closed) return "closed";
    if (this.ready) return "serving";
    return this.draining.err === undefined ? "lame-duck" : "draining";
  }

  /** See `Server.ready`. */
  get ready(): boolean {
    return this.#stopping.err === undefined;
  }

  /** True once the grace period is over and what was left has been cut. */
  get isCut(): boolean {
    return this.#working.err !== undefined;
  }

  /** Cause of the shutdown; undefined before it. */
  get cause(): unknown {
    return cause(this.#stopping);
  }

  /** Time in ms since the shutdown began. */
  get duration(): number {
    return performance.now() - this.#stoppedAt;
  }

  /** Time in ms until the grace period is over; Infinity before the drain. */
  get graceLeft(): number {
    if (this.isCut) return 0;
    return Math.min(Infinity, ...this.#graces.map((grace) => remaining(grace)));
  }

  /** See `Server.shutdown`. */
  shutdown(options: ShutdownOptions = {}): Promise<Report> {
    const isBag = typeof options === "object" && options !== null &&
      !(options instanceof Error);
    if (!isBag) {
      throw new TypeError(
        `${this.name}: shutdown() expects options such as { cause, grace }, ` +
          `got ${options instanceof Error ? "an Error" : typeof options}`,
      );
    }
    const { grace } = options;
    if (grace !== undefined) assertRange(this.name, { grace }, 0);
    this.#stopping.cancel(options.cause);
    if (grace !== undefined) {
      this.draining.cancel(this.cause);
      this.#startGrace(grace);
    }
    return this.finished;
  }

  /** See `Server.onShutdown`. */
  onShutdown(f: (ctx: Context) => unknown): void {
    if (typeof f !== "function") {
      throw new TypeError(`${this.name}: onShutdown() expects a function`);
    }
    if (this.ready) this.#hooks.push(f);
    else this.#running.go(() => this.#runHook(f));
  }

  /**
   * Ends the server because its listener or socket failed: reports that to
   * `onError` and to the program, drains what is in flight, then rejects `finished`.
   *
   * @param error Error of the socket; becomes the cause.
   * @param socket "listener" or "socket".
   */
  fail(error: unknown, socket: "listener" | "socket"): void {
    if (this.#failure !== undefined || this.#closed) return;
    const failure = new Error(
      `${this.name}: the ${socket} at ${addrText(this.addr)} ${
        howItEnded(error)
      }`,
      { cause: error },
    );
    this.#failure = { error: failure };
    if (!this.#isAwaited) this.#reportFailure(failure);
    this.#stopping.cancel(failure);
    this.draining.cancel(failure);
  }

  #reportFailure(failure: Error): void {
    const owner = this.#owner;
    // The program prints it, as the default `onError` would.
    const isPrinted = owner !== undefined &&
      this.#options.onError === undefined;
    if (!isPrinted) this.#report(failure);
    owner?.fail(failure);
  }

  get #lameDuck(): number {
    return this.#options.lameDuck ?? 0;
  }

  #describe(work: ServerWork<Report>): string {
    const held = work.inFlight();
    const server = `${this.name} ${addrText(this.addr)}`;
    return held === undefined ? server : `${server} with ${held}`;
  }

  async #live(work: ServerWork<Report>): Promise<Report> {
    await this.#stopping.done;
    this.#stoppedAt = performance.now();
    this.#running.go(() => this.#runHooks());
    if (this.draining.err === undefined) await this.#liveAsLameDuck();
    this.#announce("draining");
    this.#startGrace(this.#options.grace ?? defaultGrace);
    const drained = work.drain().then(() => this.#running.wait());
    await Promise.race([drained, this.#working.done]);
    if (this.isCut) {
      work.cut();
      await this.#lastCall(drained);
    }
    const report = work.report();
    this.#end();
    this.#closed = true;
    this.#announce("closed");
    if (this.#failure !== undefined) throw this.#failure.error;
    return report;
  }

  async #liveAsLameDuck(): Promise<void> {
    this.#announce("lame-duck");
    const duck = withTimeout(background(), this.#lameDuck);
    observer?.described(duck, "timer", () => "lame duck");
    afterFunc(duck, () => this.draining.cancel(this.cause));
    await this.draining.done;
    duck.cancel();
  }

  #startGrace(ms: number): void {
    if (this.isCut) return;
    const end = () =>
      this.#working.cancel(
        new Error(`${this.name}: the grace period of ${ms} ms is over`, {
          cause: this.cause,
        }),
      );
    const grace = withTimeout(background(), ms);
    observer?.described(grace, "timer", () => "grace period");
    // At once, so that a drain with a grace period of 0 can see that it is cut.
    if (grace.err !== undefined) return end();
    this.#graces.push(grace);
    afterFunc(grace, end);
  }

  async #lastCall(drained: Promise<unknown>): Promise<void> {
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = realTimers.setTimeout(resolve, lastCall);
    await Promise.race([drained, timeout]);
    realTimers.clearTimeout(timer);
  }

  #announce(state: ServerState): void {
    try {
      this.#options.onStateChange?.(state);
    } catch (error) {
      this.#report(error);
    }
  }

  async #runHooks(): Promise<void> {
    for (const f of this.#hooks.splice(0).reverse()) await this.#runHook(f);
  }

  async #runHook(f: (ctx: Context) => unknown): Promise<void> {
    try {
      await f(this.handlers);
    } catch (error) {
      this.#report(error);
    }
  }

  /** Leaves nothing behind: neither on the caller's ctx nor in the timers. */
  #end(): void {
    this.#working.cancel();
    this.#stopping.cancel();
    this.draining.cancel();
    for (const grace of this.#graces) grace.cancel();
  }
}

/** Second half of the message about a listener or socket that failed. */
function howItEnded(error: unknown): string {
  const wasClosed = error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted;
  if (wasClosed) return "was closed by other code";
  return error instanceof Error ? `failed: ${error.message}` : "failed";
}
