/** A UDP socket that is read until its context is done. */

import type { Context } from "../../context/context.ts";
import type { WaitGroup } from "../../context/wait_group.ts";
import { assertRange } from "../arguments.ts";
import { KernelDrops } from "./kernel_drops.ts";
import { lastCallFor, Lifetime } from "../lifetime.ts";
import { realTimers } from "../real_timers.ts";
import { joinGroups, type MulticastGroup } from "./multicast.ts";
import type { UdpStats } from "./udp_stats.ts";

/** What every loop that reads a UDP socket can be told. */
export interface UdpSocketOptions {
  /** The largest datagram taken, in bytes; 65,507 by default, the most there is. */
  maxDatagramSize?: number;
  /**
   * How long, in ms, what is in flight may take once ctx is done; 1,000 by default.
   * Half of it at most is for datagrams that still come in; the rest is left to the
   * handlers.
   */
  grace?: number;
}

/** Takes what a socket receives. */
export interface Receiver {
  /**
   * Sees to a datagram, or drops it. True if `buffer`, in which `data` lies, is
   * to be left alone until it is given back.
   */
  take(
    data: Uint8Array<ArrayBuffer>,
    addr: Deno.Addr,
    buffer: Uint8Array<ArrayBuffer>,
  ): boolean;
  /** The handlers at work. */
  readonly active: WaitGroup;
  /** How many datagrams wait or are being handled. */
  readonly pending: number;
  /**
   * All that had come in before the soft moment has been taken, or there is no end
   * to what comes in. Whether it wants more all the same.
   */
  drained(): boolean;
  /** What it holds, in a few words; undefined where that is nothing. */
  describe(): string | undefined;
  /** All is over: counts off whatever is left, and takes no notice of it any more. */
  abandon(): void;
}

/** What a socket counts up, and its receiver with it. */
export type UdpCounts = Omit<UdpStats, "pending" | "kernelDropped" | "error">;

/**
 * In ms. What the kernel holds is read once this has passed twice in a row
 * without a datagram. Twice, because a busy machine may run the timer late and
 * before it looks at the socket; not in between two timers.
 */
const silence = 10;

/** The longest pause, in ms, after a receive that has failed again and again. */
const longestPause = 100;

/** The loop: reads, drains, closes, and counts what it has seen. */
export class UdpSocket {
  /** Its two moments. */
  readonly lifetime: Lifetime;
  /** What has been counted; a receiver adds what becomes of the datagrams. */
  readonly counts: UdpCounts = {
    received: 0,
    bytes: 0,
    handled: 0,
    failed: 0,
    dropped: 0,
    truncated: 0,
    transientErrors: 0,
  };
  readonly #name: string;
  readonly #conn: Deno.DatagramConn;
  readonly #onError: (error: unknown) => void;
  readonly #maxDatagramSize: number;
  /** In ms. */
  readonly #grace: number;
  /**
   * Deno cannot send by a Unix socket while it waits for something to come in, so
   * the handlers come first. Nothing is lost by that: senders wait too.
   */
  readonly #isUnix: boolean;
  readonly #buffers: BufferPool;
  readonly #kernelDrops: KernelDrops;
  #kernelDropped: number | undefined;
  #receiver: Receiver | undefined;
  /** Leaves the multicast groups. */
  #leave: () => Promise<void> = () => Promise.resolve();
  #reading = true;
  #closed = false;
  #failure: { error: unknown } | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    name: string,
    ctx: Context,
    conn: Deno.DatagramConn,
    options: UdpSocketOptions,
    onError: (error: unknown) => void,
  ) {
    const { maxDatagramSize = 65_507, grace = 1_000 } = options;
    assertRange(name, { maxDatagramSize }, 1, 65_507);
    this.#name = name;
    this.#conn = conn;
    this.#onError = onError;
    this.#maxDatagramSize = maxDatagramSize;
    this.#grace = grace;
    // One byte more shows what was longer: the platform truncates in silence.
    this.#buffers = new BufferPool(maxDatagramSize + 1);
    this.#isUnix = conn.addr.transport === "unixpacket";
    this.#kernelDrops = new KernelDrops(conn.addr);
    this.lifetime = new Lifetime(
      ctx,
      name,
      grace,
      () => this.#receiver?.describe(),
    );
  }

  /** What has been counted so far. */
  get stats(): UdpStats {
    if (!this.#closed) this.#kernelDropped = this.#kernelDrops.read();
    const stats: UdpStats = {
      ...this.counts,
      pending: this.#receiver?.pending ?? 0,
    };
    if (this.#kernelDropped !== undefined) {
      stats.kernelDropped = this.#kernelDropped;
    }
    if (this.#failure !== undefined) stats.error = this.#failure.error;
    return stats;
  }

  /** The whole life, from the first datagram until all is over. Never rejects. */
  async serve(receiver: Receiver): Promise<UdpStats> {
    this.#receiver = receiver;
    const { lifetime } = this;
    if (lifetime.serving.err !== undefined) {
      this.#close();
    } else {
      lifetime.onSoft(() => {
        lifetime.startGrace(() => this.#close());
        if (!this.#closed) this.#leave().catch(this.#onError);
        this.#drain(receiver);
      });
      await this.#read(receiver);
      await this.#handled(receiver);
      this.#close();
    }
    receiver.abandon();
    lifetime.end();
    return this.stats;
  }

  /** Receives from multicast groups too, until the soft moment. */
  async join(groups: MulticastGroup[] = []): Promise<void> {
    if (groups.length === 0) return;
    try {
      const leave = await joinGroups(this.#name, this.#conn, groups);
      if (this.lifetime.serving.err === undefined) this.#leave = leave;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Gives back a buffer that a receiver has kept. */
  giveBack(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffers.give(buffer);
  }

  /** Sends a datagram; for as long as the handlers may be at work. */
  readonly send = async (
    data: Uint8Array,
    addr: Deno.Addr,
  ): Promise<number> => {
    const { work } = this.lifetime;
    for (let again = false;; again = true) {
      if (work.err !== undefined) throw work.err;
      try {
        return await this.#conn.send(data, addr);
      } catch (error) {
        if (work.err !== undefined) throw work.err;
        if (!isTransient(error)) throw this.#sendError(error, data, addr);
        // It tells of one sent earlier; this one has not been sent at all.
        this.counts.transientErrors++;
        if (again) throw error;
      }
    }
  };

  /** Reads until the socket is closed, or nothing more is wanted. */
  async #read(receiver: Receiver): Promise<void> {
    const { counts } = this;
    const conn = this.#conn;
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
          // Windows says so where the others truncate.
          counts.received++;
          counts.bytes += buffer.length;
          counts.truncated++;
          continue;
        }
        if (!isTransient(error)) return this.#fail(error);
        counts.transientErrors++;
        // Not at once, should there be no end of them.
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
        if (this.#isUnix) await this.#handled(receiver);
      }
    }
  }

  /** Waits for the handlers at work, until the hard moment. */
  async #handled({ active }: Receiver): Promise<void> {
    const ended = active.wait();
    await Promise.race([ended, this.lifetime.work.done]);
    if (active.count > 0) await lastCallFor(ended);
  }

  /** The socket is of no use any more: ends the loop with `error` as the cause. */
  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure = { error };
    this.#close();
    this.#onError(error);
    this.lifetime.serving.cancel(error);
  }

  /**
   * Goes on until the kernel has nothing left and the handlers are done. Where
   * there is no end to what comes in, half of the grace is left to the handlers.
   */
  #drain(receiver: Receiver): void {
    const { counts } = this;
    const latest = performance.now() + this.#grace / 2;
    let received = counts.received;
    let quiet = 0;
    let drained = false;
    const look = () => {
      quiet = counts.received === received ? quiet + 1 : 0;
      received = counts.received;
      if (!drained && (quiet === 2 || performance.now() >= latest)) {
        drained = true;
        this.#reading = receiver.drained();
      }
      if (drained && receiver.active.count === 0) this.#close();
      else this.#drainTimer = realTimers.setTimeout(look, silence);
    };
    if (!this.#closed) this.#drainTimer = realTimers.setTimeout(look, silence);
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
      // Somebody else may have closed it.
      if (!(error instanceof Deno.errors.BadResource)) this.#onError(error);
    }
  }

  /** What somebody is told whose datagram could not be sent. */
  #sendError(error: unknown, data: Uint8Array, addr: Deno.Addr): unknown {
    if (isTooLong(error)) {
      const text = `${this.#name}: ${data.length} bytes are too long to send`;
      const most = mostBytes(addr);
      const limit = most === undefined
        ? "the send buffer of the socket is smaller"
        : `a datagram takes ${most} at most`;
      return new RangeError(`${text}; ${limit}`, { cause: error });
    }
    if (addr.transport === "unixpacket" && !addr.path) {
      return new TypeError(
        `${this.#name}: no reply is possible to a socket without a path`,
        { cause: error },
      );
    }
    return error;
  }
}

/** The most bytes that a datagram to `addr` takes; undefined where that varies. */
function mostBytes(addr: Deno.Addr): number | undefined {
  if (addr.transport !== "udp") return undefined;
  return addr.hostname.includes(":") ? 65_527 : 65_507;
}

/** How many buffers are kept for later; a burst must not hold its memory for ever. */
const spareBuffers = 32;

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
    if (this.#free.length < spareBuffers) this.#free.push(buffer);
  }
}

/**
 * Errors after which a socket goes on. An ICMP message makes a receive or a send
 * fail that has nothing to do with it; a socket that is really closed says so
 * next time.
 */
function isTransient(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.TimedOut ||
    error instanceof Deno.errors.WouldBlock;
}

function isTooLong(error: unknown): boolean {
  return (error as { code?: unknown }).code === "EMSGSIZE";
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, ms));
}
