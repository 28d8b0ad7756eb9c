/** A UDP server. */

import type { Context } from "../../context/context.ts";
import { assertArguments } from "../arguments.ts";
import { listenUdp, type ListenUdpOptions } from "./listen_udp.ts";
import {
  type DatagramHandler,
  UdpReader,
  type UdpReadOptions,
} from "./udp_read.ts";
import type { UdpStats } from "./udp_stats.ts";

/** What {@linkcode serveUdp} can be told. */
export interface ServeUdpOptions extends ListenUdpOptions, UdpReadOptions {}

/**
 * A UDP server that runs; made by {@linkcode serveUdp}.
 *
 * @example What it has counted
 * ```ts
 * import { background, serveUdp, type UdpServer } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * await using server: UdpServer = serveUdp(background(), { port: 0 }, () => {});
 * const { received, handled, failed, dropped, truncated, pending } = server.stats;
 * assertEquals(received, handled + failed + dropped + truncated + pending);
 * ```
 */
export interface UdpServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  /** What it has counted so far; a copy. */
  readonly stats: UdpStats;
  /**
   * What it has counted, once the socket is closed and the handlers have ended.
   * Never rejects.
   */
  readonly finished: Promise<UdpStats>;
}

/**
 * Listens on a UDP port and calls `handler` for each datagram, until `ctx` is
 * done. Then it takes in what the kernel still holds, for half of the grace at
 * most, and waits for the handlers; when the grace is over their context is
 * cancelled, and the socket closed.
 *
 * Needs `--unstable-net`, or `"unstable": ["net"]` in the deno.json of your
 * workspace, and the permission `--allow-net`.
 *
 * @param ctx Until when to serve. Handlers get its values, and the end of the
 * grace as their cancellation.
 * @param options The port, limits and times.
 * @param handler Called for each datagram, one at a time and in order of arrival
 * unless `concurrency` says otherwise.
 * @returns The server. `await using` ends it with its block.
 * @throws {ContextError} The error of `ctx` where that is done: no socket is
 * opened.
 * @throws {TypeError} If `ctx` is not a context or `handler` not a function, or if
 * Deno has no UDP.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If the address is not of this machine.
 *
 * @example
 * ```ts
 * import { background, serveUdp, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const server = serveUdp(ctx, { port: 0 }, (_ctx, datagram) => {
 *   console.log(datagram.data.length); // 5
 *   ctx.cancel();
 * });
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new TextEncoder().encode("hello"), server.addr);
 * const stats = await server.finished;
 * assertEquals(stats.handled, 1);
 * client.close();
 * ```
 */
export function serveUdp(
  ctx: Context,
  options: ServeUdpOptions,
  handler: DatagramHandler,
): UdpServer {
  assertArguments("serveUdp", ctx, options, handler);
  if (ctx.err !== undefined) throw ctx.err;
  return new Server(ctx, options, handler);
}

class Server implements UdpServer {
  readonly addr: Deno.NetAddr;
  readonly #reader: UdpReader<Deno.NetAddr>;

  constructor(
    ctx: Context,
    options: ServeUdpOptions,
    handler: DatagramHandler,
  ) {
    const conn = listenUdp("serveUdp", options);
    this.addr = conn.addr as Deno.NetAddr;
    try {
      this.#reader = new UdpReader("serveUdp", ctx, conn, handler, options);
    } catch (error) {
      conn.close();
      throw error;
    }
    this.#reader.socket.join(options.multicast);
  }

  get stats(): UdpStats {
    return this.#reader.socket.stats;
  }

  get finished(): Promise<UdpStats> {
    return this.#reader.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.socket.lifetime.serving.cancel();
    await this.finished;
  }
}
