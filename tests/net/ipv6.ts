/** True if this machine has IPv6; many containers do not. */
export const hasIpv6 = probe();

function probe(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
