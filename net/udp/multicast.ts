/** Datagrams that are sent to many. */

/**
 * A multicast group, for the option `multicast` of `serveUdp` and `udpPeers`.
 *
 * @example The group of multicast DNS, on one interface
 * ```ts
 * import type { ListenUdpOptions, MulticastGroup } from "@curfew/context";
 *
 * const mdns: MulticastGroup = {
 *   address: "224.0.0.251",
 *   interface: "192.0.2.7", // the address that this machine has there
 *   loopback: false,
 * };
 * const options: ListenUdpOptions = {
 *   port: 5353,
 *   reuseAddress: true,
 *   multicast: [mdns],
 * };
 * console.log(options);
 * ```
 */
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
