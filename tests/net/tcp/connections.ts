/** Both ends of a TCP connection. */

import {
  background,
  type Context,
  dialTcp,
  type TcpServer,
  type TcpStats,
} from "@curfew/context";
import { assertEquals } from "@std/assert";

export type Conn = Deno.Conn<Deno.NetAddr>;

/** A free port of the loopback interface. */
export const local = { hostname: "127.0.0.1", port: 0 } as const;

export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Handler that sends back everything it receives. */
export function echo(_ctx: Context, conn: Conn): Promise<void> {
  return conn.readable.pipeTo(conn.writable);
}

export function dial(server: TcpServer): Promise<Deno.TcpConn> {
  return dialTcp(background(), server.addr);
}

/** Reads `length` bytes, or fewer at the end of the stream. */
export async function readText(conn: Conn, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const buffer = new Uint8Array(length - text.length);
    const n = await conn.read(buffer);
    if (n === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

export async function readToEnd(
  conn: Deno.Conn<Deno.Addr>,
): Promise<string> {
  return await new Response(conn.readable).text();
}

/** Checks the invariant of `TcpStats`. */
export function assertConserved(stats: TcpStats): void {
  const { accepted, open, handled, failed, refused } = stats;
  assertEquals(
    accepted,
    open + handled + failed + refused,
    Deno.inspect(stats),
  );
}
