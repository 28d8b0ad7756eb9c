/** The read loop of a UDP socket. */

import { assertContext } from "../../context/assert_context.ts";
import { Backlog } from "../../context/backlog.ts";
import type { Context } from "../../context/context.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { assertRange } from "../arguments.ts";
import { reporter } from "../report.ts";
import type { ServerAddr, ServerOptions } from "../server.ts";
import { assertTimes, ServerLifetime } from "../server_lifetime.ts";
import type { SocketFile } from "../unix_socket.ts";
import { type Datagram, LentDatagram } from "./datagram.ts";
import {
  assertSocketOptions,
  type Receiver,
  type UdpCounts,
  udpGrace,
  UdpSocket,
  type UdpSocketOptions,
} from "./udp_socket.ts";
import type { UdpStats } from "./udp_stats.ts";

/**
 * Handles one datagram. An error of the handler is reported to `onError` and costs
 * that datagram only.
 *
 * @param ctx Has the values of the caller's ctx; done when the grace period is
 * over.
 * @param datagram The datagram, valid until the handler has ended.
 */
export type DatagramHandler<Addr extends ServerAddr = Deno.NetAddr> = (
  ctx: Context,
  datagram: Datagram<Addr>,
) => void | Promise<void>;

/** Options for {@linkcode udpRead}. */
export interface UdpReadOptions<Addr extends ServerAddr = Deno.NetAddr>
  extends UdpSocketOptions {
  /**
   * Number of handlers that may run at once; 1 by default. They start in order of
   * arrival.
   */
  concurrency?: number;
  /** Number of datagrams that may wait for a handler; 1,024 by default. */
  backlog?: number;
  /**
   * Receives the errors of handlers, together with their datagram; transient errors
   * of the socket, once for each series; and the failure that ends a server.
   * `console.error` by default.
   */
  onError?: (error: unknown, datagram?: Datagram<Addr>) => void;
}

/**
 * Reads datagrams from a socket you opened until `ctx` is done. Then it reads what
 * the kernel still holds, for at most half of the grace period, waits for the
 * handlers, closes the socket, and resolves.
 *
 * If the socket fails, or other code closes it, the loop ends and rejects, and
 * `ctx` is left alone. Transient errors, such as an ICMP message that surfaces as
 * `ConnectionReset`, are counted and retried.
 *
 * Unix datagram sockets (transport `unixpacket`) work as well, with
 * `udpRead<Deno.UnixAddr>`. They are read one datagram at a time, since Deno cannot
 * send on such a socket while it receives; senders wait. The file of the socket
 * stays. `serveUdp` with a `path` opens such a socket and removes its file.
 *
 * @param ctx Context that ends the loop. If it is done already, the socket is
 * closed and nothing is read.
 * @param conn The socket. The loop owns it from here on.
 * @param handler Called for each datagram.
 * @param options Sizes, limits and times.
 * @returns The counters, once the socket is closed and the handlers have ended, or
 * have ignored the end of the grace period. Rejects if the socket failed, with an
 * error whose `cause` is the socket's.
 * @throws {TypeError} If `ctx` is not a context, `conn` is not a socket, or
 * `handler` is not a function.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { background, udpRead, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const conn = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await conn.send(new TextEncoder().encode("hello"), conn.addr);
 * const stats = await udpRead(ctx, conn, (_ctx, { data }) => {
 *   console.log(new TextDecoder().decode(data)); // hello
 *   ctx.cancel();
 * });
 * assertEquals(stats.handled, 1);
 * ```
 */
export function udpRead<Addr extends ServerAddr = Deno.NetAddr>(
  ctx: Context,
  conn: Deno.DatagramConn,
  handler: DatagramHandler<Addr>,
  options: UdpReadOptions<Addr> = {},
): Promise<UdpStats> {
  assertContext("udpRead", ctx);
  if (typeof conn?.receive !== "function") {
    throw new TypeError(
      "udpRead: the second argument must be a Deno.DatagramConn",
    );
  }
  if (typeof handler !== "function") {
    throw new TypeError("udpRead: the third argument must be a function");
  }
  assertReadOptions("udpRead", options);
  const own = { isAwaited: true };
  const { lifetime } = readDatagrams(
    "udpRead",
    ctx,
    conn,
    handler,
    options,
    own,
  );
  // A promise of its own, so that a rejection that nobody handles is noticed.
  return lifetime.finished.then((stats) => stats);
}

/** Throws a RangeError unless the options are in range. */
export function assertReadOptions(
  caller: string,
  options: Omit<UdpReadOptions, "onError">,
): void {
  const { concurrency = 1, backlog = 1_024 } = options;
  assertRange(caller, { concurrency }, 1);
  assertRange(caller, { backlog }, 0);
  assertSocketOptions(caller, options);
  assertTimes(caller, options);
}

/**
 * Starts to read `conn`, for {@linkcode udpRead} and `serveUdp`. Throws what
 * `onListen` throws.
 */
export function readDatagrams<Addr extends ServerAddr>(
  name: string,
  ctx: Context,
  conn: Deno.DatagramConn,
  handler: DatagramHandler<Addr>,
  options: UdpReadOptions<Addr> & ServerOptions<Addr>,
  { file, isAwaited = false }: { file?: SocketFile; isAwaited?: boolean } = {},
): UdpSocket<Addr> {
  const { concurrency = 1, backlog = 1_024, grace = udpGrace } = options;
  const report = reporter(name, options.onError);
  const lifetime = new ServerLifetime<Addr, UdpStats>(
    name,
    ctx,
    conn.addr as Addr,
    { ...options, grace },
    report,
  );
  const socket = new UdpSocket(lifetime, conn, options, report, file);
  const handlers = new Handlers({
    socket,
    handler,
    concurrency,
    backlog: new Backlog<Waiting<Addr>>(backlog),
    report,
  });
  if (ctx.err !== undefined) socket.cut();
  socket.start(handlers, isAwaited);
  return socket;
}

/** A datagram that waits for a handler, with a copy of its data. */
interface Waiting<Addr> {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly addr: Addr;
}

interface HandlersOptions<Addr extends ServerAddr> {
  readonly socket: UdpSocket<Addr>;
  readonly handler: DatagramHandler<Addr>;
  readonly concurrency: number;
  readonly backlog: Backlog<Waiting<Addr>>;
  report(error: unknown, datagram: Datagram<Addr>): void;
}

/** Calls the handler, up to `concurrency` times at once; the rest waits. */
class Handlers<Addr extends ServerAddr> implements Receiver {
  readonly active = new WaitGroup();
  readonly #options: HandlersOptions<Addr>;
  readonly #ctx: Context;
  readonly #counts: UdpCounts;
  /** Lent to the next handler. Replaced when a handler keeps it by a promise. */
  #lent: LentDatagram<Addr>;
  #running = 0;
  /** Set by `abandon()`: handlers that still run have been counted. */
  #over = false;

  constructor(options: HandlersOptions<Addr>) {
    const { socket } = options;
    this.#options = options;
    this.#ctx = socket.lifetime.handlers;
    this.#counts = socket.counts;
    this.#lent = new LentDatagram(socket.send);
  }

  get pending(): number {
    return this.#over ? 0 : this.#running + this.#options.backlog.size;
  }

  stats(socket: UdpStats): UdpStats {
    return socket;
  }

  take(
    data: Uint8Array<ArrayBuffer>,
    addr: Deno.Addr,
    buffer: Uint8Array<ArrayBuffer>,
  ): boolean {
    const { backlog, concurrency } = this.#options;
    const isLate = this.#ctx.err !== undefined;
    if (this.#running < concurrency && !isLate) {
      return this.#handle(data, addr as Addr, buffer);
    }
    if (backlog.full || isLate) this.#counts.dropped++;
    else backlog.push({ data: data.slice(), addr: addr as Addr });
    return false;
  }

  /** Calls the handler. Returns true if it is still running, and keeps `buffer`. */
  #handle(
    data: Uint8Array<ArrayBuffer>,
    addr: Addr,
    buffer?: Uint8Array<ArrayBuffer>,
  ): boolean {
    const datagram = this.#lent;
    datagram.lend(data, addr);
    this.#running++;
    let result: void | Promise<void>;
    let isPending: boolean;
    try {
      result = this.#options.handler(this.#ctx, datagram);
      isPending = typeof result?.then === "function";
    } catch (error) {
      this.#failed(error, datagram);
      return false;
    }
    if (!isPending) {
      this.#handled(datagram);
      return false;
    }
    this.#lent = new LentDatagram(this.#options.socket.send);
    this.active.add();
    // The next handler starts in the same turn. Otherwise a datagram received in
    // between would overtake the backlog.
    Promise.resolve(result).then(() => {
      this.#handled(datagram);
      this.#next(buffer);
    }, (error) => {
      this.#failed(error, datagram);
      this.#next(buffer);
    });
    return true;
  }

  #handled(datagram: LentDatagram<Addr>): void {
    this.#running--;
    if (!this.#over) this.#counts.handled++;
    datagram.takeBack();
  }

  #failed(error: unknown, datagram: LentDatagram<Addr>): void {
    this.#running--;
    if (!this.#over) {
      this.#counts.failed++;
      if (!isCanceled(this.#ctx, error)) this.#options.report(error, datagram);
    }
    datagram.takeBack();
  }

  /** Gives the buffer of a handler back, and starts the next handler. */
  #next(buffer: Uint8Array<ArrayBuffer> | undefined): void {
    const { backlog, concurrency, socket } = this.#options;
    if (buffer !== undefined) socket.giveBack(buffer);
    // After the grace period `abandon()` drops what waits.
    while (this.#running < concurrency && this.#ctx.err === undefined) {
      const waiting = backlog.shift();
      if (waiting === undefined) break;
      this.#handle(waiting.data, waiting.addr);
    }
    // Last: the count must not drop to 0 while datagrams wait.
    this.active.done();
  }

  drained(): boolean {
    return false;
  }

  inFlight(): string | undefined {
    const { pending } = this;
    if (pending === 0) return undefined;
    return `${pending} datagram${pending === 1 ? "" : "s"} in flight`;
  }

  abandon(): void {
    this.#over = true;
    this.#counts.dropped += this.#options.backlog.clear();
    this.#counts.failed += this.#running;
  }
}
