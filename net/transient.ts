/** Errors of a listener or socket that pass. */

/** Codes of errors that accept() passes on from the network, see accept(2). */
const lost: readonly unknown[] = [
  "EPROTO",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTUNREACH",
];

/** Codes of errors that say that the system is out of something for now. */
const exhausted: readonly unknown[] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

/**
 * Reports whether a listener or socket can go on after `error`: it concerns one
 * peer (a connection that was reset before it was accepted; an ICMP message, which
 * makes the next receive or send fail), or the system is short of descriptors or
 * memory at the moment.
 *
 * `Interrupted` is not among them: Deno gives it when the socket was closed.
 */
export function isTransient(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.TimedOut ||
    error instanceof Deno.errors.WouldBlock ||
    exhausted.includes(codeOf(error));
}

/**
 * Reports whether an accept failed with `error` because its connection was lost
 * before it was accepted. Deno says NotConnected if the peer has reset it, as load
 * balancers do that only check the port. The next accept takes the next connection.
 */
export function isLostConnection(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset ||
    lost.includes(codeOf(error));
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
