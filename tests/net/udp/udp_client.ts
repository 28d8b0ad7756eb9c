import type { UdpStats } from "@curfew/context";
import { assertEquals } from "@std/assert";

/** A socket that sends to one server. */
export class UdpClient implements Disposable {
  readonly conn: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;

  constructor(to: Deno.Addr) {
    this.#to = to as Deno.NetAddr;
    this.conn = listenUdp();
  }

  /** Sends each text as a datagram; once sent, loopback has delivered it. */
  async send(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await this.conn.send(new TextEncoder().encode(text), this.#to);
    }
  }

  /** The next datagram's text. */
  async receive(): Promise<string> {
    const [data] = await this.conn.receive();
    return new TextDecoder().decode(data);
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** For tests that send more than macOS takes by default, which is 9,216 bytes. */
export const test: typeof Deno.test.ignore = Deno.build.os === "darwin"
  ? Deno.test.ignore
  : Deno.test;

/** A UDP socket on a free port of 127.0.0.1. */
export function listenUdp(): Deno.DatagramConn {
  return Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
}

/** The text of a datagram. */
export function textOf({ data }: { data: Uint8Array }): string {
  return new TextDecoder().decode(data);
}

/** `n` numbered texts. */
export function numbered(n: number): string[] {
  return Array.from({ length: n }, (_, i) => String(i));
}

/** What holds at any time, for whoever asks for the counts. */
export function assertConserved(stats: UdpStats): void {
  const { received, handled, failed, dropped, truncated, pending } = stats;
  assertEquals(
    received,
    handled + failed + dropped + truncated + pending,
    Deno.inspect(stats),
  );
}

/** A turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Resolves when `check` holds; it is looked at whenever the loop has turned. */
export async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 1));
}
