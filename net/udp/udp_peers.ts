/** A UDP server that tells its peers apart. */

import { afterFunc } from "../../context/after_func.ts";
import { Backlog } from "../../context/backlog.ts";
import type { CancelableContext, Context } from "../../context/context.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { observer } from "../../context/tree_observer.ts";
import { WaitGroup } from "../../context/wait_group.ts";
import { withCancel } from "../../context/with_cancel.ts";
import {
  assertAbove0,
  assertArguments,
  assertPort,
  assertRange,
  assertUnstableNet,
} from "../arguments.ts";
import { addrText } from "../host_port.ts";
import { IdleTimeout, IdleTimer } from "../idle_timer.ts";
import { reporter } from "../report.ts";
import type { Server, ServerOptions } from "../server.ts";
import { ServerBase } from "../server_base.ts";
import { assertTimes, ServerLifetime } from "../server_lifetime.ts";
import { type Datagram, LentDatagram } from "./datagram.ts";
import { listenUdp, type ListenUdpOptions } from "./listen_udp.ts";
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
 * Everything that comes from one address, and the way back. Iterating a peer
 * yields its datagrams in order of arrival, and ends when the peer's ctx is done.
 * A loop can be left and started again. The data of these datagrams may be kept.
 */
export interface UdpPeer extends AsyncIterable<Datagram> {
  /** Address of the peer. */
  readonly addr: Deno.NetAddr;
  /**
   * Sends a datagram to the peer.
   *
   * @param data At most 65,507 bytes, or 65,527 over IPv6; 9,216 on macOS unless
   * it is configured to send more.
   * @returns The number of bytes sent. Rejects with the `err` of the peer's ctx
   * once that is done, and with a RangeError if `data` is too long.
   */
  send(data: Uint8Array): Promise<number>;
}

/**
 * Handles one peer, from its first datagram on. When the handler has returned, the
 * peer is forgotten; the next datagram from that address starts a new one. An error
 * of the handler is reported to `onError` and ends that peer only.
 *
 * @param ctx Has the values of the server's ctx. Done when the peer is idle, when
 * the grace period is over, and when the handler has returned.
 * @param peer The peer.
 */
export type PeerHandler = (ctx: Context, peer: UdpPeer) => void | Promise<void>;

/** Options for {@linkcode udpPeers}. */
export interface UdpPeersOptions
  extends ListenUdpOptions, UdpSocketOptions, ServerOptions {
  /**
   * Grace period in ms: time for the handlers once the server drains; 1,000 by
   * default. For at most half of it, datagrams from new peers are still accepted.
   */
  grace?: number;
  /**
   * Time in ms for which a peer may neither send nor be sent anything; 60,000 by
   * default. Then its ctx is done with {@linkcode IdleTimeout} as its cause.
   */
  idleTimeout?: number;
  /**
   * Number of peers that may be active at once; 1,024 by default. Datagrams from
   * further ones are refused.
   */
  maxPeers?: number;
  /** Number of datagrams of one peer that may wait for its handler; 64 by default. */
  backlog?: number;
  /**
   * Receives the errors of handlers, together with their peer; transient errors of
   * the socket, once for each series; and the error that ends the server.
   * `console.error` by default.
   */
  onError?: (error: unknown, peer?: UdpPeer) => void;
}

/**
 * Counters of {@linkcode udpPeers}. A datagram is handled once its handler has
 * asked for the next one or has returned. It is dropped if its peer was refused,
 * or if the handler returned without reading it.
 */
export interface UdpPeersStats extends UdpStats {
  /** Number of peers whose handler is running. */
  peers: number;
  /** Number of peers that have been passed to the handler. */
  accepted: number;
  /**
   * Number of datagrams from new peers that found `maxPeers` reached, or the
   * server no longer accepting peers.
   */
  refused: number;
  /** Number of peers whose handler was running when the grace period was over. */
  forced: number;
}

/** A running UDP server; returned by {@linkcode udpPeers}. */
export interface UdpPeersServer extends Server<Deno.NetAddr, UdpPeersStats> {
  /** Copy of the current counters. */
  readonly stats: UdpPeersStats;
}

/**
 * Listens on a UDP port and calls `handler` once for each address that sends
 * something, for protocols that are conversations. Follows the UDP listener of
 * pion/transport for Go.
 *
 * When `ctx` is done, the server drains: it reads what the kernel still holds, for
 * at most half of the grace period, and then accepts no new peers. Its peers go on
 * until their handlers return; they can watch `draining(ctx)`. When the grace
 * period is over, their contexts are canceled.
 *
 * At most `maxPeers` times `backlog` datagrams are held in memory, no matter who
 * sends them.
 *
 * Needs `--unstable-net`, or `"unstable": ["net"]` in the deno.json of your
 * workspace, and the permission `--allow-net`.
 *
 * @param ctx Context that ends the server.
 * @param options Address, limits and times.
 * @param handler Called for each peer.
 * @returns The server. `await using` shuts it down at the end of its block.
 * @throws {ContextError} `ctx.err` if `ctx` is done; no socket is opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` is not a function, the port
 * is not a number, or Deno runs without `--unstable-net`.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If this machine does not have the address.
 *
 * @example Counting the datagrams of each peer
 * ```ts
 * import { background, udpPeers } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server = udpPeers(background(), options, async (_ctx, peer) => {
 *   let count = 0;
 *   for await (const _datagram of peer) {
 *     await peer.send(new TextEncoder().encode(`${++count}`));
 *   }
 * });
 * const client = Deno.listenDatagram({ transport: "udp", ...options });
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
  assertPort("udpPeers", options.port);
  assertSocketOptions("udpPeers", options);
  assertTimes("udpPeers", options);
  assertUnstableNet("udpPeers", "UDP");
  if (ctx.err !== undefined) throw ctx.err;
  const conn = listenUdp("udpPeers", options);
  const report = reporter("udpPeers", options.onError);
  const lifetime = new ServerLifetime<Deno.NetAddr, UdpPeersStats>(
    "udpPeers",
    ctx,
    conn.addr as Deno.NetAddr,
    { ...options, grace: options.grace ?? udpGrace },
    report,
  );
  const socket: PeersSocket = new UdpSocket(lifetime, conn, options, report);
  const limits = { idleTimeout, maxPeers, backlog };
  socket.start(new Peers(socket, limits, handler, report));
  socket.join(options.multicast);
  return new RunningUdpPeers(socket);
}

type Limits = Required<
  Pick<UdpPeersOptions, "idleTimeout" | "maxPeers" | "backlog">
>;

type PeersSocket = UdpSocket<Deno.NetAddr, UdpPeersStats>;

class RunningUdpPeers extends ServerBase<Deno.NetAddr, UdpPeersStats>
  implements UdpPeersServer {
  readonly #socket: PeersSocket;

  constructor(socket: PeersSocket) {
    super(socket.lifetime);
    this.#socket = socket;
  }

  get stats(): UdpPeersStats {
    return this.#socket.stats;
  }
}

/** The peers whose handlers are running. */
class Peers implements Receiver<UdpPeersStats> {
  readonly active = new WaitGroup();
  readonly #socket: PeersSocket;
  readonly #limits: Limits;
  readonly #handler: PeerHandler;
  readonly #report: (error: unknown, peer: UdpPeer) => void;
  /** By address. A peer stays until its handler has returned. */
  readonly #peers = new Map<string, Peer>();
  #accepted = 0;
  #refused = 0;
  #forced = 0;
  #accepting = true;
  /** Set by `abandon()`: the errors of handlers that still run come too late. */
  #over = false;

  constructor(
    socket: PeersSocket,
    limits: Limits,
    handler: PeerHandler,
    report: (error: unknown, peer: UdpPeer) => void,
  ) {
    this.#socket = socket;
    this.#limits = limits;
    this.#handler = handler;
    this.#report = report;
    const { handlers } = socket.lifetime;
    afterFunc(handlers, () => this.#forced = this.#peers.size);
  }

  stats(socket: UdpStats): UdpPeersStats {
    return {
      ...socket,
      peers: this.#peers.size,
      accepted: this.#accepted,
      refused: this.#refused,
      forced: this.#forced,
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
    const isOpen = this.#accepting && !this.#socket.lifetime.isCut;
    if (!isOpen || this.#peers.size >= this.#limits.maxPeers) {
      this.#refused++;
      return undefined;
    }
    const peer = new Peer(addr, this.#socket, this.#limits);
    this.#peers.set(key, peer);
    this.#accepted++;
    this.active.add();
    // Later, so that the first datagram is there when the handler starts.
    queueMicrotask(() => this.#run(key, peer));
    return peer;
  }

  async #run(key: string, peer: Peer): Promise<void> {
    let failed = false;
    try {
      await this.#handler(peer.ctx, peer);
    } catch (error) {
      failed = true;
      if (!this.#over && !isCanceled(peer.ctx, error)) {
        this.#report(error, peer);
      }
    }
    peer.end(failed);
    this.#peers.delete(key);
    this.active.done();
  }

  drained(): boolean {
    this.#accepting = false;
    return true;
  }

  inFlight(): string | undefined {
    const { size } = this.#peers;
    if (size === 0) return undefined;
    return `${size} peer${size === 1 ? "" : "s"}`;
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
  readonly #socket: PeersSocket;
  readonly #counts: UdpCounts;
  readonly #waiting: Backlog<Uint8Array<ArrayBuffer>>;
  readonly #idle: IdleTimer;
  /** Number of datagrams that the handler is working on. */
  #busy = 0;
  /** Number of these whose iteration was left. */
  #left = 0;
  /** Resolves when a datagram has come or ctx is done. */
  #news: PromiseWithResolvers<void> | undefined;

  constructor(addr: Deno.NetAddr, socket: PeersSocket, limits: Limits) {
    this.addr = addr;
    this.#socket = socket;
    this.#counts = socket.counts;
    this.#waiting = new Backlog(limits.backlog);
    const { idleTimeout } = limits;
    this.ctx = withCancel(socket.lifetime.handlers);
    observer?.described(this.ctx, "peer", () => `UDP ${addrText(addr)}`);
    afterFunc(this.ctx, () => this.#wake());
    this.#idle = new IdleTimer(
      idleTimeout,
      () => this.ctx.cancel(new IdleTimeout(idleTimeout)),
    );
  }

  get pending(): number {
    return this.#waiting.size + this.#busy;
  }

  /** Queues a datagram. Returns false if the queue is full or ctx is done. */
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
    // Number of datagrams that this iterator has given out and not settled. There
    // may be several iterators.
    let given = 0;
    return {
      next: async () => {
        this.#settle(given + this.#left, false);
        this.#left = given = 0;
        const result = await this.#next();
        if (!result.done) given++;
        return result;
      },
      // The loop was left, maybe by an error: then `end(true)` follows.
      return: () => {
        this.#left += given;
        given = 0;
        return Promise.resolve({ done: true, value: undefined });
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

  /** Counts datagrams that the handler is done with. */
  #settle(count: number, failed: boolean): void {
    // `end()` has settled those of iterators that do not know it yet.
    const settled = Math.min(count, this.#busy);
    this.#busy -= settled;
    if (failed) this.#counts.failed += settled;
    else this.#counts.handled += settled;
  }

  /** Called when the handler has returned, or is left behind. Idempotent. */
  end(failed: boolean): void {
    this.#settle(this.#busy, failed);
    this.#counts.dropped += this.#waiting.clear();
    this.#idle.stop();
    this.ctx.cancel();
  }
}
