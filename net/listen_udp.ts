/** A UDP socket, opened. */

import { listenError } from "./listen_error.ts";

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

/** A multicast group. */
export interface MulticastGroup {
  /** The address of the group, such as `239.1.2.3` or `ff12::1234`. */
  address: string;
  /**
   * By which network interface: its address for IPv4, its index for IPv6. Left to
   * the system by default.
   */
  interface?: string | number;
  /** Whether what is sent to the group from here is received here; true by default. */
  loopback?: boolean;
  /** How many routers what is sent to the group may cross; 1 by default, IPv4 only. */
  ttl?: number;
}

/** Opens the socket, or throws what tells a user of `caller` what to do. */
export function listenUdp(
  caller: string,
  options: ListenUdpOptions,
): Deno.DatagramConn {
  const { port, reuseAddress = false, multicast = [] } = options;
  const { hostname = anyAddress(multicast) ?? "127.0.0.1" } = options;
  // It type-checks all the same: the flag is the user's, not the package's.
  if (typeof Deno.listenDatagram !== "function") {
    throw new TypeError(
      `${caller}: Deno has UDP only with --unstable-net, or with ` +
        '"unstable": ["net"] in the deno.json of your workspace',
    );
  }
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

/** Joins the groups; gives a function that leaves them. */
export async function joinGroups(
  caller: string,
  conn: Deno.DatagramConn,
  groups: MulticastGroup[],
): Promise<() => Promise<void>> {
  const leaves: (() => Promise<void>)[] = [];
  for (const group of groups) {
    try {
      leaves.push(await join(conn, group));
    } catch (error) {
      throw new Error(
        `${caller}: cannot join the multicast group ${group.address}: ` +
          (error as Error).message,
        { cause: error },
      );
    }
  }
  return async () => {
    for (const leave of leaves) await leave();
  };
}

async function join(
  conn: Deno.DatagramConn,
  group: MulticastGroup,
): Promise<() => Promise<void>> {
  const { address, loopback, ttl } = group;
  if (address.includes(":")) {
    const at = group.interface ?? 0;
    const membership = await conn.joinMulticastV6(address, Number(at));
    if (loopback !== undefined) await membership.setLoopback(loopback);
    return () => membership.leave();
  }
  const at = group.interface ?? "0.0.0.0";
  const membership = await conn.joinMulticastV4(address, String(at));
  if (loopback !== undefined) await membership.setLoopback(loopback);
  if (ttl !== undefined) await membership.setTTL(ttl);
  return () => membership.leave();
}
