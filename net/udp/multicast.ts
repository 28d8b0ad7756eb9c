/** Multicast groups. */

/**
 * Multicast group for the option `multicast` of `serveUdp` and `udpPeers`.
 *
 * @example The group of multicast DNS, on one interface
 * ```ts
 * import type { ListenUdpOptions, MulticastGroup } from "@curfew/context";
 *
 * const mdns: MulticastGroup = {
 *   address: "224.0.0.251",
 *   interface: "192.0.2.7", // an address of this machine
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
  /** Address of the group, such as `239.1.2.3` or `ff12::1234`. */
  address: string;
  /**
   * Network interface: its address for IPv4, its index for IPv6. The system chooses
   * by default.
   */
  interface?: string | number;
  /** Receives datagrams that this machine sends to the group; true by default. */
  loopback?: boolean;
  /**
   * Number of routers that datagrams to the group may cross; 1 by default. IPv4
   * only.
   */
  ttl?: number;
}

/** Joins the groups. Resolves with a function that leaves them. */
export async function joinGroups(
  conn: Deno.DatagramConn,
  groups: MulticastGroup[],
): Promise<() => Promise<void>> {
  const leaves: (() => Promise<void>)[] = [];
  for (const group of groups) {
    try {
      leaves.push(await join(conn, group));
    } catch (error) {
      throw new Error(
        `cannot join the multicast group ${group.address}: ` +
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
