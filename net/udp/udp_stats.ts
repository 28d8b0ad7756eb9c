/** Counters of a UDP socket. */

/**
 * Counters of a UDP socket. At any time received = handled + failed + dropped +
 * truncated + pending; at the end, pending is 0.
 */
export interface UdpStats {
  /** Number of datagrams read from the socket. */
  received: number;
  /** Number of bytes read; for truncated datagrams, the bytes that were read. */
  bytes: number;
  /** Number of datagrams whose handler has ended without an error. */
  handled: number;
  /** Number of datagrams whose handler has failed, or did not end in time. */
  failed: number;
  /** Number of datagrams that found the backlog full, or the grace period over. */
  dropped: number;
  /** Number of datagrams longer than `maxDatagramSize`; no handler gets them. */
  truncated: number;
  /** Number of datagrams that wait for a handler or are being handled. */
  pending: number;
  /** Number of transient receive and send errors, such as ICMP messages. */
  transientErrors: number;
  /**
   * Number of datagrams that the kernel has dropped since the socket was opened,
   * because its receive buffer was full. Known only on Linux with `--allow-all`,
   * since Deno guards `/proc`; otherwise undefined.
   */
  kernelDropped?: number;
}
