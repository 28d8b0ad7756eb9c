/** A UDP socket, opened. */

import { assertUnstableNet } from "../arguments.ts";
import { listenError } from "../listen_error.ts";
import type { MulticastGroup } from "./multicast.ts";

/** Where to receive datagrams. */
export interface ListenUdpOptions {
  /** The port; 0 takes a free one. */
  port: number;
  /**
   * The address to listen on; `127.0.0.1` by default, and all of them where
   * `multicast` is given.
   */
  hostname?: string;
  /** Whether the port may be taken from a socket that has it; false by default. */
  reuseAddress?: boolean;
  /**
   * The groups to receive from as well. They are left at the soft moment; one
   * that cannot be joined ends the server.
   */
  multicast?: MulticastGroup[];
}

/** Opens the socket, or throws what tells a user of `caller` what to do. */
export function listenUdp(
  caller: string,
  options: ListenUdpOptions,
): Deno.DatagramConn {
  const { port, reuseAddress = false, multicast = [] } = options;
  const { hostname = anyAddress(multicast) ?? "127.0.0.1" } = options;
  assertUnstableNet(caller, "UDP");
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

/** A socket of one address would not see what is sent to a group. */
function anyAddress([group]: MulticastGroup[]): string | undefined {
  return group && (group.address.includes(":") ? "::" : "0.0.0.0");
}
