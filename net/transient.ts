/** Errors of a listener or socket that pass. */

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
    exhausted.includes((error as { code?: unknown } | undefined)?.code);
}
