/** Opens sockets for datagrams. */

import { listenError } from "../listen_error.ts";
import { listenOnPath, type ListenUnixOptions } from "../unix_socket.ts";
import type { MulticastGroup } from "./multicast.ts";

/** Address of a UDP socket. */
export interface ListenUdpOptions {
  /** Port to listen on; 0 takes a free one. */
  port: number;
  /**
   * Address to listen on; `0.0.0.0`, all IPv4 addresses, by default, or `::` if the
   * first multicast group has an IPv6 address.
   */
  hostname?: string;
  /** Takes the port over from a socket that listens on it; false by default. */
  reuseAddress?: boolean;
  /**
   * Groups whose datagrams are received as well. They are left when the server
   * drains. A group that cannot be joined ends the server with a failure.
   */
  multicast?: MulticastGroup[];
}

/** Opens the socket, or throws an error that tells the caller what to do. */
export function listenUdp(
  caller: string,
  options: ListenUdpOptions,
): Deno.DatagramConn {
  const { port, reuseAddress = false, multicast: [group] = [] } = options;
  const { hostname = group?.address.includes(":") ? "::" : "0.0.0.0" } =
    options;
  try {
    return Deno.listenDatagram({
      transport: "udp",
      port,
      hostname,
      reuseAddress,
    });
  } catch (error) {
    throw listenError(caller, error, { port, hostname });
  }
}

/** Opens a Unix datagram socket, or throws like {@linkcode listenUdp}. */
export function listenUnix(
  caller: string,
  { path, removeStale = true }: ListenUnixOptions,
): Deno.DatagramConn {
  try {
    return listenOnPath(
      path,
      removeStale,
      () => Deno.listenDatagram({ transport: "unixpacket", path }),
    );
  } catch (error) {
    throw listenError(caller, error, { path });
  }
}
