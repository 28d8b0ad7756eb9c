/** Deno's side of a server, under the control of a test. */

import { realTimers } from "../../../net/real_timers.ts";

type Handler = (
  request: Request,
  info: Deno.ServeHandlerInfo,
) => Response | Promise<Response>;

/** A server that `Deno.serve` has returned. */
interface Served {
  readonly options: Record<string, unknown> & { readonly signal: AbortSignal };
  readonly handler: Handler;
  /** Number of calls of `shutdown()`. */
  readonly shutdowns: number;
  /** Ends it, as a listener that fails does. */
  end(error?: unknown): Promise<void>;
}

/**
 * Replaces `Deno.serve`, the real timers, `performance.now()` and the turns of a
 * drain until disposed of. Whatever follows takes microtasks only.
 */
export class FakePlatform implements Disposable {
  readonly servers: Served[] = [];
  /** Delays in ms of all timers so far. */
  readonly delays: number[] = [];
  /** Timers that have not run. */
  readonly #timers = new Map<number, { f: () => void; ms: number }>();
  /** Returns an error for `Deno.serve` to throw. */
  failure: () => Error | undefined = () => undefined;
  /** Result of `shutdown()`. */
  shutdown: () => Promise<void> = () => Promise.resolve();
  now = 0;
  /** Called in each turn that a drain waits for. */
  onTurn: () => void = () => {};
  readonly #serve = Deno.serve;
  readonly #setTimeout = realTimers.setTimeout;
  readonly #clearTimeout = realTimers.clearTimeout;
  readonly #clock = performance.now;
  readonly #digest = crypto.subtle.digest;

  constructor() {
    Deno.serve =
      ((options: Served["options"], handler: Handler) =>
        this.#served(options, handler)) as unknown as typeof Deno.serve;
    realTimers.setTimeout = ((f: () => void, ms: number) => {
      const id = this.delays.push(ms);
      this.#timers.set(id, { f, ms });
      return id;
    }) as unknown as typeof setTimeout;
    realTimers.clearTimeout = (id) =>
      void this.#timers.delete(id as unknown as number);
    performance.now = () => this.now;
    crypto.subtle.digest = () => {
      this.onTurn();
      return Promise.resolve(new ArrayBuffer(0));
    };
  }

  /** Delays in ms of the timers that have not run. */
  get waiting(): number[] {
    return [...this.#timers.values()].map(({ ms }) => ms);
  }

  /** Runs the oldest timer, or the oldest one of `delay` ms. */
  runTimer(delay?: number): void {
    for (const [id, { f, ms }] of this.#timers) {
      if (delay !== undefined && ms !== delay) continue;
      this.#timers.delete(id);
      return f();
    }
    throw new Error(`no timer of ${delay} ms in ${this.waiting}`);
  }

  /** Has the first server answer a request, whose response counts as sent then. */
  async ask(request: Request): Promise<Response> {
    const { promise: completed, resolve } = Promise.withResolvers<void>();
    const remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
    const info = { completed, remoteAddr } as Deno.ServeHandlerInfo;
    const response = await this.servers[0]!.handler(request, info);
    resolve();
    return response;
  }

  #served(options: Served["options"], handler: Handler): Deno.HttpServer {
    const failure = this.failure();
    if (failure !== undefined) throw failure;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { shutdown } = this;
    let shutdowns = 0;
    this.servers.push({
      options,
      handler,
      get shutdowns() {
        return shutdowns;
      },
      async end(error) {
        if (error === undefined) resolve();
        else reject(error);
        await promise.catch(() => {});
        await Promise.resolve();
      },
    });
    return {
      finished: promise,
      addr: { transport: "tcp", hostname: "127.0.0.1", port: 4_321 },
      shutdown() {
        shutdowns++;
        return shutdown();
      },
    } as unknown as Deno.HttpServer;
  }

  [Symbol.dispose](): void {
    Deno.serve = this.#serve;
    realTimers.setTimeout = this.#setTimeout;
    realTimers.clearTimeout = this.#clearTimeout;
    performance.now = this.#clock;
    crypto.subtle.digest = this.#digest;
  }
}
