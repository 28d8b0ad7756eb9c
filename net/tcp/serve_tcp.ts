/** A TCP server. */

import { background } from "../../context/background.ts";
import type { Context } from "../../context/context.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { withValue } from "../../context/with_value.ts";
import {
  assertAbove0,
  assertArguments,
  assertRange,
  assertTls,
  assertUnstableNet,
} from "../arguments.ts";
import { lastCallFor, Lifetime } from "../lifetime.ts";
import { realTimers } from "../real_timers.ts";
import { listenError } from "../listen_error.ts";
import { reporter } from "../report.ts";
import { localAddrKey, remoteAddrKey } from "../addr_keys.ts";
import { TcpConnection, type TcpConnectionOptions } from "./tcp_connection.ts";

/**
 * Handles one connection. When it has returned, the connection is closed; where
 * the peer is still sending, that is read and dropped for up to a second, lest it
 * be reset before it has read the answers. What the handler throws or rejects with
 * is reported to `onError` and costs that connection, nothing else.
 *
 * @example A line, and goodbye
 * ```ts
 * import { background, dialTcp, serveTcp, type TcpHandler } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const daytime: TcpHandler = async (_ctx, conn) => {
 *   await conn.write(new TextEncoder().encode("a quarter past nine\r\n"));
 * };
 * await using server = serveTcp(background(), { port: 0 }, daytime);
 * using conn = await dialTcp(background(), server.addr);
 * const text = await new Response(conn.readable).text();
 * assertEquals(text, "a quarter past nine\r\n");
 * ```
 *
 * @param ctx The values of the server's context; done when the peer has closed,
 * when the connection is idle, at the hard moment, and when the handler has
 * returned or closed the connection.
 * @param conn The connection. Its reads and writes reject with `ctx.err` where the
 * end of `ctx` cuts them short.
 */
export type TcpHandler = (
  ctx: Context,
  conn: Deno.Conn<Deno.NetAddr>,
) => void | Promise<void>;

/** What {@linkcode serveTcp} can be told. */
export interface ServeTcpOptions {
  /** The port; 0 takes a free one. */
  port: number;
  /** The address to listen on; `127.0.0.1` by default. */
  hostname?: string;
  /**
   * For TLS: the certificate and its private key, both as PEM text. Deno keeps the
   * socket of a peer that never finishes the handshake until the peer closes it,
   * whatever is closed here: put a proxy in front where peers are not trusted.
   */
  tls?: { cert: string; key: string };
  /**
   * Whether other processes may share the port; false by default. Linux only, and
   * needs `--unstable-net`.
   */
  reusePort?: boolean;
  /** How many connections may be open, closed at once beyond it; no limit by default. */
  maxConnections?: number;
  /**
   * How long, in ms, nothing may be read or written; no limit by default. The ctx
   * of the connection is then done, with `IdleTimeout` as the cause, and the
   * connection closed.
   */
  idleTimeout?: number;
  /**
   * Whether a peer may close its side and still be answered; false by default. By
   * default the end of what it sends is the end of its ctx, though what is written
   * still goes out.
   */
  allowHalfOpen?: boolean;
  /**
   * How long, in ms, to go on accepting once ctx is done; 0 by default. What then
   * waits to be accepted is reset by the kernel: give load balancers the time here
   * to notice.
   */
  lameDuck?: number;
  /** How long, in ms, connections may take after that; 10,000 by default. */
  grace?: number;
  /**
   * Told of every error of a handler, with its connection, and of errors in
   * accepting; `console.error` by default.
   */
  onError?: (error: unknown, conn?: Deno.Conn<Deno.NetAddr>) => void;
}

/**
 * What a TCP server has counted. At any time accepted = open + handled + failed +
 * refused.
 */
export interface TcpStats {
  /** Connections accepted. */
  accepted: number;
  /** Connections whose handler is at work. */
  open: number;
  /** Connections whose handler has ended without an error. */
  handled: number;
  /** Connections whose handler has thrown, or did not end in time. */
  failed: number;
  /** Connections closed at once: there were `maxConnections`, or it was too late. */
  refused: number;
  /** Connections that were open at the hard moment, and cut. */
  forced: number;
  /** Errors in accepting that pass, such as too many open files. */
  transientErrors: number;
  /** The error of the listener, where it is that which has ended the server. */
  error?: unknown;
}

/**
 * A TCP server that runs; made by {@linkcode serveTcp}.
 *
 * @example What has become of its connections
 * ```ts
 * import { background, dialTcp, serveTcp, type TcpServer, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const server: TcpServer = serveTcp(ctx, { port: 0 }, () => ctx.cancel());
 * using _conn = await dialTcp(background(), server.addr);
 * const { accepted, handled, forced } = await server.finished;
 * assertEquals([accepted, handled, forced], [1, 1, 0]);
 * ```
 */
export interface TcpServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  /** What it has counted so far; a copy. */
  readonly stats: TcpStats;
  /**
   * What it has counted, once its sockets are closed and its handlers have ended,
   * or have taken no notice of the end of the grace. Never rejects.
   */
  readonly finished: Promise<TcpStats>;
}

/**
 * Listens on a TCP port and calls `handler` for each connection, until `ctx` is
 * done. Then it accepts no more and lets the handlers finish, which can await
 * `softDone(ctx)`; when the grace is over, their contexts are cancelled and the
 * connections closed under them.
 *
 * That a peer has closed is noticed by the handler's reads and writes, and within
 * 100 ms while it does something else. It counts once all that the peer had sent
 * has been read.
 *
 * Needs the permission `--allow-net`.
 *
 * @param ctx Until when to serve.
 * @param options Where to listen, limits and times.
 * @param handler Called for each connection.
 * @returns The server. `await using` ends it with its block.
 * @throws {ContextError} The error of `ctx` where that is done: no socket is
 * opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` not a function, or
 * `tls` without its cert or key.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If the address is not of this machine.
 *
 * @example An echo
 * ```ts
 * import { background, dialTcp, serveTcp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serveTcp(background(), { port: 0 }, async (_ctx, conn) => {
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
): TcpServer {
  assertArguments("serveTcp", ctx, options, handler);
  if (ctx.err !== undefined) throw ctx.err;
  return new Server(ctx, options, handler);
}

/** The first and the longest pause, in ms, after an accept that has failed. */
const shortestPause = 5;
const longestPause = 1_000;

/** In ms: how often it is looked whether peers have closed. */
const peerWatch = 25;

class Server implements TcpServer {
  readonly finished: Promise<TcpStats>;
  readonly #handler: TcpHandler;
  readonly #report: (error: unknown, conn?: Deno.Conn<Deno.NetAddr>) => void;
  readonly #maxConnections: number;
  readonly #lameDuck: number;
  readonly #connection: TcpConnectionOptions;
  readonly #lifetime: Lifetime;
  readonly #listener: Deno.TcpListener | Deno.TlsListener;
  readonly #base: Context;
  readonly #open = new Set<TcpConnection>();
  readonly #handlers = new WaitGroup();
  readonly #counts: Omit<TcpStats, "open" | "error"> = {
    accepted: 0,
    handled: 0,
    failed: 0,
    refused: 0,
    forced: 0,
    transientErrors: 0,
  };
  #failure: { error: unknown } | undefined;
  #closed = false;
  #over = false;
  #pause: PromiseWithResolvers<void> | undefined;
  #watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: Context, options: ServeTcpOptions, handler: TcpHandler) {
    const {
      maxConnections = Infinity,
      idleTimeout = Infinity,
      allowHalfOpen = false,
      lameDuck = 0,
      grace = 10_000,
    } = options;
    assertAbove0("serveTcp", { idleTimeout });
    assertRange("serveTcp", { maxConnections }, 1);
    assertRange("serveTcp", { lameDuck }, 0);
    this.#handler = handler;
    this.#report = reporter("serveTcp", options.onError);
    this.#maxConnections = maxConnections;
    this.#lameDuck = lameDuck;
    this.#connection = { idleTimeout, allowHalfOpen };
    this.#lifetime = new Lifetime(
      ctx,
      "serveTcp",
      grace,
      () => this.#describe(),
    );
    try {
      this.#listener = listen(options);
    } catch (error) {
      this.#lifetime.end();
      throw error;
    }
    const { handlers } = this.#lifetime;
    this.#base = withValue(handlers, localAddrKey, this.addr);
    this.finished = this.#live();
  }

  get addr(): Deno.NetAddr {
    return this.#listener.addr;
  }

  get stats(): TcpStats {
    const open = this.#over ? 0 : this.#open.size;
    return { ...this.#counts, open, ...this.#failure };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.serving.cancel();
    await this.finished;
  }

  /** The whole life, from the first connection until all is over. */
  async #live(): Promise<TcpStats> {
    const { serving, work } = this.#lifetime;
    const accepting = this.#accept();
    await serving.done;
    if (this.#lameDuck > 0 && !this.#closed) {
      const duck = withTimeout(background(), this.#lameDuck);
      await Promise.race([duck.done, accepting]);
      duck.cancel();
    }
    this.#close();
    this.#lifetime.startGrace(() => this.#cut());
    await accepting;
    const ended = this.#handlers.wait();
    await Promise.race([ended, work.done]);
    if (this.#handlers.count > 0) await lastCallFor(ended);
    realTimers.clearTimeout(this.#watchTimer);
    this.#over = true;
    this.#counts.failed += this.#open.size;
    this.#lifetime.end();
    return this.stats;
  }

  /** Accepts until the listener is closed. */
  async #accept(): Promise<void> {
    let pause = 0;
    while (!this.#closed) {
      try {
        this.#serve(await this.#listener.accept());
        pause = 0;
      } catch (error) {
        if (this.#closed) return;
        if (!isTransient(error)) return this.#fail(error);
        this.#counts.transientErrors++;
        if (pause === 0) this.#report(error);
        pause = Math.min(pause * 2 || shortestPause, longestPause);
        await this.#wait(pause);
      }
    }
  }

  /** Waits, but not for longer than until the listener is closed. */
  async #wait(ms: number): Promise<void> {
    this.#pause = Promise.withResolvers();
    const timer = realTimers.setTimeout(this.#pause.resolve, ms);
    await this.#pause.promise;
    realTimers.clearTimeout(timer);
  }

  #serve(accepted: Deno.TcpConn | Deno.TlsConn): void {
    this.#counts.accepted++;
    // At the hard moment it may have been on its way out of the listener.
    const late = this.#lifetime.work.err !== undefined;
    if (late || this.#open.size >= this.#maxConnections) {
      this.#counts.refused++;
      accepted.close();
      return;
    }
    const base = withValue(this.#base, remoteAddrKey, accepted.remoteAddr);
    const conn = new TcpConnection(base, accepted, this.#connection);
    this.#open.add(conn);
    this.#watchTimer ??= realTimers.setTimeout(this.#watch, peerWatch);
    this.#handlers.go(() => this.#handle(conn));
  }

  async #handle(conn: TcpConnection): Promise<void> {
    let failure: { error: unknown } | undefined;
    try {
      await this.#handler(conn.ctx, conn);
    } catch (error) {
      failure = { error };
    }
    const known = failure !== undefined && conn.explains(failure.error);
    await conn.end();
    if (this.#over) return;
    this.#open.delete(conn);
    if (failure === undefined) {
      this.#counts.handled++;
    } else {
      this.#counts.failed++;
      // That its peer has gone, or its time is over, is no news.
      if (!known) this.#report(failure.error, conn);
    }
  }

  /** Looks whether the peers of handlers that do not read are still there. */
  readonly #watch = (): void => {
    this.#watchTimer = undefined;
    if (this.#open.size === 0 || this.#over) return;
    for (const conn of this.#open) conn.watch();
    this.#watchTimer = realTimers.setTimeout(this.#watch, peerWatch);
  };

  /** Accepts no more. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pause?.resolve();
    try {
      this.#listener.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) this.#report(error);
    }
  }

  /** The hard moment: closes what is left under its handlers. */
  #cut(): void {
    this.#counts.forced = this.#open.size;
    for (const conn of this.#open) conn.close();
  }

  /** The listener is of no use any more. */
  #fail(error: unknown): void {
    this.#failure = { error };
    this.#close();
    this.#report(error);
    this.#lifetime.serving.cancel(error);
  }

  #describe(): string | undefined {
    const { size } = this.#open;
    return size === 0 ? undefined : `serveTcp with ${size} connections`;
  }
}

function listen(
  options: ServeTcpOptions,
): Deno.TcpListener | Deno.TlsListener {
  const { port, hostname = "127.0.0.1", reusePort = false, tls } = options;
  if (reusePort) assertUnstableNet("serveTcp", "reusePort");
  assertTls("serveTcp", tls);
  try {
    return tls === undefined
      ? Deno.listen({ port, hostname, reusePort })
      : Deno.listenTls({ port, hostname, reusePort, ...tls });
  } catch (error) {
    throw listenError("serveTcp", error, { port, hostname });
  }
}

/** Errors that say nothing of the listener: of one peer, or of this moment. */
function isTransient(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.Interrupted ||
    code === "EMFILE" || code === "ENFILE" || code === "ENOBUFS" ||
    code === "ENOMEM";
}
