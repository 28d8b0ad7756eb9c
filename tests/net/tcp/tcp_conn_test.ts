// What a handler's connection has of a Deno.Conn besides reads and writes.

import { background, dialTcp, serveTcp } from "@curfew/context";
import { assertEquals } from "@std/assert";

/** Runs `f` on a connection that serveTcp has handed out. */
async function onConnection(
  f: (conn: Deno.Conn<Deno.NetAddr>, peer: Deno.TcpConn) => unknown,
): Promise<void> {
  const accepted = Promise.withResolvers<Deno.Conn<Deno.NetAddr>>();
  const release = Promise.withResolvers<void>();
  await using server = serveTcp(background(), { port: 0 }, (_ctx, conn) => {
    accepted.resolve(conn);
    return release.promise;
  });
  using peer = await dialTcp(background(), server.addr);
  try {
    await f(await accepted.promise, peer);
  } finally {
    release.resolve();
  }
}

Deno.test("a connection has the addresses that its peer has the other way round", () =>
  onConnection((conn, peer) => {
    assertEquals(conn.localAddr, peer.remoteAddr);
    assertEquals(conn.remoteAddr, peer.localAddr);
  }));

Deno.test("a connection that is disposed of is closed, and once more is harmless", () =>
  onConnection(async (conn, peer) => {
    conn[Symbol.dispose]();
    assertEquals(await peer.read(new Uint8Array(1)), null);
    conn[Symbol.dispose]();
  }));
