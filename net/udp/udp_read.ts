/** The read loop of a UDP socket. */

import type { Context } from "../../context/context.ts";
import { assertContext } from "../../context/tree.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { assertRange } from "../arguments.ts";
import { Backlog } from "../../context/backlog.ts";
import { type Datagram, LentDatagram } from "./datagram.ts";
import { reporter } from "../report.ts";
import {
  type Receiver,
  type UdpCounts,
  UdpSocket,
  type UdpSocketOptions,
} from "./udp_socket.ts";
import type { UdpStats } from "./udp_stats.ts";

/**
 * Handles one datagram. What it throws or rejects with is reported to `onError`
 * and costs that datagram, nothing else.
 *
 * @param ctx The caller's values; done at the hard moment only.
 * @param datagram What has come in.
 */
export type DatagramHandler<Addr extends Deno.Addr = Deno.NetAddr> = (
  ctx: Context,
  datagram: Datagram<Addr>,
) => void | Promise<void>;

/** What {@linkcode udpRead} can be told. */
export interface UdpReadOptions<Addr extends Deno.Addr = Deno.NetAddr>
  extends UdpSocketOptions {
  /** How many handlers may run at once; 1 by default, begun in order of arrival. */
  concurrency?: number;
  /** How many datagrams may wait for a handler; 1,024 by default. */
  backlog?: number;
  /**
   * Told of every error of a handler, with its datagram, and of the error that
   * ends the loop; `console.error` by default.
   */
  onError?: (error: unknown, datagram?: Datagram<Addr>) => void;
}

/**
 * Reads datagrams from a socket you opened until `ctx` is done, then closes it:
 * derives a local context, reads, takes in what the kernel still holds (for half of
 * the grace at most, should there be no end to it), waits for the handlers, closes
 * the socket, returns.
 *
 * A socket that fails, or that somebody else closes, ends this loop and leaves
 * `ctx` alone. Errors that pass, such as an ICMP message that surfaces as
 * `ConnectionReset`, are counted and do not end it.
 *
 * A Unix datagram socket (transport `unixpacket`) is read as well, with
 * `udpRead<Deno.UnixAddr>`: always one datagram at a time, for Deno cannot reply
 * by one while it reads; senders wait. Its file stays; whoever has opened the
 * socket removes it.
 *
 * @param ctx Until when to read. If it is done already, the socket is closed and
 * nothing read.
 * @param conn The socket. It belongs to the loop from here on.
 * @param handler Called for each datagram.
 * @param options Sizes, limits and times.
 * @returns What was counted, once the socket is closed and the handlers have
 * ended; those that take no notice of the end of the grace are left behind.
 * @throws {TypeError} If `ctx` is not a context, `conn` no socket, or `handler`
 * not a function.
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
export function udpRead<Addr extends Deno.Addr = Deno.NetAddr>(
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
  return new UdpReader("udpRead", ctx, conn, handler, options).finished;
}

/** A socket with a handler for its datagrams; for {@linkcode udpRead} and `serveUdp`. */
export class UdpReader<Addr extends Deno.Addr> {
  /** The loop. */
  readonly socket: UdpSocket;
  /** What was counted, once all has ended. Never rejects. */
  readonly finished: Promise<UdpStats>;

  constructor(
    name: string,
    ctx: Context,
    conn: Deno.DatagramConn,
    handler: DatagramHandler<Addr>,
    options: UdpReadOptions<Addr>,
  ) {
    if (typeof handler !== "function") {
      throw new TypeError(`${name}: the third argument must be a function`);
    }
    const { concurrency = 1, backlog = 1_024 } = options;
    assertRange(name, { concurrency }, 1);
    assertRange(name, { backlog }, 0);
    const report = reporter(name, options.onError);
    this.socket = new UdpSocket(name, ctx, conn, options, report);
    this.finished = this.socket.serve(
      new Handlers({
        name,
        socket: this.socket,
        handler,
        concurrency,
        backlog: new Backlog<Waiting<Addr>>(backlog),
        report,
      }),
    );
  }
}

/** A datagram that no handler was free for, with a copy of its data. */
interface Waiting<Addr> {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly addr: Addr;
}

interface HandlersOptions<Addr extends Deno.Addr> {
  readonly name: string;
  readonly socket: UdpSocket;
  readonly handler: DatagramHandler<Addr>;
  readonly concurrency: number;
  readonly backlog: Backlog<Waiting<Addr>>;
  report(error: unknown, datagram: Datagram<Addr>): void;
}

/** Calls the handler, as often at once as it may; the rest waits. */
class Handlers<Addr extends Deno.Addr> implements Receiver {
  readonly active = new WaitGroup();
  readonly #options: HandlersOptions<Addr>;
  readonly #ctx: Context;
  readonly #counts: UdpCounts;
  /** For the next handler; a new one once that has taken it along. */
  #lent: LentDatagram<Addr>;
  #running = 0;
  /** All is counted: whoever still runs is left behind. */
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

  take(
    data: Uint8Array<ArrayBuffer>,
    addr: Deno.Addr,
    buffer: Uint8Array<ArrayBuffer>,
  ): boolean {
    const { backlog, concurrency } = this.#options;
    if (this.#running < concurrency) {
      // A handler that is still at it keeps the buffer its data lies in.
      return this.#handle(data, addr as Addr, buffer);
    }
    if (backlog.full) this.#counts.dropped++;
    else backlog.push({ data: data.slice(), addr: addr as Addr });
    return false;
  }

  /** Calls the handler; true if it has not ended yet. */
  #handle(
    data: Uint8Array<ArrayBuffer>,
    addr: Addr,
    buffer?: Uint8Array<ArrayBuffer>,
  ): boolean {
    const datagram = this.#lent;
    datagram.lend(data, addr);
    this.#running++;
    let result: void | Promise<void>;
    let pending: boolean;
    try {
      result = this.#options.handler(this.#ctx, datagram);
      pending = typeof result?.then === "function";
    } catch (error) {
      this.#failed(error, datagram);
      return false;
    }
    if (!pending) {
      this.#handled(datagram);
      return false;
    }
    this.#lent = new LentDatagram(this.#options.socket.send);
    this.active.add();
    // The next one in the same turn: what is received in between would take its
    // place before the backlog.
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
      this.#options.report(error, datagram);
    }
    datagram.takeBack();
  }

  /** A handler has ended, and left its buffer: the next one's turn. */
  #next(buffer: Uint8Array<ArrayBuffer> | undefined): void {
    const { backlog, concurrency, socket } = this.#options;
    if (buffer !== undefined) socket.giveBack(buffer);
    while (this.#running < concurrency) {
      const waiting = backlog.shift();
      if (waiting === undefined) break;
      this.#handle(waiting.data, waiting.addr);
    }
    // Last, so that nobody takes the moment in between for the end.
    this.active.done();
  }

  drained(): boolean {
    return false;
  }

  describe(): string | undefined {
    return this.pending === 0
      ? undefined
      : `${this.#options.name} with ${this.pending} datagrams in flight`;
  }

  abandon(): void {
    this.#over = true;
    this.#counts.dropped += this.#options.backlog.clear();
    this.#counts.failed += this.#running;
  }
}
