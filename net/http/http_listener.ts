/** Listening with `Deno.serve`, again and again if need be. */

import { assertPath, assertTls, assertUnstableNet } from "../arguments.ts";
import { listenError } from "../listen_error.ts";
import { realTimers } from "../real_timers.ts";
import type { ServerAddr } from "../server.ts";
import { isTransient } from "../transient.ts";
import { listenOnPath, SocketFile } from "../unix_socket.ts";
import { forgiveClosedServer } from "./abort_closed_server.ts";

/** Options for an {@linkcode HttpListener}. */
export interface HttpListenOptions {
  port?: number | undefined;
  hostname?: string | undefined;
  path?: string | undefined;
  removeStale?: boolean | undefined;
  tls?: { cert: string; key: string } | undefined;
  reusePort?: boolean | undefined;
}

/** Callbacks of an {@linkcode HttpListener}. */
export interface HttpListenerEvents {
  /** Answers a request. */
  serve(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response>;
  /** Called when Deno cannot send a response, or its stream fails. */
  sendFailed(error: unknown): Response;
  /** Called when Deno has stopped listening and this begins to listen again. */
  interrupted(error: unknown): void;
  /** Called when listening again has failed for good. */
  failed(error: unknown): void;
}

/** The first and the longest pause in ms before listening again. */
const shortestPause = 5;
const longestPause = 1_000;

/**
 * Number of attempts to listen again, 4 s of them, after which a port that another
 * process has taken, say, is given up. Without file descriptors there is no limit.
 */
const attempts = 10;

/** Throws a TypeError if the options contradict each other or lack a flag. */
export function assertListenOptions(options: HttpListenOptions): void {
  const { path, tls, reusePort } = options;
  if (reusePort) assertUnstableNet("serveHttp", "reusePort");
  if (path !== undefined) assertPath("serveHttp", path);
  assertTls("serveHttp", options);
  if (tls !== undefined && path !== undefined) {
    throw new TypeError(
      "serveHttp: there is no TLS on a Unix socket: leave out tls or path",
    );
  }
}

/**
 * A listener with the connections it has accepted.
 *
 * Deno stops listening for good at the first accept that fails, for want of file
 * descriptors for example. Its connections live on. So another `Deno.serve` listens
 * at the same address, after a pause that grows from 5 ms to 1 s, while the
 * connections of the earlier ones go on being served.
 */
export class HttpListener {
  readonly addr: ServerAddr;
  readonly #options: HttpListenOptions;
  readonly #events: HttpListenerEvents;
  /** Cuts all connections. Never aborted after `shutdown()`: see `cut`. */
  readonly #force = new AbortController();
  readonly #signal = forgiveClosedServer(this.#force.signal);
  readonly #servers: Deno.HttpServer<Deno.Addr>[] = [];
  #file: SocketFile | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #isClosing = false;
  #hasConnections = true;
  #listeningSince = 0;
  #pause = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Throws the error of `Deno.serve`, with a message that names the address. */
  constructor(options: HttpListenOptions, events: HttpListenerEvents) {
    this.#options = options;
    this.#events = events;
    this.addr = this.#listen();
  }

  /** True once `close()` or `cut()` has been called. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** False when all connections have been closed. */
  get hasConnections(): boolean {
    return this.#hasConnections;
  }

  /**
   * Resolves when all connections have been closed. After `close()` that takes as
   * long as the slowest client: never wait for it without a limit.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Refuses new connections and closes idle ones; HTTP/2 clients get GOAWAY. Deno
   * also breaks every request body of HTTP/1 that is still arriving, and closes
   * WebSockets with 1001.
   */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    realTimers.clearTimeout(this.#timer);
    const kept = this.#file?.keepReplacement();
    // For a server that Deno has closed by itself, this does nothing.
    // One whose listener fails right now rejects, and is closed all the same.
    await Promise.allSettled(
      this.#servers.map((server) => server.shutdown()),
    );
    this.#hasConnections = false;
    await kept;
    this.#closed.resolve();
  }

  /**
   * Cuts all connections at once. Does nothing after `close()`: Deno then cannot
   * cut, and trying to ends the process with an uncaught BadResource.
   */
  cut(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    realTimers.clearTimeout(this.#timer);
    const kept = this.#file?.keepReplacement();
    this.#force.abort();
    this.#hasConnections = false;
    this.#closed.resolve(kept);
  }

  #listen(): ServerAddr {
    const { path, removeStale = true } = this.#options;
    try {
      const server = path === undefined
        ? this.#serve()
        : listenOnPath(path, removeStale, () => this.#serve());
      this.#servers.push(server);
      if (path !== undefined) this.#file = new SocketFile(path);
      this.#listeningSince = performance.now();
      server.finished.then(
        () => this.#ended(new Error("Deno has closed the server")),
        (error) => this.#ended(error),
      );
      return server.addr as ServerAddr;
    } catch (error) {
      const { hostname } = this.#options;
      throw listenError("serveHttp", error, {
        port: this.#port ?? 8000,
        hostname,
        path,
      });
    }
  }

  #serve(): Deno.HttpServer<Deno.Addr> {
    const { hostname, path, tls, reusePort } = this.#options;
    const port = this.#port;
    return Deno.serve(
      {
        signal: this.#signal,
        // Deno would print a line.
        onListen: () => {},
        onError: (error: unknown) => this.#events.sendFailed(error),
        ...(path !== undefined ? { path } : {
          ...(port !== undefined && { port }),
          ...(hostname !== undefined && { hostname }),
          ...(reusePort !== undefined && { reusePort }),
          ...(tls !== undefined && { cert: tls.cert, key: tls.key }),
        }),
      } as Deno.ServeTcpOptions,
      (request, info) => this.#events.serve(request, info),
    );
  }

  /** Port 0 stands for any only the first time. */
  get #port(): number | undefined {
    const addr = this.addr as Partial<Deno.NetAddr> | undefined;
    return addr?.port ?? this.#options.port;
  }

  /** Called when a server has ended, on its own or by `close()` or `cut()`. */
  #ended(error: unknown): void {
    if (this.#isClosing) return;
    if (performance.now() - this.#listeningSince > longestPause) {
      this.#pause = 0;
    }
    if (this.#pause === 0) this.#events.interrupted(error);
    this.#listenAgain(attempts);
  }

  #listenAgain(left: number): void {
    this.#pause = Math.min(this.#pause * 2 || shortestPause, longestPause);
    this.#timer = realTimers.setTimeout(() => {
      try {
        this.#listen();
      } catch (error) {
        const isShort = isTransient((error as Error).cause);
        const isLast = left === 1 && !isShort;
        if (isLast) this.#events.failed(error);
        else this.#listenAgain(Math.max(left - 1, 1));
      }
    }, this.#pause);
  }
}
