/** What is counted of a UDP socket. */

/**
 * What a UDP socket has seen. At any time received = handled + failed + dropped +
 * truncated + pending; once it has ended, pending is 0.
 */
export interface UdpStats {
  /** Datagrams read from the socket. */
  received: number;
  /** Their bytes; of those that were truncated, the bytes that were read. */
  bytes: number;
  /** Datagrams whose handler has ended without an error. */
  handled: number;
  /** Datagrams whose handler has thrown, or did not end in time. */
  failed: number;
  /** Datagrams that found the backlog full, or the grace over. */
  dropped: number;
  /** Datagrams longer than `maxDatagramSize`; no handler saw them. */
  truncated: number;
  /** Datagrams that wait for a handler or have one at work on them. */
  pending: number;
  /** Errors of receive and send that pass, and were survived. */
  transientErrors: number;
  /**
   * Datagrams that the kernel has dropped since the socket was opened, because
   * its receive buffer was full. Known on Linux with `--allow-all` only, for Deno
   * guards /proc; undefined elsewhere.
   */
  kernelDropped?: number;
  /** The error of the socket, where it is that which has ended it. */
  error?: unknown;
}
