/** An HTTP server. */

import type { Context } from "../../context/context.ts";
import type { DeadlineHeader } from "../../context/deadline_header.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { withLazyValue } from "../../context/with_lazy_value.ts";
import { withValue } from "../../context/with_value.ts";
import { localAddrKey, remoteAddrKey } from "../addr_keys.ts";
import { assertAbove0, assertArguments, assertRange } from "../arguments.ts";
import { ClientGone } from "../client_gone.ts";
import { pause, realTimers } from "../real_timers.ts";
import { reporter } from "../report.ts";
import type { ServerAddr, ServerOptions } from "../server.ts";
import { ServerBase } from "../server_base.ts";
import {
  assertTimes,
  ServerLifetime,
  type ServerWork,
} from "../server_lifetime.ts";
import type { ListenUnixOptions } from "../unix_socket.ts";
import { withAsyncContext } from "./async_context.ts";
import { assertDeadlineHeaders, DeadlineHeaders } from "./deadline_headers.ts";
import { Exchange, type ExchangeServer } from "./exchange.ts";
import {
  assertListenOptions,
  HttpListener,
  type HttpListenOptions,
} from "./http_listener.ts";
import type { HttpHandler, HttpServer, ShutdownReport } from "./http_server.ts";
import { LinkedList } from "./linked_list.ts";
import { closing, failed, refused } from "./replies.ts";
import { httpServerKey } from "./request_context.ts";

/** Options for {@linkcode serveHttp} that do not depend on where it listens. */
export interface HttpOptions<Addr extends ServerAddr>
  extends ServerOptions<Addr> {
  /**
   * Called with the errors of handlers and of streams in responses, and if the
   * listener fails; `console.error` by default.
   */
  onError?: (error: unknown, request?: Request) => void;
  /**
   * Time in ms that a request may take, or a function that returns it; `Infinity`
   * by default. When it is over the request's ctx is done, and if the handler has
   * not answered, the server answers 504. Return `Infinity` for event streams and
   * WebSockets: `(request) => isStream(request) ? Infinity : 5_000`.
   */
  requestTimeout?: number | ((request: Request) => number);
  /**
   * Request headers in which to look for the client's deadline, as `requestInit`, gRPC,
   * Connect and Envoy send it: see {@linkcode DeadlineHeader}. None by default; name
   * only what your own proxies and services send.
   *
   * The shortest deadline applies if it is shorter than `requestTimeout`; the cause of
   * the request's ctx is then a `ClientDeadline`. A time of 0 or less is answered with
   * 504 without calling the handler. Values that do not parse are ignored and counted
   * in `ignoredDeadlines` of the server.
   */
  deadlineHeaders?: readonly (DeadlineHeader | string & Record<never, never>)[];
  /**
   * Time in ms that may pass without a new piece of a request's body while the
   * handler reads it; `Infinity` by default. The read then rejects with
   * `IdleTimeout`, and if the handler does not catch that, the client gets 408.
   */
  bodyTimeout?: number;
  /** Number of requests that may be in flight, 503 beyond it; no limit by default. */
  maxInFlight?: number;
  /**
   * Length in bytes that the body of a request may have, 413 beyond it; no limit by
   * default. The rest of a longer body is not read.
   */
  maxBodyBytes?: number;
  /**
   * Derives the handler's context from the one that the server has made for a
   * request, to add values to it. As near as Deno comes to Go's
   * `http.Server.ConnContext`.
   */
  onRequest?: (ctx: Context, request: Request) => Context;
  /**
   * Lets `requestContext` find the context also for copies of the request, which
   * some middleware makes; false by default. Uses AsyncLocalStorage, which costs a
   * quick request about 10 % more CPU time.
   */
  asyncContext?: boolean;
}

/** Options for {@linkcode serveHttp}. */
export interface ServeHttpOptions extends HttpOptions<Deno.NetAddr> {
  /** Port; 8000 by default. 0 takes a free one. */
  port?: number;
  /** Address to listen on; `0.0.0.0`, all IPv4 addresses, by default. */
  hostname?: string;
  /** Serves HTTPS with this certificate and private key, both as PEM text. */
  tls?: { cert: string; key: string };
  /**
   * Lets other servers that set it, also in other processes, listen on the same
   * port; false by default. Deno ignores it except on Linux, and needs
   * `--unstable-net` for it.
   */
  reusePort?: boolean;
  /** Only in {@linkcode ServeHttpPathOptions}. */
  path?: undefined;
}

/** Options for {@linkcode serveHttp} on a Unix socket. */
export interface ServeHttpPathOptions
  extends ListenUnixOptions, HttpOptions<Deno.UnixAddr> {}

/**
 * Serves HTTP on a TCP port until `ctx` is done, then shuts down in two phases:
 *
 * 1. When `ctx` is done, and `lameDuck` ms later if that is set, the server drains.
 *    It refuses new connections, so that a proxy sends them elsewhere, and finishes
 *    the requests in flight. A few milliseconds pass before it refuses, for requests
 *    that have arrived already; uploads in flight extend that until they have been
 *    read, because Deno would break them.
 * 2. When the grace period is over, requests without a response get 503, their
 *    contexts are canceled, and streams are cut.
 *
 * A handler's context has the values of `ctx` but does not end with it: it is done
 * at the end of the grace period.
 *
 * Behind a load balancer that looks at `ready`, set `lameDuck`: it is what saves
 * requests that are in transit while the listener closes.
 *
 * ## Limits that need a proxy
 *
 * Deno has no timeout for request headers, for TLS handshakes or for idle
 * connections, and no limit for connections, and none can be added here: a handler
 * first hears of a connection with its first whole header, and cannot close it. A
 * server that faces the internet needs a proxy that has them. In nginx these are
 * `client_header_timeout 10s; keepalive_timeout 60s; limit_conn`, and its TLS
 * handshakes fall under `client_header_timeout` too; in haproxy `timeout
 * http-request 10s`, `timeout http-keep-alive 60s`, `timeout client 30s` and
 * `maxconn`. For bodies there are `requestTimeout` and `bodyTimeout`. A response
 * that is not a stream cannot be cut once Deno sends it, except by
 * `shutdown({ grace: 0 })` as the first call. `finished` waits for its client until
 * the grace period is over; the process waits on, unless `main` runs it.
 *
 * Needs the permission `--allow-net`.
 *
 * @param ctx Context that ends the server.
 * @param options Address, limits and times.
 * @param handler Answers the requests.
 * @returns The server. `await using` shuts it down at the end of the block.
 * @throws {ContextError} `ctx.err` if `ctx` is done; no socket is opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` is not a function, `tls`
 * lacks its cert or key, or a deadline header is unknown.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If the machine does not have the address.
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
 * const reply = await fetch(`http://127.0.0.1:${server.addr.port}/hello`);
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
): HttpServer;
/**
 * Serves HTTP on a Unix socket instead of a TCP port. Also needs the permissions
 * `--allow-read` and `--allow-write` for the path.
 *
 * @param ctx Context that ends the server.
 * @param options Path, limits and times.
 * @param handler Answers the requests.
 * @returns The server.
 * @throws {TypeError} As above, and if `tls` is given.
 * @throws {Deno.errors.AddrInUse} If the path is in use.
 *
 * @example
 * ```ts
 * import { type Context, type HttpServer, serveHttp } from "@curfew/context";
 *
 * function serveAdmin(ctx: Context): HttpServer<Deno.UnixAddr> {
 *   const options = { path: "/run/app/admin.sock" };
 *   return serveHttp(ctx, options, () => new Response("ready"));
 * }
 * console.log(serveAdmin.name); // for main(serveAdmin)
 * ```
 */
export function serveHttp(
  ctx: Context,
  options: ServeHttpPathOptions,
  handler: HttpHandler,
): HttpServer<Deno.UnixAddr>;
export function serveHttp(
  ctx: Context,
  options: ServeHttpOptions | ServeHttpPathOptions,
  handler: HttpHandler,
): HttpServer<ServerAddr> {
  assertArguments("serveHttp", ctx, options, handler);
  const { requestTimeout = Infinity, bodyTimeout = Infinity } = options;
  const { maxInFlight = Infinity, maxBodyBytes = Infinity } = options;
  assertTimes("serveHttp", options);
  assertRange("serveHttp", { maxInFlight, maxBodyBytes }, 0);
  assertAbove0("serveHttp", { bodyTimeout });
  if (typeof requestTimeout !== "function") {
    assertAbove0("serveHttp", { requestTimeout });
  }
  assertDeadlineHeaders(options.deadlineHeaders ?? []);
  assertListenOptions(options as HttpListenOptions);
  if (ctx.err !== undefined) throw ctx.err;
  return new Server(ctx, options as HttpOptions<ServerAddr>, handler);
}

/**
 * Time in ms that a server goes on accepting once it drains. Requests that arrived
 * while JavaScript was busy with the signal still wait in the kernel, and `shutdown()`
 * resets or closes their connections. Calling it at once cost a rolling restart
 * behind haproxy 4 to 7 requests.
 */
const lastArrivals = 3;

/**
 * Number of quiet turns in a row after which the server stops listening, and limit
 * for all turns. A turn is quiet if it brought no request and took less than
 * `longTurn` ms; a longer one means that the process had to wait for its CPU. This
 * halves the requests that a restart loses, to one in five restarts.
 */
const quietTurns = 4;
const maxTurns = 60;
const longTurn = 1;

/**
 * Time in ms after the last answer during which a client may still be reading one.
 * Deno calls an answer sent once it has taken over the bytes, and does not tell how
 * many of them the client still has to read. During this time a drain lasts until all
 * connections are closed, or the grace period is over. It does not if an upload was
 * left unread in this time, since Deno keeps the connections of those open as well.
 */
const readingTime = 60_000;

/**
 * Limit in ms for closing the connections if no client is taken to be reading an
 * answer. Silent clients, such as one in the middle of a TLS handshake, would take it
 * forever.
 */
const flushTime = 100;

/**
 * Time in ms from the 503s at the end of the grace period until the cut: for the
 * answers to get out, and for streams to end themselves.
 */
const lastAnswers = 10;

/** Interval in ms at which the requests in flight are looked at. */
const lookInterval = 25;

class Server extends ServerBase<ServerAddr, ShutdownReport>
  implements HttpServer<ServerAddr> {
  readonly #work: HttpWork;

  constructor(
    ctx: Context,
    options: HttpOptions<ServerAddr>,
    handler: HttpHandler,
  ) {
    const work = new HttpWork(ctx, options);
    super(work.lifetime);
    this.#work = work;
    work.start(this, handler, options);
  }

  get inFlight(): number {
    return this.#work.size;
  }

  get ignoredDeadlines(): number {
    return this.#work.ignoredDeadlines;
  }
}

/** The requests of one server, and its listener. */
class HttpWork implements ServerWork<ShutdownReport> {
  readonly lifetime: ServerLifetime<ServerAddr, ShutdownReport>;
  readonly #listener: HttpListener;
  readonly #report: (error: unknown, request?: Request) => void;
  readonly #maxInFlight: number;
  readonly #inFlight = new LinkedList<Exchange>();
  /** Set by `start()`, before the first request can arrive. */
  #exchanges!: ExchangeServer;
  /** Set while `drain()` waits for the last request. */
  #idle: PromiseWithResolvers<void> | undefined;
  /** Pending while there are requests in flight, and up to 25 ms longer. */
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  /** Time of the last look: within 25 ms of the last answer. */
  #lookedAt = -Infinity;
  /** Time at which the last upload was left unread. */
  #leftUploadAt = -Infinity;
  /** Set while `drain()` waits for clients; resolves when an upload is left unread. */
  #left: PromiseWithResolvers<void> | undefined;
  #cutTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #reported = Promise.withResolvers<void>();
  /** True once `drain()` has begun with a grace period above 0. */
  #hasDrained = false;
  /** True when no request is taken any longer, because of `cut()` or `report()`. */
  #isOver = false;
  /** Number of requests so far. */
  #arrived = 0;
  #drained = 0;
  #refused = 0;
  #forcedRequests: string[] = [];

  constructor(ctx: Context, options: HttpOptions<ServerAddr>) {
    this.#report = reporter("serveHttp", options.onError);
    this.#maxInFlight = options.maxInFlight ?? Infinity;
    this.#listener = new HttpListener(options as HttpListenOptions, {
      serve: (request, info) => this.#serve(request, info),
      sendFailed: (error) => this.#sendFailed(error),
      interrupted: (error) => this.#interrupted(error),
      failed: (error) => this.lifetime.fail(error, "listener"),
    });
    this.lifetime = new ServerLifetime(
      "serveHttp",
      ctx,
      this.#listener.addr,
      options,
      this.#report,
    );
  }

  start(
    server: HttpServer<ServerAddr>,
    handler: HttpHandler,
    options: HttpOptions<ServerAddr>,
  ): void {
    const { lifetime } = this;
    const here = withValue(lifetime.handlers, httpServerKey, server);
    const base = withValue(here, localAddrKey, lifetime.addr);
    this.#exchanges = {
      handler: options.asyncContext ? withAsyncContext(handler) : handler,
      requestTimeout: options.requestTimeout ?? Infinity,
      deadlineHeaders: options.deadlineHeaders &&
        new DeadlineHeaders(
          options.deadlineHeaders as readonly DeadlineHeader[],
        ),
      maxBodyBytes: options.maxBodyBytes ?? Infinity,
      bodyTimeout: options.bodyTimeout ?? Infinity,
      onRequest: options.onRequest,
      // Reading the address costs a sixth of a whole request.
      contextOf: (info) =>
        withLazyValue(base, remoteAddrKey, info, remoteAddrOf),
      report: (error, request) => this.#report(error, request),
      outgoing: (response) => this.#outgoing(response),
      brokenOff: (error) => this.#brokenOff(error),
      leftUpload: () => this.#leftUpload(),
      over: (exchange) => this.#over(exchange),
    };
    lifetime.start(this);
  }

  /** Number of requests in flight. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Number of deadline headers that did not parse. */
  get ignoredDeadlines(): number {
    return this.#exchanges.deadlineHeaders?.ignored ?? 0;
  }

  async drain(): Promise<void> {
    if (this.lifetime.isCut) return await this.#whenIdle();
    this.#hasDrained = true;
    await pause(lastArrivals);
    for (const exchange of this.#inFlight.toArray()) exchange.closeSocket();
    await this.#bodiesRead();
    await this.#bodiesRead();
    await this.#quietMoment();
    // If the grace period is over, the cut closes it.
    if (!this.lifetime.isCut) this.#listener.close();
    await this.#whenIdle();
    const isOut = Promise.race([this.#listener.closed, this.#reported.promise]);
    if (this.#mayBeRead) {
      this.#left = Promise.withResolvers();
      await Promise.race([isOut, this.#left.promise]);
    }
    await within(flushTime, isOut);
  }

  cut(): void {
    this.#isOver = true;
    realTimers.clearTimeout(this.#lookTimer);
    const left = this.#inFlight.toArray();
    this.#forcedRequests = left.map(({ name }) => name);
    if (!this.#hasDrained) {
      for (const exchange of left) exchange.closeSocket();
      return this.#listener.cut();
    }
    for (const exchange of left) exchange.refuse();
    this.#cutTimer = realTimers.setTimeout(this.#cutStreams, lastAnswers);
  }

  report(): ShutdownReport {
    const { lifetime } = this;
    this.#isOver = true;
    realTimers.clearTimeout(this.#lookTimer);
    realTimers.clearTimeout(this.#cutTimer);
    this.#reported.resolve();
    const lingering = this.#inFlight.toArray().map(({ name }) => name);
    // Deno does not tell how many.
    const hasOthers = this.#listener.hasConnections && lingering.length === 0;
    if (hasOthers) lingering.push("a connection");
    return {
      cause: lifetime.cause,
      drained: this.#drained,
      refused: this.#refused,
      forced: this.#forcedRequests.length,
      forcedRequests: this.#forcedRequests,
      lingering,
      duration: lifetime.duration,
    };
  }

  inFlight(): string | undefined {
    const { size } = this;
    if (size === 0) return undefined;
    return `${size} ${size === 1 ? "request" : "requests"} in flight`;
  }

  #serve(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response> {
    this.#arrived++;
    if (this.#inFlight.size >= this.#maxInFlight || this.#isOver) {
      if (this.lifetime.ready) return refused();
      this.#refused++;
      return closing(refused());
    }
    const exchange = new Exchange(request, info, this.#exchanges);
    this.#inFlight.add(exchange);
    this.#lookTimer ??= realTimers.setTimeout(this.#look, lookInterval);
    const sent = () => exchange.sent();
    info.completed.then(sent, sent);
    return exchange.answer();
  }

  #outgoing(response: Response): Response {
    const { lifetime } = this;
    if (lifetime.ready) return response;
    const isDraining = lifetime.draining.err !== undefined;
    return isDraining && !this.#listener.isClosing
      ? response
      : closing(response);
  }

  #over(exchange: Exchange): void {
    this.#inFlight.delete(exchange);
    if (!this.lifetime.ready && !this.#isOver) this.#drained++;
    if (this.#inFlight.size === 0) this.#idle?.resolve();
  }

  #leftUpload(): void {
    this.#leftUploadAt = performance.now();
    // Deno may hand over a request after `close()`, and has broken its body then.
    this.#left?.resolve();
  }

  readonly #look = (): void => {
    this.#lookTimer = undefined;
    this.#lookedAt = performance.now();
    if (this.size === 0) return;
    for (const exchange of this.#inFlight.toArray()) exchange.look();
    this.#lookTimer = realTimers.setTimeout(this.#look, lookInterval);
  };

  /** True if a client may still be reading its answer while its connection is open. */
  get #mayBeRead(): boolean {
    const start = performance.now() - readingTime;
    const hasAnswered = this.#lookTimer !== undefined || this.#lookedAt > start;
    return hasAnswered && this.#leftUploadAt <= start;
  }

  #whenIdle(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  /**
   * Resolves at a moment when no request is likely to be on its way, or when the
   * grace period is over. JavaScript sees a request only a few turns after its
   * connection has been accepted.
   */
  async #quietMoment(): Promise<void> {
    let quiet = 0;
    for (let turn = 0; turn < maxTurns && quiet < quietTurns; turn++) {
      if (this.lifetime.isCut) return;
      const before = this.#arrived;
      const start = performance.now();
      await shortTurn();
      const isShort = performance.now() - start < longTurn;
      quiet = isShort && this.#arrived === before ? quiet + 1 : 0;
    }
  }

  /**
   * Resolves when the bodies that are arriving now have been read, or the grace
   * period is over. Waiting twice serves uploads that begin during the first wait;
   * waiting for an instant without any could go on for as long as there are clients.
   */
  async #bodiesRead(): Promise<void> {
    const read = this.#inFlight.toArray().map((each) => each.bodyRead());
    const { handlers } = this.lifetime;
    await Promise.race([Promise.all(read), handlers.done]);
  }

  readonly #cutStreams = (): void => {
    this.#listener.cut();
    for (const exchange of this.#inFlight.toArray()) exchange.cut();
  };

  #brokenOff(error: unknown): Error {
    if (!this.#listener.isClosing) return new ClientGone({ cause: error });
    return new Error(
      "serveHttp: the server was closed before the body had arrived",
      { cause: error },
    );
  }

  #interrupted(error: unknown): void {
    const message = "serveHttp: the listener failed, listening again" +
      (error instanceof Error ? `: ${error.message}` : "");
    this.#report(new Error(message, { cause: error }));
  }

  /** The response is an error of the handler's, or its stream has failed. */
  #sendFailed(error: unknown): Response {
    const isEnd = isCanceled(this.lifetime.handlers, error) ||
      this.#inFlight.toArray().some((exchange) => exchange.explains(error));
    if (!isEnd) this.#report(error);
    return failed();
  }
}

function remoteAddrOf(
  info: Deno.ServeHandlerInfo<Deno.Addr>,
): Deno.Addr | undefined {
  try {
    return info.remoteAddr;
  } catch {
    // Deno forgets a request that is over.
    return undefined;
  }
}

/**
 * Resolves after a turn of the event loop in which Deno has looked for new
 * connections and requests. Not a timer, which takes a millisecond or two, and not
 * `setImmediate`, which goes on without a look: work on another thread takes 0.1 ms.
 */
async function shortTurn(): Promise<void> {
  await crypto.subtle.digest("SHA-1", new Uint8Array(0));
}

/** Resolves with `promise`, or after `ms` without it. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = realTimers.setTimeout(resolve, ms);
  await Promise.race([promise, timeout]);
  realTimers.clearTimeout(timer);
}
