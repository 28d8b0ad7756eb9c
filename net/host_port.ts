/** Addresses as text. */

/** Joins a host and a port as in a URL: an IPv6 address gets brackets. */
export function hostPort(hostname: string, port: number): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Host and port, or the path of a Unix socket. */
export function addrText(addr: Deno.NetAddr | Deno.UnixAddr): string {
  return "path" in addr ? addr.path : hostPort(addr.hostname, addr.port);
}
