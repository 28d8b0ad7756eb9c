/** A TCP server. */

import type { Context } from "../../context/context.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { withValue } from "../../context/with_value.ts";
import { localAddrKey, remoteAddrKey } from "../addr_keys.ts";
import {
  assertAbove0,
  assertArguments,
  assertPath,
  assertPort,
  assertRange,
  assertTls,
  assertUnstableNet,
} from "../arguments.ts";
import { listenError } from "../listen_error.ts";
import { realTimers } from "../real_timers.ts";
import { reporter } from "../report.ts";
import type { Server, ServerAddr, ServerOptions } from "../server.ts";
import { ServerBase } from "../server_base.ts";
import {
  assertTimes,
  ServerLifetime,
  type ServerWork,
} from "../server_lifetime.ts";
import { isLostConnection, isTransient } from "../transient.ts";
import {
  listenOnPath,
  type ListenUnixOptions,
  SocketFile,
} from "../unix_socket.ts";
import { TcpConnection, type TcpConnectionOptions } from "./tcp_connection.ts";

/**
 * Handles one connection. When the handler has returned, the connection is
 * closed. If the peer is still sending, its data is read and dropped for up to a
 * second: closing a connection with unread data resets it, and the peer could lose
 * the answer. An error of the handler is reported to `onError` and ends that
 * connection only.
 *
 * @example A line, and goodbye
 * ```ts
 * import { background, dialTcp, serveTcp, type TcpHandler } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const daytime: TcpHandler = async (_ctx, conn) => {
 *   await conn.write(new TextEncoder().encode("a quarter past nine\r\n"));
 * };
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server = serveTcp(background(), options, daytime);
 * using conn = await dialTcp(background(), server.addr);
 * const text = await new Response(conn.readable).text();
 * assertEquals(text, "a quarter past nine\r\n");
 * ```
 *
 * @param ctx Has the values of the server's ctx. Done when the peer has closed the
 * connection, when the connection is idle, when the grace period is over, and when
 * the handler has returned or closed the connection.
 * @param conn The connection. Reads and writes that the end of `ctx` cuts short
 * reject with `ctx.err`.
 */
export type TcpHandler<Addr extends ServerAddr = Deno.NetAddr> = (
  ctx: Context,
  conn: Deno.Conn<Addr>,
) => void | Promise<void>;

/** Options for {@linkcode serveTcp} that do not depend on where it listens. */
export interface TcpOptions<Addr extends ServerAddr = Deno.NetAddr>
  extends ServerOptions<Addr> {
  /**
   * Number of connections that may be open at once; no limit by default. Further
   * ones are closed at once.
   */
  maxConnections?: number;
  /**
   * Time in ms for which nothing may be read or written; no limit by default. Then
   * the ctx of the connection is done with `IdleTimeout` as its cause, and the
   * connection is closed.
   */
  idleTimeout?: number;
  /**
   * Keeps the ctx of a connection open when the peer has closed its side of it, so
   * that the handler can still answer; false by default. Without it the ctx is
   * done then, though writes still go out.
   */
  allowHalfOpen?: boolean;
  /**
   * Receives the errors of handlers, together with their connection; transient
   * errors of the listener, once for each series; and the error that ends the
   * server. `console.error` by default.
   */
  onError?: (error: unknown, conn?: Deno.Conn<Addr>) => void;
}

/** Options for {@linkcode serveTcp}. */
export interface ServeTcpOptions extends TcpOptions {
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /** Address to listen on; `0.0.0.0`, all IPv4 addresses, by default. */
  hostname?: string;
  /**
   * Certificate and private key for TLS, both as PEM text. If a peer never
   * finishes the handshake, Deno keeps its socket until the peer closes it, even
   * after the connection was closed here. Put a proxy in front if you do not trust
   * your peers.
   */
  tls?: { cert: string; key: string };
  /**
   * Lets other servers that set it, also in other processes, listen on the same
   * port; false by default. Deno ignores it except on Linux, and needs
   * `--unstable-net` for it.
   */
  reusePort?: boolean;
  /** Only in {@linkcode ServeTcpPathOptions}. */
  path?: undefined;
}

/** Options for {@linkcode serveTcp} on a Unix socket. */
export interface ServeTcpPathOptions
  extends ListenUnixOptions, TcpOptions<Deno.UnixAddr> {}

/**
 * Counters of a TCP server. At any time accepted = open + handled + failed +
 * refused.
 */
export interface TcpStats {
  /** Number of connections accepted. */
  accepted: number;
  /** Number of connections whose handler is running. */
  open: number;
  /** Number of connections whose handler has ended without an error. */
  handled: number;
  /** Number of connections whose handler has failed, or did not end in time. */
  failed: number;
  /**
   * Number of connections closed at once, because `maxConnections` was reached or
   * the grace period was over.
   */
  refused: number;
  /** Number of connections that were open, and cut, when the grace period ended. */
  forced: number;
  /**
   * Number of transient accept errors, such as "too many open files", and of
   * connections that their peers reset before they were accepted.
   */
  transientErrors: number;
}

/**
 * A running TCP server; returned by {@linkcode serveTcp}.
 *
 * @example Counting connections
 * ```ts
 * import { background, dialTcp, serveTcp, type TcpServer, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server: TcpServer = serveTcp(ctx, options, () => ctx.cancel());
 * using _conn = await dialTcp(background(), server.addr);
 * const { accepted, handled, forced } = await server.finished;
 * assertEquals([accepted, handled, forced], [1, 1, 0]);
 * ```
 */
export interface TcpServer<Addr extends ServerAddr = Deno.NetAddr>
  extends Server<Addr, TcpStats> {
  /** Copy of the current counters. */
  readonly stats: TcpStats;
}

/**
 * Listens on a TCP port and calls `handler` for each connection, until `ctx` is
 * done. Then the server drains: it closes the listener, and the handlers finish;
 * they can watch `draining(ctx)`. When the grace period is over, their contexts
 * are canceled and their connections closed.
 *
 * A peer that has closed its connection is noticed by the handler's reads and
 * writes, and within 100 ms while the handler does something else. Everything that
 * the peer has sent can be read first.
 *
 * Connections that wait to be accepted when the listener closes are reset by the
 * kernel: set `lameDuck` so that a load balancer can stop sending new ones.
 * Transient accept errors, such as "too many open files", are retried after a growing
 * pause of 5 ms to 1 s. A connection that its peer resets before it is accepted is
 * only counted, as one of `transientErrors`.
 *
 * Needs the permission `--allow-net`.
 *
 * @param ctx Context that ends the server.
 * @param options Address, limits and times.
 * @param handler Called for each connection.
 * @returns The server. `await using` shuts it down at the end of its block.
 * @throws {ContextError} `ctx.err` if `ctx` is done; no socket is opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` is not a function, the port
 * is not a number, or `tls` lacks its cert or key.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If this machine does not have the address.
 *
 * @example An echo server
 * ```ts
 * import { background, dialTcp, serveTcp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server = serveTcp(background(), options, async (_ctx, conn) => {
 *   await conn.readable.pipeTo(conn.writable);
 * });
 * using conn = await dialTcp(background(), server.addr);
 * await conn.write(new TextEncoder().encode("hello"));
 * await conn.closeWrite();
 * assertEquals(await new Response(conn.readable).text(), "hello");
 * ```
 */
export function serveTcp(
  ctx: Context,
  options: ServeTcpOptions,
  handler: TcpHandler,
): TcpServer;
/**
 * Serves a Unix socket instead of a TCP port. Also needs the permissions
 * `--allow-read` and `--allow-write` for the path.
 *
 * @param ctx Context that ends the server.
 * @param options Path, limits and times.
 * @param handler Called for each connection.
 * @returns The server.
 * @throws {TypeError} As above, and if `tls` is given.
 * @throws {Deno.errors.AddrInUse} If the path is in use.
 *
 * @example
 * ```ts
 * import { type Context, serveTcp, type TcpServer } from "@curfew/context";
 *
 * function serveAdmin(ctx: Context): TcpServer<Deno.UnixAddr> {
 *   return serveTcp(ctx, { path: "/run/app/admin.sock" }, async (_ctx, conn) => {
 *     await conn.write(new TextEncoder().encode("ready\n"));
 *   });
 * }
 * console.log(serveAdmin.name); // for main(serveAdmin)
 * ```
 */
export function serveTcp(
  ctx: Context,
  options: ServeTcpPathOptions,
  handler: TcpHandler<Deno.UnixAddr>,
): TcpServer<Deno.UnixAddr>;
export function serveTcp(
  ctx: Context,
  options: ServeTcpOptions | ServeTcpPathOptions,
  handler: TcpHandler | TcpHandler<Deno.UnixAddr>,
): TcpServer | TcpServer<Deno.UnixAddr> {
  assertArguments("serveTcp", ctx, options, handler);
  const { idleTimeout = Infinity, maxConnections = Infinity } = options;
  assertAbove0("serveTcp", { idleTimeout });
  assertRange("serveTcp", { maxConnections }, 1);
  assertTimes("serveTcp", options);
  assertListenOptions(options);
  if (ctx.err !== undefined) throw ctx.err;
  if (options.path === undefined) {
    const listener = listen(options);
    return start(ctx, options, handler as TcpHandler, listener);
  }
  const listener = listenUnix(options);
  const file = new SocketFile(options.path);
  return start(
    ctx,
    options,
    handler as TcpHandler<Deno.UnixAddr>,
    listener,
    file,
  );
}

function assertListenOptions(
  options: ServeTcpOptions | ServeTcpPathOptions,
): void {
  const { tls, reusePort } = options as ServeTcpOptions;
  if (reusePort) assertUnstableNet("serveTcp", "reusePort");
  assertTls("serveTcp", options as ServeTcpOptions);
  if (options.path === undefined) {
    assertPort("serveTcp", options.port);
    return;
  }
  assertPath("serveTcp", options.path);
  if (tls !== undefined) {
    throw new TypeError(
      "serveTcp: there is no TLS on a Unix socket: leave out tls or path",
    );
  }
}

function listen(options: ServeTcpOptions): Deno.TcpListener | Deno.TlsListener {
  const { port, hostname = "0.0.0.0", reusePort = false, tls } = options;
  try {
    return tls === undefined
      ? Deno.listen({ port, hostname, reusePort })
      : Deno.listenTls({ port, hostname, reusePort, ...tls });
  } catch (error) {
    throw listenError("serveTcp", error, { port, hostname });
  }
}

function listenUnix(
  { path, removeStale = true }: ListenUnixOptions,
): Deno.UnixListener {
  try {
    return listenOnPath(
      path,
      removeStale,
      () => Deno.listen({ transport: "unix", path }),
    );
  } catch (error) {
    throw listenError("serveTcp", error, { path });
  }
}

function start<Addr extends ServerAddr>(
  ctx: Context,
  options: TcpOptions<Addr>,
  handler: TcpHandler<Addr>,
  listener: Listener<Addr>,
  file?: SocketFile,
): TcpServer<Addr> {
  const report = reporter("serveTcp", options.onError);
  const lifetime = new ServerLifetime<Addr, TcpStats>(
    "serveTcp",
    ctx,
    listener.addr,
    options,
    report,
  );
  const { idleTimeout = Infinity, allowHalfOpen = false } = options;
  const connections = new Connections<Addr>(lifetime, listener, {
    handler,
    report,
    file,
    maxConnections: options.maxConnections ?? Infinity,
    connection: { idleTimeout, allowHalfOpen },
  });
  return new RunningTcpServer(lifetime, connections);
}

class RunningTcpServer<Addr extends ServerAddr>
  extends ServerBase<Addr, TcpStats>
  implements TcpServer<Addr> {
  readonly #connections: Connections<Addr>;

  constructor(
    lifetime: ServerLifetime<Addr, TcpStats>,
    connections: Connections<Addr>,
  ) {
    super(lifetime);
    this.#connections = connections;
    lifetime.start(connections);
    connections.accept();
  }

  get stats(): TcpStats {
    return this.#connections.stats;
  }
}

/** Pause in ms after the first failed accept of a series, and the longest one. */
const firstPause = 5;
const longestPause = 1_000;

/** Interval in ms at which the peers of handlers that do not read are checked. */
const peerWatch = 25;

type Listener<Addr extends ServerAddr> = Deno.Listener<Deno.Conn<Addr>, Addr>;

interface ConnectionsOptions<Addr extends ServerAddr> {
  readonly handler: TcpHandler<Addr>;
  readonly report: (error: unknown, conn?: Deno.Conn<Addr>) => void;
  /** File of a Unix socket. */
  readonly file: SocketFile | undefined;
  readonly maxConnections: number;
  readonly connection: TcpConnectionOptions;
}

/** Accepts connections and runs a handler for each. */
class Connections<Addr extends ServerAddr> implements ServerWork<TcpStats> {
  readonly #lifetime: ServerLifetime<Addr, TcpStats>;
  readonly #listener: Listener<Addr>;
  readonly #options: ConnectionsOptions<Addr>;
  readonly #base: Context;
  readonly #open = new Set<TcpConnection<Addr>>();
  readonly #handlers = new WaitGroup();
  readonly #counts: Omit<TcpStats, "open"> = {
    accepted: 0,
    handled: 0,
    failed: 0,
    refused: 0,
    forced: 0,
    transientErrors: 0,
  };
  /** True once the listener is closed, or about to be. */
  #closed = false;
  /** Set by `report()`: handlers that still run are left behind, and not counted. */
  #over = false;
  /** Ends the pause after a failed accept. */
  #endPause: () => void = () => {};
  #accepting: Promise<void> = Promise.resolve();
  /** Set by `#close()`: settles when the file of another process is safe. */
  #kept: Promise<void> | undefined;
  #watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    lifetime: ServerLifetime<Addr, TcpStats>,
    listener: Listener<Addr>,
    options: ConnectionsOptions<Addr>,
  ) {
    this.#lifetime = lifetime;
    this.#listener = listener;
    this.#options = options;
    this.#base = withValue(lifetime.handlers, localAddrKey, lifetime.addr);
  }

  get stats(): TcpStats {
    const open = this.#over ? 0 : this.#open.size;
    return { ...this.#counts, open };
  }

  /** Starts to accept connections. */
  accept(): void {
    this.#accepting = this.#acceptAll();
  }

  async drain(): Promise<void> {
    this.#close();
    await Promise.all([this.#accepting, this.#kept]);
    await this.#handlers.wait();
  }

  cut(): void {
    this.#close();
    this.#counts.forced = this.#open.size;
    for (const conn of this.#open) conn.close();
  }

  report(): TcpStats {
    realTimers.clearTimeout(this.#watchTimer);
    this.#over = true;
    this.#counts.failed += this.#open.size;
    return this.stats;
  }

  inFlight(): string | undefined {
    const { size } = this.#open;
    if (size === 0) return undefined;
    return `${size} open connection${size === 1 ? "" : "s"}`;
  }

  /** Accepts until the listener is closed. */
  async #acceptAll(): Promise<void> {
    let pause = 0;
    while (!this.#closed) {
      try {
        this.#serve(await this.#listener.accept());
        pause = 0;
      } catch (error) {
        if (this.#closed) return;
        if (isLostConnection(error)) {
          this.#counts.transientErrors++;
          continue;
        }
        if (!isTransient(error)) return this.#lifetime.fail(error, "listener");
        this.#counts.transientErrors++;
        if (pause === 0) this.#options.report(error);
        pause = Math.min(pause * 2 || firstPause, longestPause);
        await this.#pause(pause);
      }
    }
  }

  /** Waits, unless the listener is closed first. */
  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    const timer = realTimers.setTimeout(resolve, ms);
    await promise;
    realTimers.clearTimeout(timer);
  }

  #serve(accepted: Deno.Conn<Addr>): void {
    this.#counts.accepted++;
    const { maxConnections, connection } = this.#options;
    // The last one may come out of the listener after the grace period is over.
    if (this.#lifetime.isCut || this.#open.size >= maxConnections) {
      this.#counts.refused++;
      accepted.close();
      return;
    }
    const base = withValue(this.#base, remoteAddrKey, accepted.remoteAddr);
    const conn = new TcpConnection(base, accepted, connection);
    this.#open.add(conn);
    this.#watchTimer ??= realTimers.setTimeout(this.#watch, peerWatch);
    this.#handlers.go(() => this.#handle(conn));
  }

  async #handle(conn: TcpConnection<Addr>): Promise<void> {
    let failure: { error: unknown } | undefined;
    try {
      await this.#options.handler(conn.ctx, conn);
    } catch (error) {
      failure = { error };
    }
    const isKnown = failure !== undefined && conn.explains(failure.error);
    await conn.end();
    if (this.#over) return;
    this.#open.delete(conn);
    if (failure === undefined) {
      this.#counts.handled++;
    } else {
      this.#counts.failed++;
      if (!isKnown) this.#options.report(failure.error, conn);
    }
  }

  /** Checks the peers of handlers that do not read. */
  readonly #watch = (): void => {
    this.#watchTimer = undefined;
    if (this.#open.size === 0) return;
    for (const conn of this.#open) conn.watch();
    this.#watchTimer = realTimers.setTimeout(this.#watch, peerWatch);
  };

  /** Closes the listener. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endPause();
    this.#kept = this.#options.file?.keepReplacement();
    try {
      this.#listener.close();
    } catch (error) {
      // Closed already, by whatever made it fail.
      if (!(error instanceof Deno.errors.BadResource)) {
        this.#options.report(error);
      }
    }
  }
}
