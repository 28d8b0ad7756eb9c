/**
 * One port for two transports.
 *
 * @module
 */

/** Ports to try if the first server may take any. */
const ATTEMPTS = 10;

/** A server with its address. */
interface Bound extends AsyncDisposable {
  readonly addr: Deno.NetAddr;
}

/**
 * Opens two servers on the same port. If `port` is 0, the first takes a free port,
 * and another one if the second finds that port in use.
 *
 * @throws {Deno.errors.AddrInUse} If `port` is in use, or no port was free for
 * both in 10 attempts.
 */
export async function openBoth<First extends Bound, Second extends Bound>(
  port: number,
  openFirst: (port: number) => First,
  openSecond: (port: number) => Second,
): Promise<[First, Second]> {
  for (let attempt = 1;; attempt++) {
    const first = openFirst(port);
    try {
      return [first, openSecond(first.addr.port)];
    } catch (error) {
      await first[Symbol.asyncDispose]();
      const again = port === 0 && attempt < ATTEMPTS &&
        error instanceof Deno.errors.AddrInUse;
      if (!again) throw error;
    }
  }
}
