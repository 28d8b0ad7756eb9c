/** Whether this machine has IPv6, which many a container has not. */
export const hasIpv6 = probe();

function probe(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
