/** A UDP socket that is read until its server drains. */

import { afterFunc } from "../../context/after_func.ts";
import { orDone } from "../../context/or_done.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { assertRange } from "../arguments.ts";
import { pause, realTimers } from "../real_timers.ts";
import type { ServerAddr } from "../server.ts";
import type { ServerLifetime, ServerWork } from "../server_lifetime.ts";
import type { SocketFile } from "../unix_socket.ts";
import { isTransient } from "../transient.ts";
import { KernelDrops } from "./kernel_drops.ts";
import { joinGroups, type MulticastGroup } from "./multicast.ts";
import type { UdpStats } from "./udp_stats.ts";

/** Options for everything that reads a UDP socket. */
export interface UdpSocketOptions {
  /**
   * Size of the largest datagram that is accepted, in bytes; 65,507 by default,
   * the maximum of UDP over IPv4.
   */
  maxDatagramSize?: number;
  /**
   * Grace period in ms: time for the datagrams in flight once ctx is done; 1,000 by
   * default. Datagrams that still arrive are read for at most half of it, so that
   * the handlers have the rest.
   */
  grace?: number;
}

/** Throws a RangeError unless the options are in range. */
export function assertSocketOptions(
  caller: string,
  { maxDatagramSize = 65_507 }: UdpSocketOptions,
): void {
  assertRange(caller, { maxDatagramSize }, 1, 65_507);
}

/** Default grace period in ms: a datagram is handled in less time than a request. */
export const udpGrace = 1_000;

/** Takes the datagrams that a socket receives. */
export interface Receiver<Stats extends UdpStats = UdpStats> {
  /**
   * Handles, queues or drops a datagram. Returns true if it keeps `buffer`, in
   * which `data` lies, until it calls `giveBack`.
   */
  take(
    data: Uint8Array<ArrayBuffer>,
    addr: Deno.Addr,
    buffer: Uint8Array<ArrayBuffer>,
  ): boolean;
  /** Handlers that are running. */
  readonly active: WaitGroup;
  /** Number of datagrams that wait or are being handled. */
  readonly pending: number;
  /**
   * Called once during the drain, when the kernel holds no more datagrams or half
   * of the grace period is over. Returns true to go on reading until the handlers
   * have ended.
   */
  drained(): boolean;
  /** Work in flight, for messages; undefined if there is none. */
  inFlight(): string | undefined;
  /** Counts off everything left. Handlers that still run are not counted again. */
  abandon(): void;
  /** Completes the counters of the socket. */
  stats(socket: UdpStats): Stats;
}

/** Counters that a socket and its receiver increment. */
export type UdpCounts = Omit<UdpStats, "pending" | "kernelDropped">;

/**
 * Time in ms without a datagram after which the kernel is taken to hold no more.
 * It must pass twice in a row: on a busy machine the timer may run late, and then
 * before the socket is read.
 */
const silence = 10;

/** Longest pause in ms after a series of failed receives. */
const longestPause = 100;

/** The loop that reads a socket, drains it, closes it, and counts. */
export class UdpSocket<
  Addr extends ServerAddr = Deno.NetAddr,
  Stats extends UdpStats = UdpStats,
> implements ServerWork<Stats> {
  /** Counters; the receiver adds what becomes of the datagrams. */
  readonly counts: UdpCounts = {
    received: 0,
    bytes: 0,
    handled: 0,
    failed: 0,
    dropped: 0,
    truncated: 0,
    transientErrors: 0,
  };
  /** Its two phases. */
  readonly lifetime: ServerLifetime<Addr, Stats>;
  readonly #conn: Deno.DatagramConn;
  readonly #report: (error: unknown) => void;
  /** Removed at the end; undefined if the caller has opened the socket. */
  readonly #file: SocketFile | undefined;
  readonly #maxDatagramSize: number;
  /**
   * Deno cannot send on a Unix socket while it receives on it, so the loop waits
   * for the handlers and their sends before it reads on. Nothing is lost: senders
   * wait as well.
   */
  readonly #isUnix: boolean;
  /** Pending sends on a Unix socket; a handler may not have awaited them. */
  readonly #sends = new WaitGroup();
  readonly #buffers: BufferPool;
  readonly #kernelDrops: KernelDrops;
  /** Last known number, kept when the socket is closed. */
  #kernelDropped: number | undefined;
  /** Set by `start()`. */
  #receiver!: Receiver<Stats>;
  /** Leaves the multicast groups. */
  #leave: () => Promise<void> = () => Promise.resolve();
  /** False once the loop is to end. */
  #reading = true;
  /** True while the loop does not read, and the kernel may hold more. */
  #waiting = false;
  #closed = false;
  #loop: Promise<void> = Promise.resolve();
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    lifetime: ServerLifetime<Addr, Stats>,
    conn: Deno.DatagramConn,
    { maxDatagramSize = 65_507 }: UdpSocketOptions,
    report: (error: unknown) => void,
    file?: SocketFile,
  ) {
    this.lifetime = lifetime;
    this.#conn = conn;
    this.#file = file;
    this.#report = report;
    this.#maxDatagramSize = maxDatagramSize;
    // The platform truncates silently: a byte more shows that it did.
    this.#buffers = new BufferPool(maxDatagramSize + 1);
    this.#isUnix = conn.addr.transport === "unixpacket";
    this.#kernelDrops = new KernelDrops(conn.addr);
  }

  /** Current counters. */
  get stats(): Stats {
    if (!this.#closed) this.#kernelDropped = this.#kernelDrops.read();
    const stats: UdpStats = {
      ...this.counts,
      pending: this.#receiver.pending,
    };
    if (this.#kernelDropped !== undefined) {
      stats.kernelDropped = this.#kernelDropped;
    }
    return this.#receiver.stats(stats);
  }

  /** Starts to read datagrams into `receiver`; see `ServerLifetime.start`. */
  start(receiver: Receiver<Stats>, isAwaited = false): void {
    this.#receiver = receiver;
    this.lifetime.start(this, isAwaited);
    this.#loop = this.#read();
  }

  /** Receives from multicast groups as well, until the drain. */
  async join(groups: MulticastGroup[] = []): Promise<void> {
    if (groups.length === 0) return;
    const { draining } = this.lifetime;
    try {
      const leave = await joinGroups(this.#conn, groups);
      if (draining.err === undefined) this.#leave = leave;
      else if (!this.#closed) leave().catch(this.#report);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes back a buffer that the receiver has kept. */
  giveBack(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffers.give(buffer);
  }

  /** Sends a datagram. Rejects once the grace period is over. */
  readonly send = async (
    data: Uint8Array,
    addr: Deno.Addr,
  ): Promise<number> => {
    const { handlers } = this.lifetime;
    for (let isRetry = false;; isRetry = true) {
      if (handlers.err !== undefined) throw handlers.err;
      try {
        return await (this.#isUnix
          ? orDone(handlers, this.#sendOnUnix(data, addr))
          : this.#conn.send(data, addr));
      } catch (error) {
        if (handlers.err !== undefined) throw handlers.err;
        if (!isTransient(error)) throw this.#sendError(error, data, addr);
        // It concerns an earlier datagram; this one has not been sent.
        this.counts.transientErrors++;
        if (isRetry) throw error;
      }
    }
  };

  /** Waits while the peer does not read, even once the socket is closed. */
  async #sendOnUnix(data: Uint8Array, addr: Deno.Addr): Promise<number> {
    this.#sends.add();
    try {
      return await this.#conn.send(data, addr);
    } finally {
      this.#sends.done();
    }
  }

  /**
   * Reads on until the kernel has nothing left, or half of the grace period is
   * over, and the handlers have ended.
   */
  async drain(): Promise<void> {
    if (!this.#closed) {
      this.#leave().catch(this.#report);
      this.#checkSilence();
    }
    await this.#loop;
    await this.#receiver.active.wait();
    this.#close();
  }

  cut(): void {
    this.#close();
  }

  report(): Stats {
    this.#receiver.abandon();
    return this.stats;
  }

  inFlight(): string | undefined {
    return this.#receiver.inFlight();
  }

  /** Reads until the socket is closed, or the drain is over. */
  async #read(): Promise<void> {
    const { counts } = this;
    const conn = this.#conn;
    const receiver = this.#receiver;
    const most = this.#maxDatagramSize;
    let buffer = this.#buffers.take();
    let failures = 0;
    while (this.#reading) {
      let received: [Uint8Array<ArrayBuffer>, Deno.Addr];
      try {
        received = await conn.receive(buffer);
      } catch (error) {
        if (this.#closed) return;
        if (isTooLong(error)) {
          // Windows reports what the others truncate.
          counts.received++;
          counts.bytes += buffer.length;
          counts.truncated++;
          continue;
        }
        if (!isTransient(error)) return this.#fail(error);
        counts.transientErrors++;
        if (failures === 0) this.#report(error);
        await pause(Math.min(failures++, longestPause));
        continue;
      }
      failures = 0;
      const data = received[0];
      counts.received++;
      counts.bytes += data.length;
      if (data.length > most) counts.truncated++;
      else if (receiver.take(data, received[1], buffer)) {
        buffer = this.#buffers.take();
      }
      if (this.#isUnix) await this.#untilHandled();
    }
  }

  /** Waits for handlers and sends, at most until the grace period is over. */
  async #untilHandled(): Promise<void> {
    const { active } = this.#receiver;
    if (active.count === 0 && this.#sends.count === 0) return;
    const { promise: cut, resolve } = Promise.withResolvers<void>();
    const stop = afterFunc(this.lifetime.handlers, resolve);
    this.#waiting = true;
    await Promise.race([active.wait().then(() => this.#sends.wait()), cut]);
    this.#waiting = false;
    stop();
  }

  /** Ends the server: the socket is unusable. */
  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#close();
    this.lifetime.fail(error, "socket");
  }

  #checkSilence(): void {
    const { counts, lifetime } = this;
    const receiver = this.#receiver;
    const start = performance.now();
    let received = counts.received;
    let quiet = 0;
    let isDrained = false;
    const check = () => {
      const isQuiet = counts.received === received && !this.#waiting;
      quiet = isQuiet ? quiet + 1 : 0;
      received = counts.received;
      const isHalfOver = performance.now() - start >= lifetime.graceLeft;
      if (!isDrained && (quiet === 2 || isHalfOver)) {
        isDrained = true;
        this.#reading = receiver.drained();
      }
      if (isDrained && receiver.active.count === 0) this.#close();
      else this.#drainTimer = realTimers.setTimeout(check, silence);
    };
    this.#drainTimer = realTimers.setTimeout(check, silence);
  }

  #close(): void {
    if (this.#closed) return;
    this.#kernelDropped = this.#kernelDrops.read();
    this.#closed = true;
    this.#reading = false;
    realTimers.clearTimeout(this.#drainTimer);
    try {
      this.#conn.close();
    } catch (error) {
      // Closed already, by whatever made it fail.
      if (!(error instanceof Deno.errors.BadResource)) this.#report(error);
    }
    try {
      this.#file?.remove();
    } catch (error) {
      this.#report(error);
    }
  }

  /** Turns a send failure into an error that says what to do. */
  #sendError(error: unknown, data: Uint8Array, addr: Deno.Addr): unknown {
    const { name } = this.lifetime;
    if (isTooLong(error)) {
      const text = `${name}: ${data.length} bytes are too long to send`;
      const most = mostBytes(addr);
      const limit = most === undefined
        ? "the send buffer of the socket is smaller"
        : `a datagram takes ${most} at most`;
      return new RangeError(`${text}; ${limit}`, { cause: error });
    }
    if (addr.transport === "unixpacket" && !addr.path) {
      return new TypeError(
        `${name}: cannot reply to a Unix socket without a path`,
        { cause: error },
      );
    }
    return error;
  }
}

/** Maximum size in bytes of a datagram to `addr`; undefined if that varies. */
function mostBytes(addr: Deno.Addr): number | undefined {
  if (addr.transport !== "udp") return undefined;
  return addr.hostname.includes(":") ? 65_527 : 65_507;
}

/** Number of buffers kept for reuse; the memory of a burst is freed beyond it. */
const spareBuffers = 32;

/** Receive buffers: one for the socket, and one for each running handler. */
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
    if (this.#free.length < spareBuffers) this.#free.push(buffer);
  }
}

function isTooLong(error: unknown): boolean {
  return (error as { code?: unknown }).code === "EMSGSIZE";
}
