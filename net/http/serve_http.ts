/** An HTTP server. */

import { background } from "../../context/background.ts";
import type { CancelableContext, Context } from "../../context/context.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { withValue } from "../../context/with_value.ts";
import { Exchange, ExchangeList, type ExchangeOptions } from "./exchange.ts";
import type {
  HttpHandler,
  HttpServer,
  HttpServerState,
  ShutdownReport,
} from "./http_server.ts";
import type { ShutdownOptions } from "../server.ts";
import { lastCallFor, Lifetime } from "../lifetime.ts";
import { realTimers } from "../real_timers.ts";
import { listenError } from "../listen_error.ts";
import {
  assertAbove0,
  assertArguments,
  assertRange,
  assertTls,
  assertUnstableNet,
} from "../arguments.ts";
import { reporter } from "../report.ts";
import { closing, failed, refused } from "./replies.ts";
import { localAddrKey } from "../addr_keys.ts";
import { httpServerKey } from "./request_context.ts";

/** What {@linkcode serveHttp} can be told. */
export interface ServeHttpOptions {
  /** The port, 8000 by default; 0 takes a free one. */
  port?: number;
  /** The address to listen on; all of them (`0.0.0.0`) by default. */
  hostname?: string;
  /** Where to listen instead: the path of a Unix socket. */
  path?: string;
  /** For HTTPS: the certificate and its private key, both as PEM text. */
  tls?: { cert: string; key: string };
  /** Whether other processes may share the port; needs `--unstable-net`. */
  reusePort?: boolean;
  /** Called once the server listens; what it throws, `serveHttp` throws. */
  onListen?: (addr: Deno.Addr) => void;
  /**
   * Told of the errors of handlers, and of that of a listener which ends by itself,
   * as Deno's does for want of file descriptors; `console.error` by default.
   */
  onError?: (error: unknown, request?: Request) => void;
  /**
   * How long, in ms, to go on serving once ctx is done, while `ready` is false
   * and replies ask clients to connect anew; 0 by default. Give load balancers
   * the time here to notice.
   */
  lameDuck?: number;
  /** How long, in ms, requests in flight may take after that; 10,000 by default. */
  grace?: number;
  /**
   * How long, in ms, a request may take; no limit by default. Its ctx is then
   * done, and where the handler has not answered yet, 504 does.
   */
  requestTimeout?: number;
  /** How many requests may be in flight, 503 beyond it; no limit by default. */
  maxInFlight?: number;
  /**
   * How long, in bytes, the body of a request may be, 413 beyond it; no limit by
   * default. What is beyond it is not read.
   */
  maxBodyBytes?: number;
  /**
   * Derives a request's context, from what the server made for it: to add values
   * to it. As near as Deno comes to Go's `http.Server.ConnContext`.
   */
  onRequest?: (ctx: Context, request: Request) => Context;
  /** Called whenever `state` has changed. */
  onStateChange?: (state: HttpServerState) => void;
}

/**
 * Serves HTTP until `ctx` is done, then stops in good order:
 *
 * - Soft moment, when `ctx` is done: for `lameDuck` ms it serves on while `ready`
 *   is false. Then requests in flight are finished, and new ones get 503.
 * - Hard moment, `grace` ms later: the contexts of the requests that are left are
 *   cancelled, and their connections cut.
 *
 * A handler's context is therefore not a child of `ctx` as far as its end goes:
 * it has its values, and the hard moment as its cancellation.
 *
 * Needs the permission `--allow-net`.
 *
 * @param ctx Until when to serve.
 * @param options Where to listen, limits and times.
 * @param handler Answers the requests.
 * @returns The server. `await using` ends it with its block.
 * @throws {ContextError} The error of `ctx` where that is done: no socket is
 * opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` not a function, or
 * `tls` without its cert or key, or together with `path`.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If the address is not of this machine.
 *
 * @example
 * ```ts
 * import { background, serveHttp, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const server = serveHttp(
 *   ctx,
 *   { hostname: "127.0.0.1", port: 0 },
 *   (_ctx, request) => new Response(new URL(request.url).pathname),
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/hello`);
 * assertEquals(await reply.text(), "/hello");
 *
 * ctx.cancel();
 * const report = await server.finished;
 * assertEquals(report.forced, 0);
 * ```
 */
export function serveHttp(
  ctx: Context,
  options: ServeHttpOptions,
  handler: HttpHandler,
): HttpServer {
  assertArguments("serveHttp", ctx, options, handler);
  if (ctx.err !== undefined) throw ctx.err;
  return new Server(ctx, options, handler);
}

/**
 * In ms: how often it is looked which requests are still in flight. The client of
 * one that is found twice is watched from then on: to touch `request.signal`
 * costs as much as four whole requests (#27005), so the quick ones never pay.
 */
const clientWatch = 25;

class Server implements HttpServer {
  readonly finished: Promise<ShutdownReport>;
  readonly #report: (error: unknown, request?: Request) => void;
  readonly #onStateChange: ((state: HttpServerState) => void) | undefined;
  readonly #lameDuck: number;
  readonly #maxInFlight: number;
  readonly #lifetime: Lifetime;
  readonly #listener: Deno.HttpServer;
  /** Cuts every connection. Never after `shutdown()`: Deno then dies of it. */
  readonly #force = new AbortController();
  readonly #exchanges: ExchangeOptions;
  readonly #inFlight = new ExchangeList();
  readonly #hooks: ((ctx: Context) => unknown)[] = [];
  #state: HttpServerState = "serving";
  #duck: CancelableContext | undefined;
  #hurried = false;
  #drained = 0;
  #refused = 0;
  /** Resolves when nothing is in flight any more. */
  #idle: PromiseWithResolvers<void> | undefined;
  #watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: Context, options: ServeHttpOptions, handler: HttpHandler) {
    const {
      lameDuck = 0,
      grace = 10_000,
      requestTimeout = Infinity,
      maxInFlight = Infinity,
      maxBodyBytes = Infinity,
    } = options;
    assertRange("serveHttp", { lameDuck, maxInFlight, maxBodyBytes }, 0);
    assertAbove0("serveHttp", { requestTimeout });
    this.#report = reporter("serveHttp", options.onError);
    this.#onStateChange = options.onStateChange;
    this.#lameDuck = lameDuck;
    this.#maxInFlight = maxInFlight;
    this.#lifetime = new Lifetime(
      ctx,
      "serveHttp",
      grace,
      () => this.#describe(),
    );
    try {
      this.#listener = this.#listen(options);
    } catch (error) {
      this.#lifetime.end();
      throw error;
    }
    const here = withValue(this.#lifetime.handlers, httpServerKey, this);
    this.#exchanges = {
      handler,
      requestTimeout,
      maxBodyBytes,
      onRequest: options.onRequest,
      base: withValue(here, localAddrKey, this.addr),
      report: (error, request) => this.#report(error, request),
      outgoing: (response) => this.ready ? response : closing(response),
      over: (exchange) => this.#over(exchange),
    };
    this.finished = this.#live();
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  get state(): HttpServerState {
    return this.#state;
  }

  get ready(): boolean {
    return this.#lifetime.serving.err === undefined;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  shutdown(cause?: unknown | ShutdownOptions): Promise<ShutdownReport> {
    if (isShutdownOptions(cause)) {
      this.#lifetime.limitGrace(cause.grace ?? Infinity);
      this.#hurried = true;
      this.#duck?.cancel();
      this.#lifetime.serving.cancel(cause.cause);
    } else {
      this.#lifetime.serving.cancel(cause);
    }
    return this.finished;
  }

  onShutdown(f: (ctx: Context) => unknown): void {
    if (typeof f !== "function") {
      throw new TypeError("serveHttp: onShutdown() takes a function");
    }
    if (this.ready) this.#hooks.push(f);
    else this.#runHook(f);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** The whole life, from the first request to the report. */
  async #live(): Promise<ShutdownReport> {
    const { serving, work } = this.#lifetime;
    await serving.done;
    const start = performance.now();
    const hooks = this.#runHooks();
    if (this.#lameDuck > 0 && !this.#hurried) {
      this.#enter("lame-duck");
      this.#duck = withTimeout(background(), this.#lameDuck);
      await this.#duck.done;
    }
    this.#enter("draining");
    this.#lifetime.startGrace();
    const drained = Promise.all([this.#whenIdle(), hooks]);
    await Promise.race([drained, work.done]);
    // To watch a client whose connection is cut would leave Deno waiting for it.
    realTimers.clearTimeout(this.#watchTimer);
    const forcedRequests = Array.from(this.#inFlight, ({ name }) => name);
    const forced = forcedRequests.length;
    if (forced === 0 && work.err === undefined) {
      // Closes connections that are idle, silent or half a header into a request.
      await Promise.race([this.#listener.shutdown(), work.done]);
    } else {
      this.#force.abort();
      await lastCallFor(drained);
    }
    const { cause } = this.#lifetime;
    this.#lifetime.end();
    this.#enter("closed");
    return {
      cause,
      drained: this.#drained,
      refused: this.#refused,
      forced,
      forcedRequests,
      duration: performance.now() - start,
    };
  }

  #enter(state: HttpServerState): void {
    this.#state = state;
    try {
      this.#onStateChange?.(state);
    } catch (error) {
      this.#report(error);
    }
  }

  async #runHooks(): Promise<void> {
    for (const f of this.#hooks.splice(0).reverse()) await this.#runHook(f);
  }

  async #runHook(f: (ctx: Context) => unknown): Promise<void> {
    try {
      await f(this.#lifetime.work);
    } catch (error) {
      this.#report(error);
    }
  }

  #listen(options: ServeHttpOptions): Deno.HttpServer {
    const { port, hostname, path, tls, reusePort, onListen } = options;
    if (reusePort) assertUnstableNet("serveHttp", "reusePort");
    assertTls("serveHttp", tls);
    if (tls !== undefined && path !== undefined) {
      throw new TypeError(
        "serveHttp: there is no TLS on a Unix socket: leave out tls or path",
      );
    }
    let listener: Deno.HttpServer;
    try {
      listener = Deno.serve(
        {
          signal: forgiving(this.#force.signal),
          // Deno would print a line.
          onListen: () => {},
          // What fails after the handler has answered: the stream of a body.
          onError: (error: unknown) => {
            this.#report(error);
            return failed();
          },
          ...(path !== undefined ? { path } : {
            ...(port !== undefined && { port }),
            ...(hostname !== undefined && { hostname }),
            ...(reusePort !== undefined && { reusePort }),
            ...(tls !== undefined && { cert: tls.cert, key: tls.key }),
          }),
        } as Deno.ServeTcpOptions,
        (request, info) => this.#serve(request, info),
      );
    } catch (error) {
      throw listenError("serveHttp", error, {
        port: port ?? 8000,
        hostname,
        path,
      });
    }
    // Should it ever end by itself, nobody must go on believing in it.
    listener.finished.then(
      () => this.#ended(),
      (error) => this.#ended(error),
    );
    try {
      onListen?.(listener.addr);
    } catch (error) {
      this.#force.abort();
      throw error;
    }
    return listener;
  }

  /** The listener has, by itself or because the server does. */
  #ended(error?: unknown): void {
    if (!this.ready) return;
    const message = "serveHttp: the listener has ended";
    const failure = new Error(message, { cause: error });
    this.#lifetime.serving.cancel(failure);
    this.#report(failure);
  }

  #serve(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response> {
    if (this.#state === "draining" || this.#state === "closed") {
      this.#refused++;
      return closing(refused());
    }
    if (this.#inFlight.size >= this.#maxInFlight) return refused();
    const exchange = new Exchange(request, info, this.#exchanges);
    this.#inFlight.add(exchange);
    this.#watchTimer ??= realTimers.setTimeout(this.#watch, clientWatch);
    const sent = () => exchange.sent();
    info.completed.then(sent, sent);
    return exchange.answer();
  }

  #over(exchange: Exchange): void {
    this.#inFlight.delete(exchange);
    if (!this.ready && this.#lifetime.work.err === undefined) this.#drained++;
    if (this.#inFlight.size === 0) this.#idle?.resolve();
  }

  /** Looks after the clients of the requests that have been in flight a while. */
  readonly #watch = (): void => {
    this.#watchTimer = undefined;
    if (this.#inFlight.size === 0) return;
    for (const exchange of this.#inFlight) exchange.watchClient();
    this.#watchTimer = realTimers.setTimeout(this.#watch, clientWatch);
  };

  #whenIdle(): Promise<void> {
    if (this.#inFlight.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  #describe(): string | undefined {
    return this.inFlight === 0
      ? undefined
      : `serveHttp with ${this.inFlight} requests in flight`;
  }
}

/**
 * The same signal. Of a server that Deno has closed itself a listener of it throws,
 * which nobody could catch.
 */
function forgiving(signal: AbortSignal): AbortSignal {
  const listen = signal.addEventListener.bind(signal);
  signal.addEventListener = (
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ) => {
    const careful = (event: Event) => {
      try {
        if (typeof listener === "function") listener.call(signal, event);
        else listener.handleEvent(event);
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    };
    listen(type, careful, options);
  };
  return signal;
}

function isShutdownOptions(cause: unknown): cause is ShutdownOptions {
  return typeof cause === "object" && cause !== null &&
    !(cause instanceof Error) && "grace" in cause;
}
