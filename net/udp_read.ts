/** The read loop of a UDP socket. */

import type { Context } from "../context/context.ts";
import { lastCallFor, Lifetime, realTimers } from "./lifetime.ts";

/** A datagram that has come in. */
export interface Datagram {
  /**
   * What was sent. Valid until the handler has returned or, where it returned a
   * promise, until that has settled; `slice()` keeps it for longer.
   */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Who sent it. */
  readonly addr: Deno.NetAddr;
  /**
   * Sends `data` back to who sent the datagram.
   *
   * @param data At most 65,507 bytes.
   * @returns The number of bytes sent.
   */
  reply(data: Uint8Array): Promise<number>;
}

/**
 * Handles one datagram. What it throws or rejects with is reported to `onError`
 * and costs that datagram, nothing else.
 *
 * @param ctx The caller's values; done at the hard moment only.
 * @param datagram What has come in.
 */
export type DatagramHandler = (
  ctx: Context,
  datagram: Datagram,
) => void | Promise<void>;

/** What a read loop has counted. Once it has ended, received = handled + failed + dropped + truncated. */
export interface UdpStats {
  /** Datagrams read from the socket. */
  received: number;
  /** Their bytes. */
  bytes: number;
  /** Datagrams whose handler has ended without an error. */
  handled: number;
  /** Datagrams whose handler has thrown, or did not end in time. */
  failed: number;
  /** Datagrams that found the backlog full, or the grace over. */
  dropped: number;
  /** Datagrams longer than `maxDatagramSize`; no handler saw them. */
  truncated: number;
}

/** What {@linkcode udpRead} can be told. */
export interface UdpReadOptions {
  /** The largest datagram taken, in bytes; 65,507 by default, the most there is. */
  maxDatagramSize?: number;
  /** How many handlers may run at once; 1 by default, begun in order of arrival. */
  concurrency?: number;
  /** How many datagrams may wait for a handler; 1,024 by default. */
  backlog?: number;
  /** How long, in ms, what is in flight may take once ctx is done; 1,000 by default. */
  grace?: number;
  /**
   * Told of every error of a handler, with its datagram, and of the error that
   * ends the loop; `console.error` by default.
   */
  onError?: (error: unknown, datagram?: Datagram) => void;
}

/**
 * Reads datagrams from a socket you opened until `ctx` is done, then closes it:
 * derives a local context, reads, takes in what the kernel still holds, closes
 * the socket, waits for the handlers, returns.
 *
 * A socket that fails, or that somebody else closes, ends this loop and leaves
 * `ctx` alone. Errors that pass, such as an ICMP message that surfaces as
 * `ConnectionReset`, do not end it.
 *
 * @param ctx Until when to read. If it is done already, the socket is closed and
 * nothing read.
 * @param conn The socket. It belongs to the loop from here on.
 * @param handler Called for each datagram.
 * @param options Sizes, limits and times.
 * @returns What was counted, once the socket is closed and the handlers have
 * ended; those that take no notice of the end of the grace are left behind.
 * @throws {TypeError} If `ctx` is not a context.
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
export function udpRead(
  ctx: Context,
  conn: Deno.DatagramConn,
  handler: DatagramHandler,
  options: UdpReadOptions = {},
): Promise<UdpStats> {
  return new UdpReader("udpRead", ctx, conn, handler, options).finished;
}

/**
 * In ms. What the kernel holds is read once this has passed twice in a row
 * without a datagram. Twice, because a busy machine may run the timer late and
 * before it looks at the socket; not in between two timers.
 */
const silence = 10;

/** The read loop, for {@linkcode udpRead} and `serveUdp`. */
export class UdpReader {
  /** What was counted, once all has ended. Never rejects. */
  readonly finished: Promise<UdpStats>;
  readonly #name: string;
  readonly #conn: Deno.DatagramConn;
  readonly #handler: DatagramHandler;
  readonly #onError: (error: unknown, datagram?: Datagram) => void;
  readonly #maxDatagramSize: number;
  readonly #concurrency: number;
  readonly #backlogLimit: number;
  readonly #lifetime: Lifetime;
  readonly #buffers: BufferPool;
  readonly #backlog: ReceivedDatagram[] = [];
  readonly #stats: UdpStats = {
    received: 0,
    bytes: 0,
    handled: 0,
    failed: 0,
    dropped: 0,
    truncated: 0,
  };
  #active = 0;
  #closed = false;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  /** All is counted: whoever still runs is left behind. */
  #over = false;
  /** Resolves when nothing is being handled any more. */
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(
    name: string,
    ctx: Context,
    conn: Deno.DatagramConn,
    handler: DatagramHandler,
    options: UdpReadOptions,
  ) {
    const {
      maxDatagramSize = 65_507,
      concurrency = 1,
      backlog = 1_024,
      grace = 1_000,
      onError = (error) => console.error(`${name}:`, error),
    } = options;
    assertRange(name, { maxDatagramSize }, 1, 65_507);
    assertRange(name, { concurrency }, 1);
    assertRange(name, { backlog }, 0);
    this.#name = name;
    this.#conn = conn;
    this.#handler = handler;
    this.#onError = onError;
    this.#maxDatagramSize = maxDatagramSize;
    this.#concurrency = concurrency;
    this.#backlogLimit = backlog;
    // One byte more shows what was longer: the platform truncates in silence.
    this.#buffers = new BufferPool(maxDatagramSize + 1);
    this.#lifetime = new Lifetime(ctx, name, grace, () => this.#describe());
    this.finished = this.#run();
  }

  /** What has been counted so far. */
  get stats(): UdpStats {
    return { ...this.#stats };
  }

  /** Ends the loop as the end of its context would. */
  stop(cause?: unknown): void {
    this.#lifetime.serving.cancel(cause);
  }

  async #run(): Promise<UdpStats> {
    const lifetime = this.#lifetime;
    if (lifetime.serving.err !== undefined) {
      this.#close();
    } else {
      lifetime.onSoft(() => {
        lifetime.startGrace(() => this.#close());
        this.#drain();
      });
      await this.#read();
      await this.#handlersEnded();
    }
    this.#over = true;
    this.#stats.dropped += this.#backlog.splice(0).length;
    this.#stats.failed += this.#active;
    lifetime.end();
    return this.stats;
  }

  /** Reads until the socket is closed. */
  async #read(): Promise<void> {
    const stats = this.#stats;
    let buffer = this.#buffers.take();
    let failures = 0;
    while (!this.#closed) {
      let data: Uint8Array<ArrayBuffer>;
      let addr: Deno.Addr;
      try {
        [data, addr] = await this.#conn.receive(buffer) as [
          Uint8Array<ArrayBuffer>,
          Deno.Addr,
        ];
      } catch (error) {
        if (this.#closed) return;
        if (!isPassing(error)) return this.#fail(error);
        // Not at once, should there be no end of them.
        await new Promise((resolve) =>
          realTimers.setTimeout(resolve, Math.min(failures++, 100))
        );
        continue;
      }
      failures = 0;
      stats.received++;
      stats.bytes += data.length;
      if (data.length > this.#maxDatagramSize) {
        stats.truncated++;
      } else if (this.#active < this.#concurrency) {
        const datagram = new ReceivedDatagram(this.#conn, data, addr, buffer);
        // A handler that is still at it keeps the buffer its data lies in.
        if (this.#handle(datagram)) buffer = this.#buffers.take();
      } else if (this.#backlog.length < this.#backlogLimit) {
        this.#backlog.push(
          new ReceivedDatagram(this.#conn, data.slice(), addr, undefined),
        );
      } else {
        stats.dropped++;
      }
    }
  }

  /** Calls the handler; true if it has not ended yet. */
  #handle(datagram: ReceivedDatagram): boolean {
    let result: void | Promise<void>;
    try {
      result = this.#handler(this.#lifetime.work, datagram);
    } catch (error) {
      this.#failed(error, datagram);
      return false;
    }
    if (typeof result?.then !== "function") {
      this.#stats.handled++;
      return false;
    }
    this.#active++;
    result.then(
      () => {
        if (!this.#over) this.#stats.handled++;
      },
      (error) => this.#failed(error, datagram),
    ).then(() => this.#next(datagram));
    return true;
  }

  /** A handler has ended: the next one's turn. */
  #next(datagram: ReceivedDatagram): void {
    this.#active--;
    if (datagram.buffer !== undefined) this.#buffers.give(datagram.buffer);
    while (this.#active < this.#concurrency && this.#backlog.length > 0) {
      this.#handle(this.#backlog.shift()!);
    }
    if (this.#active === 0) this.#idle?.resolve();
  }

  #failed(error: unknown, datagram: Datagram): void {
    if (this.#over) return;
    this.#stats.failed++;
    this.#report(error, datagram);
  }

  #report(error: unknown, datagram?: Datagram): void {
    try {
      this.#onError(error, datagram);
    } catch (second) {
      console.error(`${this.#name}: onError has thrown`, second);
    }
  }

  /** The socket is of no use any more. */
  #fail(error: unknown): void {
    this.#close();
    this.#report(error);
    this.#lifetime.serving.cancel(error);
  }

  /** Goes on until the kernel has nothing left and the handlers are done. */
  #drain(): void {
    if (this.#closed) return;
    let received = this.#stats.received;
    let quiet = 0;
    const look = () => {
      const idle = this.#active === 0 && this.#stats.received === received;
      received = this.#stats.received;
      quiet = idle ? quiet + 1 : 0;
      if (quiet === 2) this.#close();
      else this.#drainTimer = realTimers.setTimeout(look, silence);
    };
    this.#drainTimer = realTimers.setTimeout(look, silence);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    realTimers.clearTimeout(this.#drainTimer);
    try {
      this.#conn.close();
    } catch (error) {
      // Somebody else may have closed it.
      if (!(error instanceof Deno.errors.BadResource)) this.#report(error);
    }
  }

  async #handlersEnded(): Promise<void> {
    if (this.#active === 0) return;
    this.#idle = Promise.withResolvers();
    const idle = this.#idle.promise;
    await Promise.race([idle, this.#lifetime.work.done]);
    if (this.#active > 0) await lastCallFor(idle);
  }

  #describe(): string | undefined {
    const waiting = this.#active + this.#backlog.length;
    return waiting === 0
      ? undefined
      : `${this.#name} with ${waiting} datagrams in flight`;
  }
}

class ReceivedDatagram implements Datagram {
  readonly #conn: Deno.DatagramConn;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly addr: Deno.NetAddr;
  /** What `data` lies in, where that is from the pool. */
  readonly buffer: Uint8Array<ArrayBuffer> | undefined;

  constructor(
    conn: Deno.DatagramConn,
    data: Uint8Array<ArrayBuffer>,
    addr: Deno.Addr,
    buffer: Uint8Array<ArrayBuffer> | undefined,
  ) {
    this.#conn = conn;
    this.data = data;
    this.addr = addr as Deno.NetAddr;
    this.buffer = buffer;
  }

  reply(data: Uint8Array): Promise<number> {
    return this.#conn.send(data, this.addr);
  }
}

/** Receive buffers: one for the socket, and one for each handler at work. */
class BufferPool {
  readonly #size: number;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#free.pop() ?? new Uint8Array(this.#size);
  }

  give(buffer: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
  }
}

/**
 * Errors after which a socket goes on. An ICMP message makes a receive fail that
 * has nothing to do with it; a socket that is really closed says so next time.
 */
function isPassing(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.TimedOut ||
    error instanceof Deno.errors.WouldBlock;
}

function assertRange(
  name: string,
  option: Record<string, number>,
  least: number,
  most: number = Infinity,
): void {
  for (const [key, value] of Object.entries(option)) {
    if (value >= least && value <= most) continue;
    const range = most === Infinity
      ? `${least} or more`
      : `${least} to ${most}`;
    throw new RangeError(`${name}: ${key} must be ${range}, got ${value}`);
  }
}
