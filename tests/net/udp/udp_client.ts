/** A client for tests of UDP servers. */

import type { UdpStats } from "@curfew/context";
import { assertEquals } from "@std/assert";

/** A free port of the loopback interface. */
export const local = { hostname: "127.0.0.1", port: 0 } as const;

/** A socket that sends to one server. */
export class UdpClient implements Disposable {
  readonly conn: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;

  constructor(to: Deno.Addr) {
    this.#to = to as Deno.NetAddr;
    this.conn = listenUdp();
  }

  /** Sends each text as a datagram. Loopback has delivered it on return. */
  async send(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await this.conn.send(new TextEncoder().encode(text), this.#to);
    }
  }

  /** Receives a datagram and returns its text. */
  async receive(): Promise<string> {
    const [data] = await this.conn.receive();
    return new TextDecoder().decode(data);
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** Registers a test that sends more than the 9,216 bytes macOS allows by default. */
export const test: typeof Deno.test.ignore = Deno.build.os === "darwin"
  ? Deno.test.ignore
  : Deno.test;

/** Opens a UDP socket on a free port of 127.0.0.1. */
export function listenUdp(): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", ...local });
}

/** Calls `change` for every socket that is opened until the result is disposed of. */
export function onListen(
  change: (conn: Deno.DatagramConn) => void,
): Disposable {
  const { listenDatagram } = Deno;
  Deno.listenDatagram = ((options: Deno.UdpListenOptions) => {
    const conn = listenDatagram({ ...options, transport: "udp" });
    change(conn);
    return conn;
  }) as typeof Deno.listenDatagram;
  return {
    [Symbol.dispose]: () => void (Deno.listenDatagram = listenDatagram),
  };
}

/** Returns the text of a datagram. */
export function textOf({ data }: { data: Uint8Array }): string {
  return new TextDecoder().decode(data);
}

/** Returns the numbers below `n` as texts. */
export function numbered(n: number): string[] {
  return Array.from({ length: n }, (_, i) => String(i));
}

/** Checks the invariant of `UdpStats`. */
export function assertConserved(stats: UdpStats): void {
  const { received, handled, failed, dropped, truncated, pending } = stats;
  assertEquals(
    received,
    handled + failed + dropped + truncated + pending,
    Deno.inspect(stats),
  );
}
