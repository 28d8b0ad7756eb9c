import {
  background,
  type Context,
  udpRead,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { assertEquals, assertThrows } from "@std/assert";
import { listenUdp, numbered, textOf, UdpClient } from "./udp_client.ts";

function assertClosed(conn: Deno.DatagramConn): void {
  assertThrows(() => conn.close(), Deno.errors.BadResource);
}

Deno.test("udpRead() reads until ctx is cancelled, then closes the socket", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const got: string[] = [];
  const finished = udpRead(ctx, conn, (_ctx, datagram) => {
    got.push(textOf(datagram));
  });
  const sent = numbered(50);
  await client.send(...sent);
  ctx.cancel();
  assertEquals((await finished).handled, 50);
  assertEquals(got, sent);
  assertClosed(conn);
});

Deno.test("udpRead() ends at the deadline of ctx", async () => {
  using ctx = withTimeout(background(), 5);
  const conn = listenUdp();
  assertEquals((await udpRead(ctx, conn, () => {})).received, 0);
  assertClosed(conn);
});

Deno.test("udpRead() on a done ctx closes the socket and returns", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  await client.send("too late");
  assertEquals((await udpRead(ctx, conn, () => {})).received, 0);
  assertClosed(conn);
});

Deno.test("udpRead() ends when somebody else closes the socket, and leaves ctx alone", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  const errors: unknown[] = [];
  const finished = udpRead(ctx, conn, () => {}, {
    onError: (error) => errors.push(error),
  });
  conn.close();
  assertEquals((await finished).received, 0);
  assertEquals(errors.length, 1);
  assertEquals(ctx.err, undefined);
});

for (
  const name of ["ConnectionReset", "ConnectionRefused", "Interrupted"] as const
) {
  Deno.test(`udpRead() survives a receive that fails with ${name}`, async () => {
    const ctx = withCancel(background());
    const conn = listenUdp();
    using client = new UdpClient(conn.addr);
    const { receive } = conn;
    let failures = 3;
    conn.receive = (buffer) =>
      failures-- > 0
        ? Promise.reject(new Deno.errors[name]("an ICMP message"))
        : receive.call(conn, buffer);
    const finished = udpRead(ctx, conn, () => ctx.cancel());
    await client.send("still there?");
    assertEquals((await finished).handled, 1);
  });
}

Deno.test("udpRead() wants a context", () => {
  const conn = listenUdp();
  assertThrows(
    () => udpRead(null as unknown as Context, conn, () => {}),
    TypeError,
  );
  conn.close();
});
