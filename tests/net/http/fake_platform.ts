/** Deno's side of a server, under the control of a test. */

import { ManualTimers } from "../manual_timers.ts";

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
  readonly timers = new ManualTimers();
  /** Returns an error for `Deno.serve` to throw. */
  failure: () => Error | undefined = () => undefined;
  /** Result of `shutdown()`. */
  shutdown: () => Promise<void> = () => Promise.resolve();
  now = 0;
  /** Called in each turn that a drain waits for. */
  onTurn: () => void = () => {};
  readonly #serve = Deno.serve;
  readonly #clock = performance.now;
  readonly #digest = crypto.subtle.digest;

  constructor() {
    Deno.serve =
      ((options: Served["options"], handler: Handler) =>
        this.#served(options, handler)) as unknown as typeof Deno.serve;
    performance.now = () => this.now;
    crypto.subtle.digest = () => {
      this.onTurn();
      return Promise.resolve(new ArrayBuffer(0));
    };
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
    this.timers[Symbol.dispose]();
    performance.now = this.#clock;
    crypto.subtle.digest = this.#digest;
  }
}
