/** A UDP server. */

import type { Context } from "../../context/context.ts";
import {
  assertArguments,
  assertPath,
  assertPort,
  assertUnstableNet,
} from "../arguments.ts";
import type { Server, ServerAddr, ServerOptions } from "../server.ts";
import { ServerBase } from "../server_base.ts";
import { type ListenUnixOptions, SocketFile } from "../unix_socket.ts";
import { listenUdp, type ListenUdpOptions, listenUnix } from "./listen_udp.ts";
import {
  assertReadOptions,
  type DatagramHandler,
  readDatagrams,
  type UdpReadOptions,
} from "./udp_read.ts";
import type { UdpSocket } from "./udp_socket.ts";
import type { UdpStats } from "./udp_stats.ts";

/** Options for {@linkcode serveUdp}. */
export interface ServeUdpOptions
  extends ListenUdpOptions, UdpReadOptions, ServerOptions {
  /**
   * Grace period in ms: time for the datagrams in flight once the server drains;
   * 1,000 by default. Datagrams that still arrive are read for at most half of it,
   * so that the handlers have the rest.
   */
  grace?: number;
  /** Only in {@linkcode ServeUdpPathOptions}. */
  path?: undefined;
}

/** Options for {@linkcode serveUdp} on a Unix datagram socket. */
export interface ServeUdpPathOptions
  extends
    ListenUnixOptions,
    UdpReadOptions<Deno.UnixAddr>,
    ServerOptions<Deno.UnixAddr> {
  /** Grace period in ms, as for a UDP port; 1,000 by default. */
  grace?: number;
}

/**
 * A running UDP server; returned by {@linkcode serveUdp}.
 *
 * @example The counters add up at any time
 * ```ts
 * import { background, serveUdp, type UdpServer } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server: UdpServer = serveUdp(background(), options, () => {});
 * const { received, handled, failed, dropped, truncated, pending } = server.stats;
 * assertEquals(received, handled + failed + dropped + truncated + pending);
 * ```
 */
export interface UdpServer<Addr extends ServerAddr = Deno.NetAddr>
  extends Server<Addr, UdpStats> {
  /** Copy of the current counters. */
  readonly stats: UdpStats;
}

/**
 * Listens on a UDP port and calls `handler` for each datagram, until `ctx` is
 * done. Then the server drains: it reads what the kernel still holds, for at most
 * half of the grace period, and waits for the handlers. When the grace period is
 * over, their context is canceled and the socket closed.
 *
 * Needs `--unstable-net`, or `"unstable": ["net"]` in the deno.json of your
 * workspace, and the permission `--allow-net`.
 *
 * @param ctx Context that ends the server.
 * @param options Address, limits and times.
 * @param handler Called for each datagram, one at a time and in order of arrival
 * unless `concurrency` allows more.
 * @returns The server. `await using` shuts it down at the end of its block.
 * @throws {ContextError} `ctx.err` if `ctx` is done; no socket is opened.
 * @throws {TypeError} If `ctx` is not a context, `handler` is not a function, the port
 * is not a number, or Deno runs without `--unstable-net`.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.AddrNotAvailable} If this machine does not have the address.
 *
 * @example
 * ```ts
 * import { background, serveUdp, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server = serveUdp(ctx, options, (_ctx, datagram) => {
 *   console.log(datagram.data.length); // 5
 *   ctx.cancel();
 * });
 * const client = Deno.listenDatagram({ transport: "udp", ...options });
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
): UdpServer;
/**
 * Serves a Unix datagram socket instead of a UDP port. Datagrams are read one at a
 * time, since Deno cannot send on such a socket while it receives; senders wait, so
 * none is lost. A client that does not read its replies holds up all others until
 * it reads them or closes its socket: reply only to clients that you trust.
 *
 * Also needs the permissions `--allow-read` and `--allow-write` for the path.
 *
 * @param ctx Context that ends the server.
 * @param options Path, limits and times.
 * @param handler Called for each datagram, one at a time and in order of arrival.
 * @returns The server.
 * @throws {Deno.errors.AddrInUse} If the path is in use.
 *
 * @example
 * ```ts
 * import { type Context, serveUdp, type UdpServer } from "@curfew/context";
 *
 * function serveLog(ctx: Context): UdpServer<Deno.UnixAddr> {
 *   return serveUdp(ctx, { path: "/run/app/log.sock" }, (_ctx, { data }) => {
 *     console.log(new TextDecoder().decode(data));
 *   });
 * }
 * console.log(serveLog.name); // for main(serveLog)
 * ```
 */
export function serveUdp(
  ctx: Context,
  options: ServeUdpPathOptions,
  handler: DatagramHandler<Deno.UnixAddr>,
): UdpServer<Deno.UnixAddr>;
export function serveUdp(
  ctx: Context,
  options: ServeUdpOptions | ServeUdpPathOptions,
  handler: DatagramHandler | DatagramHandler<Deno.UnixAddr>,
): UdpServer | UdpServer<Deno.UnixAddr> {
  assertArguments("serveUdp", ctx, options, handler);
  assertReadOptions("serveUdp", options);
  assertUnstableNet("serveUdp", "UDP");
  if (options.path === undefined) assertPort("serveUdp", options.port);
  else assertPath("serveUdp", options.path);
  if (ctx.err !== undefined) throw ctx.err;
  return options.path === undefined
    ? servePort(ctx, options, handler as DatagramHandler)
    : serveUnix(ctx, options, handler as DatagramHandler<Deno.UnixAddr>);
}

function servePort(
  ctx: Context,
  options: ServeUdpOptions,
  handler: DatagramHandler,
): UdpServer {
  const conn = listenUdp("serveUdp", options);
  const socket = readDatagrams("serveUdp", ctx, conn, handler, options);
  socket.join(options.multicast);
  return new RunningUdpServer(socket);
}

function serveUnix(
  ctx: Context,
  options: ServeUdpPathOptions,
  handler: DatagramHandler<Deno.UnixAddr>,
): UdpServer<Deno.UnixAddr> {
  const conn = listenUnix("serveUdp", options);
  const file = new SocketFile(options.path);
  return new RunningUdpServer(
    readDatagrams("serveUdp", ctx, conn, handler, options, { file }),
  );
}

class RunningUdpServer<Addr extends ServerAddr>
  extends ServerBase<Addr, UdpStats>
  implements UdpServer<Addr> {
  readonly #socket: UdpSocket<Addr>;

  constructor(socket: UdpSocket<Addr>) {
    super(socket.lifetime);
    this.#socket = socket;
  }

  get stats(): UdpStats {
    return this.#socket.stats;
  }
}
