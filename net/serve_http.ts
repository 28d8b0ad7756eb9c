/** An HTTP server. */

import { afterFunc } from "../context/after_func.ts";
import { background } from "../context/background.ts";
import type { CancelableContext, Context } from "../context/context.ts";
import { DeadlineExceeded } from "../context/errors.ts";
import { createKey, type Key } from "../context/key.ts";
import { assertContext } from "../context/tree.ts";
import { withCancel } from "../context/with_cancel.ts";
import { withTimeout } from "../context/with_deadline.ts";
import { withValue } from "../context/with_value.ts";
import { lastCallFor, Lifetime, realTimers } from "./lifetime.ts";
import { listenError } from "./listen_error.ts";

/**
 * Answers one request. What it throws or rejects with is reported to `onError`
 * and answered with 500; it costs that request, nothing else.
 *
 * @param ctx The values of the server's context; done when the response has been
 * sent, the client has gone, the request's time is over, or the server's grace.
 * @param request The request.
 */
export type HttpHandler = (
  ctx: Context,
  request: Request,
) => Response | Promise<Response>;

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
  /** Called once the server listens. */
  onListen?: (addr: Deno.Addr) => void;
  /** Told of the errors of handlers; `console.error` by default. */
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
}

/**
 * Where a server is in its life: serving; told to stop and serving on; finishing
 * what is in flight and taking nothing new; closed.
 */
export type HttpServerState = "serving" | "lame-duck" | "draining" | "closed";

/** How a server has ended. */
export interface ShutdownReport {
  /** Why: the cause of its context, or what `shutdown` was given. */
  cause: unknown;
  /** How many requests were still answered after the soft moment. */
  drained: number;
  /** How many were cut when the grace was over. */
  forced: number;
  /** From the soft moment to the end, in ms. */
  duration: number;
}

/** An HTTP server that runs. */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** Where it is in its life. */
  readonly state: HttpServerState;
  /** Whether it wants new work: true until its context is done. */
  readonly ready: boolean;
  /** How many requests have not been answered in full. */
  readonly inFlight: number;
  /**
   * Ends the server as the end of its context would; the context itself is left
   * alone. A second call gives the same result and changes nothing.
   *
   * @param cause Why; for the report.
   * @returns The same as `finished`.
   */
  shutdown(cause?: unknown): Promise<ShutdownReport>;
  /**
   * How it ended, once its sockets are closed and its handlers have ended, or
   * have taken no notice of the end of the grace. Never rejects.
   */
  readonly finished: Promise<ShutdownReport>;
}

/** The cause of a request's context when its client has closed the connection. */
export class ClientGone extends Error {
  /** Makes one; for tests of handlers. */
  constructor() {
    super("the client has closed the connection");
    this.name = "ClientGone";
  }
}

/** The server a request came in on. Follows Go's `http.ServerContextKey`. */
export const httpServerKey: Key<HttpServer> = createKey("http server");

/** The address a request came in on. Follows Go's `http.LocalAddrContextKey`. */
export const localAddrKey: Key<Deno.Addr> = createKey("local addr");

/** The address of a request's client. */
export const remoteAddrKey: Key<Deno.Addr> = createKey("remote addr");

const contexts = new WeakMap<Request, Context>();

/**
 * The context of a request, for code that is handed the request only: inside a
 * framework's handler, say, where `serveHttp` calls `app.fetch(request)`.
 *
 * @param request A request that `serveHttp` has handed to its handler; not a
 * copy of one.
 * @returns Its context.
 * @throws {TypeError} If the request did not come from `serveHttp`.
 *
 * @example
 * ```ts
 * import { background, requestContext, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const app = {
 *   fetch(request: Request): Response {
 *     const ctx = requestContext(request);
 *     return new Response(ctx.err === undefined ? "open" : "done");
 *   },
 * };
 * await using server = serveHttp(
 *   background(),
 *   { hostname: "127.0.0.1", port: 0 },
 *   (_ctx, request) => app.fetch(request),
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/`);
 * assertEquals(await reply.text(), "open");
 * ```
 */
export function requestContext(request: Request): Context {
  const ctx = contexts.get(request);
  if (ctx !== undefined) return ctx;
  throw new TypeError(
    "requestContext: this request was not given out by serveHttp, or is a copy",
  );
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
 * @throws {TypeError} If `ctx` is not a context.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
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
  assertContext("serveHttp", ctx);
  if (typeof handler !== "function") {
    throw new TypeError("serveHttp: the third argument must be a function");
  }
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
  readonly #handler: HttpHandler;
  readonly #onError: (error: unknown, request?: Request) => void;
  readonly #lameDuck: number;
  readonly #requestTimeout: number;
  readonly #maxInFlight: number;
  readonly #lifetime: Lifetime;
  readonly #listener: Deno.HttpServer;
  /** Cuts every connection. Never after `shutdown()`: Deno then dies of it. */
  readonly #force = new AbortController();
  /** What requests derive their contexts from. */
  readonly #base: Context;
  readonly #inFlight = new Set<Exchange>();
  #state: HttpServerState = "serving";
  #drained = 0;
  /** Resolves when nothing is in flight any more. */
  #idle: PromiseWithResolvers<void> | undefined;
  #watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: Context, options: ServeHttpOptions, handler: HttpHandler) {
    const {
      lameDuck = 0,
      grace = 10_000,
      requestTimeout = Infinity,
      maxInFlight = Infinity,
      onError = (error) => console.error("serveHttp:", error),
    } = options;
    for (const [key, value] of Object.entries({ lameDuck, maxInFlight })) {
      if (value >= 0) continue;
      throw new RangeError(`serveHttp: ${key} must be 0 or more, got ${value}`);
    }
    if (!(requestTimeout > 0)) {
      throw new RangeError(
        `serveHttp: requestTimeout must be above 0 ms, got ${requestTimeout}`,
      );
    }
    this.#handler = handler;
    this.#onError = onError;
    this.#lameDuck = lameDuck;
    this.#requestTimeout = requestTimeout;
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
    const here = withValue(this.#lifetime.work, httpServerKey, this);
    this.#base = withValue(here, localAddrKey, this.addr);
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

  shutdown(cause?: unknown): Promise<ShutdownReport> {
    this.#lifetime.serving.cancel(cause);
    return this.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** The whole life, from the first request to the report. */
  async #live(): Promise<ShutdownReport> {
    const { serving, work } = this.#lifetime;
    await serving.done;
    const start = performance.now();
    if (this.#lameDuck > 0) {
      this.#state = "lame-duck";
      using duck = withTimeout(background(), this.#lameDuck);
      await duck.done;
    }
    this.#state = "draining";
    this.#lifetime.startGrace(() => {});
    await Promise.race([this.#whenIdle(), work.done]);
    const forced = this.inFlight;
    if (forced === 0) {
      // Closes connections that are idle, silent or half a header into a request.
      await Promise.race([this.#listener.shutdown(), work.done]);
    } else {
      this.#force.abort();
      await lastCallFor(this.#whenIdle());
    }
    realTimers.clearTimeout(this.#watchTimer);
    this.#state = "closed";
    const { cause } = this.#lifetime;
    this.#lifetime.end();
    const duration = performance.now() - start;
    return { cause, drained: this.#drained, forced, duration };
  }

  #listen(options: ServeHttpOptions): Deno.HttpServer {
    const { port, hostname, path, tls, reusePort, onListen } = options;
    try {
      const listener = Deno.serve(
        {
          signal: this.#force.signal,
          onListen: (addr: Deno.Addr) => onListen?.(addr),
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
      // Should it ever end by itself, nobody must go on believing in it.
      const ended = () =>
        this.#lifetime.serving.cancel(
          new Error("serveHttp: the listener has ended"),
        );
      listener.finished.then(ended, ended);
      return listener;
    } catch (error) {
      throw listenError("serveHttp", error, { port: port ?? 8000, hostname });
    }
  }

  #serve(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response> {
    if (this.#state === "draining" || this.#state === "closed") {
      return closing(refused());
    }
    if (this.#inFlight.size >= this.#maxInFlight) return refused();
    const exchange = new Exchange(request, info.remoteAddr, {
      base: this.#base,
      timeout: this.#requestTimeout,
      report: (error) => this.#report(error, request),
      over: () => this.#over(exchange),
    });
    this.#inFlight.add(exchange);
    this.#watchTimer ??= realTimers.setTimeout(this.#watch, clientWatch);
    info.completed.then(exchange.sent, exchange.sent);
    const response = exchange.answer(this.#handler);
    if (this.ready) return response;
    return response instanceof Response
      ? closing(response)
      : response.then(closing);
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

  #report(error: unknown, request?: Request): void {
    try {
      this.#onError(error, request);
    } catch (second) {
      console.error("serveHttp: onError has thrown", second);
    }
  }

  #describe(): string | undefined {
    return this.inFlight === 0
      ? undefined
      : `serveHttp with ${this.inFlight} requests in flight`;
  }
}

/** What an exchange needs of its server. */
interface ExchangeOptions {
  /** What its context derives from. */
  base: Context;
  /** In ms. */
  timeout: number;
  report(error: unknown): void;
  /** The response has been sent and the handler has ended. */
  over(): void;
}

/** One request, from its arrival until its response has been sent. */
class Exchange {
  readonly #request: Request;
  readonly #options: ExchangeOptions;
  readonly #open: CancelableContext;
  /** The same where requests have no time limit. */
  readonly #ctx: CancelableContext;
  #answered = false;
  #handled = false;
  #sent = false;
  #old = false;
  #watched = false;

  constructor(
    request: Request,
    remoteAddr: Deno.Addr,
    options: ExchangeOptions,
  ) {
    this.#request = request;
    this.#options = options;
    const { base, timeout } = options;
    this.#open = withCancel(withValue(base, remoteAddrKey, remoteAddr));
    this.#ctx = timeout === Infinity
      ? this.#open
      : withTimeout(this.#open, timeout);
    contexts.set(request, this.#ctx);
  }

  /** The handler's response, or what stands in for one. */
  answer(handler: HttpHandler): Response | Promise<Response> {
    let result: Response | Promise<Response>;
    try {
      result = handler(this.#ctx, this.#request);
    } catch (error) {
      return this.#ended(this.#failure(error));
    }
    if (typeof (result as Promise<Response>)?.then !== "function") {
      return this.#ended(this.#checked(result as Response));
    }
    const answer = (result as Promise<Response>).then(
      (response) => this.#ended(this.#checked(response)),
      (error) => this.#ended(this.#failure(error)),
    );
    return this.#ctx === this.#open ? answer : this.#inTime(answer);
  }

  /** Called when the response has been sent, or never will be. */
  readonly sent = (): void => {
    this.#sent = true;
    this.#open.cancel();
    if (this.#handled) this.#options.over();
  };

  /** Called every now and then; from the second time on the client is watched. */
  watchClient(): void {
    if (this.#answered || this.#watched) return;
    this.#watched = this.#old;
    this.#old = true;
    if (!this.#watched) return;
    const { signal } = this.#request;
    if (signal.aborted) this.#clientGone();
    else signal.addEventListener("abort", this.#clientGone, { once: true });
  }

  // Without --unstable-no-legacy-abort the signal is aborted after each response
  // too (#27005), so it says something only about those that are not answered.
  readonly #clientGone = (): void => {
    if (!this.#answered) this.#open.cancel(new ClientGone());
  };

  #ended(response: Response): Response {
    this.#answered = true;
    this.#handled = true;
    if (this.#sent) this.#options.over();
    return response;
  }

  #checked(response: Response): Response {
    if (response instanceof Response) return response;
    return this.#failure(
      new TypeError(
        `serveHttp: the handler must return a Response, got ${typeof response}`,
      ),
    );
  }

  #failure(error: unknown): Response {
    const { err } = this.#ctx;
    // Nobody is left to answer, or the time is over: no news to anybody.
    if (err !== undefined && error === err) {
      return err instanceof DeadlineExceeded ? timedOut() : refused();
    }
    this.#options.report(error);
    return failed();
  }

  /** The answer, or 504 once the context's deadline has passed. */
  #inTime(answer: Promise<Response>): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const stop = afterFunc(this.#ctx, () => {
      if (!(this.#ctx.err instanceof DeadlineExceeded)) return;
      this.#answered = true;
      resolve(timedOut());
    });
    answer.then((response) => {
      stop();
      resolve(response);
    });
    return promise;
  }
}

function refused(): Response {
  return new Response("Service Unavailable\n", {
    status: 503,
    headers: { "retry-after": "1" },
  });
}

function failed(): Response {
  return new Response("Internal Server Error\n", { status: 500 });
}

function timedOut(): Response {
  return new Response("Gateway Timeout\n", { status: 504 });
}

/** Asks the client to open a new connection for its next request. */
function closing(response: Response): Response {
  // An upgraded connection is no longer HTTP.
  if (response.status === 101) return response;
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // The headers of a fetched response cannot be changed.
    const copy = new Response(response.body, response);
    copy.headers.set("connection", "close");
    return copy;
  }
}
