/** A UDP server that knows its peers apart. */

import { afterFunc } from "../../context/after_func.ts";
import type { CancelableContext, Context } from "../../context/context.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { withCancel } from "../../context/with_cancel.ts";
import { assertAbove0, assertArguments, assertRange } from "../arguments.ts";
import { Backlog } from "../../context/backlog.ts";
import { type Datagram, LentDatagram } from "./datagram.ts";
import { IdleTimeout, IdleTimer } from "../idle_timer.ts";
import { listenUdp, type ListenUdpOptions } from "./listen_udp.ts";
import { reporter } from "../report.ts";
import {
  type Receiver,
  type UdpCounts,
  UdpSocket,
  type UdpSocketOptions,
} from "./udp_socket.ts";
import type { UdpStats } from "./udp_stats.ts";

/**
 * Everything that comes from one address, and the way back. Iterating it gives
 * the datagrams in order of arrival, and ends when the peer's ctx is done; it can
 * be left and begun again. Their data may be kept.
 */
export interface UdpPeer extends AsyncIterable<Datagram> {
  /** Its address. */
  readonly addr: Deno.NetAddr;
  /**
   * Sends it a datagram.
   *
   * @param data At most 65,507 bytes, 65,527 over IPv6; 9,216 on macOS, unless it
   * is set up to send more.
   * @returns The number of bytes sent. Rejects with the `err` of the peer's ctx
   * once that is done, and with a RangeError where `data` is too long.
   */
  send(data: Uint8Array): Promise<number>;
}

/**
 * Handles one peer, from its first datagram on. When it has returned the peer is
 * forgotten; the next datagram from that address is that of a new one. What it
 * throws or rejects with is reported to `onError` and costs that peer, nothing
 * else.
 *
 * @param ctx The caller's values; done when the peer is idle, at the hard moment,
 * and when the handler has returned.
 * @param peer The peer.
 */
export type PeerHandler = (ctx: Context, peer: UdpPeer) => void | Promise<void>;

/** What {@linkcode udpPeers} can be told. */
export interface UdpPeersOptions extends ListenUdpOptions, UdpSocketOptions {
  /**
   * How long, in ms, a peer may neither send nor be sent anything; 60,000 by
   * default. Its ctx is then done, with {@linkcode IdleTimeout} as the cause.
   */
  idleTimeout?: number;
  /** How many peers there may be; 1,024 by default. The newest are refused. */
  maxPeers?: number;
  /** How many datagrams of a peer may wait for its handler; 64 by default. */
  backlog?: number;
  /**
   * Told of every error of a handler, with its peer, and of the error that ends
   * the server; `console.error` by default.
   */
  onError?: (error: unknown, peer?: UdpPeer) => void;
}

/**
 * What has been counted of the peers as well. A datagram is handled when its
 * handler has asked for the next one or has returned; one of a peer that was
 * refused, or that its handler left waiting, is dropped.
 */
export interface UdpPeersStats extends UdpStats {
  /** Peers whose handler is at work. */
  peers: number;
  /** Peers that have been given to the handler. */
  accepted: number;
  /** Datagrams from new peers that found `maxPeers` reached. */
  refused: number;
}

/** A UDP server that runs. */
export interface UdpPeersServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  /** What it has counted so far; a copy. */
  readonly stats: UdpPeersStats;
  /**
   * What it has counted, once the socket is closed and the handlers have ended.
   * Never rejects.
   */
  readonly finished: Promise<UdpPeersStats>;
}

/**
 * Listens on a UDP port and calls `handler` once for each address that sends
 * something, for protocols that are a conversation. Follows the UDP listener of
 * pion/transport for Go.
 *
 * When `ctx` is done it takes in what the kernel still holds, for half of the grace
 * at most, and then no new peers; those that it has go on until their handlers
 * return, which can await `softDone(ctx)`. When the grace is over their contexts
 * are cancelled.
 *
 * At most `maxPeers` times `backlog` datagrams are held, whoever sends them.
 *
 * Needs `--unstable-net`, or `"unstable": ["net"]` in the deno.json of your
 * workspace, and the permission `--allow-net`.
 *
 * @param ctx Until when to serve.
 * @param options The port, limits and times.
 * @param handler Called for each peer.
 * @returns The server. `await using` ends it with its block.
 * @throws {ContextError} The error of `ctx` where that is done: no socket is
 * opened.
 * @throws {TypeError} If `ctx` is not a context or `handler` not a function, or if
 * Deno has no UDP.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If the address is not of this machine.
 *
 * @example Counting what each peer says
 * ```ts
 * import { background, udpPeers } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = udpPeers(background(), { port: 0 }, async (_ctx, peer) => {
 *   let count = 0;
 *   for await (const _datagram of peer) {
 *     await peer.send(new TextEncoder().encode(`${++count}`));
 *   }
 * });
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * for (const expected of ["1", "2"]) {
 *   await client.send(new Uint8Array(1), server.addr);
 *   const [answer] = await client.receive();
 *   assertEquals(new TextDecoder().decode(answer), expected);
 * }
 * client.close();
 * ```
 */
export function udpPeers(
  ctx: Context,
  options: UdpPeersOptions,
  handler: PeerHandler,
): UdpPeersServer {
  assertArguments("udpPeers", ctx, options, handler);
  const { idleTimeout = 60_000, maxPeers = 1_024, backlog = 64 } = options;
  assertAbove0("udpPeers", { idleTimeout });
  assertRange("udpPeers", { maxPeers, backlog }, 1);
  if (ctx.err !== undefined) throw ctx.err;
  return new Server(
    ctx,
    { ...options, idleTimeout, maxPeers, backlog },
    handler,
  );
}

type Limits = Required<
  Pick<UdpPeersOptions, "idleTimeout" | "maxPeers" | "backlog">
>;

class Server implements UdpPeersServer {
  readonly addr: Deno.NetAddr;
  readonly finished: Promise<UdpPeersStats>;
  readonly #socket: UdpSocket;
  readonly #peers: Peers;

  constructor(
    ctx: Context,
    options: UdpPeersOptions & Limits,
    handler: PeerHandler,
  ) {
    const report = reporter("udpPeers", options.onError);
    const conn = listenUdp("udpPeers", options);
    this.addr = conn.addr as Deno.NetAddr;
    try {
      this.#socket = new UdpSocket("udpPeers", ctx, conn, options, report);
    } catch (error) {
      conn.close();
      throw error;
    }
    this.#peers = new Peers(this.#socket, options, handler, report);
    this.finished = this.#socket.serve(this.#peers).then(() => this.stats);
    this.#socket.join(options.multicast);
  }

  get stats(): UdpPeersStats {
    return { ...this.#socket.stats, ...this.#peers.counts };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.lifetime.serving.cancel();
    await this.finished;
  }
}

/** The peers that have a handler at work. */
class Peers implements Receiver {
  readonly active = new WaitGroup();
  readonly #socket: UdpSocket;
  readonly #limits: Limits;
  readonly #handler: PeerHandler;
  readonly #report: (error: unknown, peer: UdpPeer) => void;
  /** By address. One whose ctx is done stays until its handler has returned. */
  readonly #peers = new Map<string, Peer>();
  #accepted = 0;
  #refused = 0;
  #accepting = true;
  #over = false;

  constructor(
    socket: UdpSocket,
    limits: Limits,
    handler: PeerHandler,
    report: (error: unknown, peer: UdpPeer) => void,
  ) {
    this.#socket = socket;
    this.#limits = limits;
    this.#handler = handler;
    this.#report = report;
  }

  get counts(): Omit<UdpPeersStats, keyof UdpStats> {
    return {
      peers: this.#over ? 0 : this.#peers.size,
      accepted: this.#accepted,
      refused: this.#refused,
    };
  }

  get pending(): number {
    let pending = 0;
    for (const peer of this.#peers.values()) pending += peer.pending;
    return pending;
  }

  take(data: Uint8Array<ArrayBuffer>, addr: Deno.Addr): boolean {
    const { hostname, port } = addr as Deno.NetAddr;
    const key = `${hostname} ${port}`;
    const peer = this.#peers.get(key) ??
      this.#accept(key, addr as Deno.NetAddr);
    if (!peer?.push(data)) this.#socket.counts.dropped++;
    return false;
  }

  #accept(key: string, addr: Deno.NetAddr): Peer | undefined {
    if (!this.#accepting || this.#peers.size >= this.#limits.maxPeers) {
      this.#refused++;
      return undefined;
    }
    const peer = new Peer(addr, this.#socket, this.#limits);
    this.#peers.set(key, peer);
    this.#accepted++;
    this.active.add();
    // Not before the datagram that it has come with is there.
    queueMicrotask(() => this.#run(key, peer));
    return peer;
  }

  async #run(key: string, peer: Peer): Promise<void> {
    let failed = false;
    try {
      await this.#handler(peer.ctx, peer);
    } catch (error) {
      failed = true;
      // That its time was over is no news.
      if (error !== peer.ctx.err && !this.#over) this.#report(error, peer);
    }
    if (!this.#over) {
      peer.end(failed);
      this.#peers.delete(key);
    }
    this.active.done();
  }

  drained(): boolean {
    this.#accepting = false;
    return true;
  }

  describe(): string | undefined {
    const { size } = this.#peers;
    return size === 0 ? undefined : `udpPeers with ${size} peers`;
  }

  abandon(): void {
    this.#over = true;
    for (const peer of this.#peers.values()) peer.end(true);
    this.#peers.clear();
  }
}

class Peer implements UdpPeer {
  readonly addr: Deno.NetAddr;
  readonly ctx: CancelableContext;
  readonly #socket: UdpSocket;
  readonly #counts: UdpCounts;
  readonly #waiting: Backlog<Uint8Array<ArrayBuffer>>;
  readonly #idle: IdleTimer;
  /** Datagrams that the handler is at work on. */
  #busy = 0;
  /** Resolves when there is something to look at again. */
  #news: PromiseWithResolvers<void> | undefined;

  constructor(addr: Deno.NetAddr, socket: UdpSocket, limits: Limits) {
    this.addr = addr;
    this.#socket = socket;
    this.#counts = socket.counts;
    this.#waiting = new Backlog(limits.backlog);
    const { idleTimeout } = limits;
    this.ctx = withCancel(socket.lifetime.handlers);
    afterFunc(this.ctx, () => this.#wake());
    this.#idle = new IdleTimer(
      idleTimeout,
      () => this.ctx.cancel(new IdleTimeout(idleTimeout)),
    );
  }

  get pending(): number {
    return this.#waiting.size + this.#busy;
  }

  /** Puts a datagram in the queue; false if it is full, or the peer at its end. */
  push(data: Uint8Array<ArrayBuffer>): boolean {
    this.#idle.touch();
    if (this.#waiting.full || this.ctx.err !== undefined) return false;
    this.#waiting.push(data.slice());
    this.#wake();
    return true;
  }

  send(data: Uint8Array): Promise<number> {
    const { err } = this.ctx;
    if (err !== undefined) return Promise.reject(err);
    this.#idle.touch();
    return this.#socket.send(data, this.addr);
  }

  [Symbol.asyncIterator](): AsyncIterator<Datagram> {
    // Each iterator for itself: there may be several at work.
    let given = 0;
    return {
      next: async () => {
        this.#settle(given, false);
        given = 0;
        const result = await this.#next();
        if (!result.done) given++;
        return result;
      },
    };
  }

  async #next(): Promise<IteratorResult<Datagram>> {
    while (this.ctx.err === undefined) {
      const data = this.#waiting.shift();
      if (data !== undefined) {
        this.#idle.touch();
        this.#busy++;
        const datagram = new LentDatagram<Deno.NetAddr>(
          (reply) => this.send(reply),
        );
        datagram.lend(data, this.addr);
        return { done: false, value: datagram };
      }
      this.#news ??= Promise.withResolvers();
      await this.#news.promise;
    }
    return { done: true, value: undefined };
  }

  #wake(): void {
    const news = this.#news;
    this.#news = undefined;
    news?.resolve();
  }

  /** The handler is no longer at work on that many datagrams. */
  #settle(count: number, failed: boolean): void {
    // At the end all were settled, whoever has not heard of it.
    const settled = Math.min(count, this.#busy);
    this.#busy -= settled;
    if (failed) this.#counts.failed += settled;
    else this.#counts.handled += settled;
  }

  /** The handler has returned, or is given up. */
  end(failed: boolean): void {
    this.#settle(this.#busy, failed);
    this.#counts.dropped += this.#waiting.clear();
    this.#idle.stop();
    this.ctx.cancel();
  }
}
