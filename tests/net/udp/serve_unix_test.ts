// serveUdp() on a Unix datagram socket.

import {
  background,
  serveUdp,
  type ServeUdpPathOptions,
  type UdpServer,
  withCancel,
} from "@curfew/context";
import { assertEquals, assertThrows } from "@std/assert";
import { ManualTimers } from "../manual_timers.ts";
import { SocketPath, test } from "../socket_path.ts";
import { turn, until } from "../turn.ts";
import { assertConserved, numbered, textOf } from "./udp_client.ts";

function listen(path: string): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "unixpacket", path });
}

test("serveUdp() with a path replies, and removes the file of its socket at the end", async () => {
  using at = new SocketPath();
  const server: UdpServer<Deno.UnixAddr> = serveUdp(
    background(),
    { path: at.path },
    async (_ctx, datagram) => {
      assertEquals(datagram.addr.path, `${at.path}.client`);
      // A loop that read on would block the reply.
      await turn();
      await datagram.reply(datagram.data);
    },
  );
  const client = listen(`${at.path}.client`);
  await client.send(new TextEncoder().encode("hello"), server.addr);
  const [data] = await client.receive();
  assertEquals(textOf({ data }), "hello");
  const { addr } = server;
  assertEquals(addr, { transport: "unixpacket", path: at.path });
  const stats = await server.shutdown();
  assertEquals([stats.handled, stats.kernelDropped], [1, undefined]);
  assertThrows(() => Deno.lstatSync(at.path), Deno.errors.NotFound);
  client.close();
});

test("serveUdp() with a path handles every datagram sent before its ctx is done", async () => {
  using at = new SocketPath();
  const ctx = withCancel(background());
  const got: string[] = [];
  const server = serveUdp(ctx, { path: at.path }, async (_ctx, datagram) => {
    got.push(textOf(datagram));
    await turn();
  });
  const client = listen(`${at.path}.client`);
  for (const text of numbered(50)) {
    await client.send(new TextEncoder().encode(text), server.addr);
  }
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(got, numbered(50));
  assertConserved(stats);
  client.close();
});

test("serveUdp() with a path reads what the kernel holds after a handler that is slow during the drain", async () => {
  using at = new SocketPath();
  using timers = new ManualTimers();
  const ctx = withCancel(background());
  const begun = Promise.withResolvers<void>();
  const first = Promise.withResolvers<void>();
  const server = serveUdp(ctx, { path: at.path, grace: 60_000 }, () => {
    begun.resolve();
    return first.promise;
  });
  const client = listen(`${at.path}.client`);
  for (const text of numbered(3)) {
    await client.send(new TextEncoder().encode(text), server.addr);
  }
  await begun.promise;
  ctx.cancel();
  await until(() => timers.pending.length > 0);
  const silence = timers.pending[0]!;
  for (let n = 0; n < 3; n++) timers.fire(silence);
  first.resolve();
  await until(() => server.stats.handled === 3 || server.state === "closed");
  for (let n = 0; n < 3; n++) timers.fire(silence);
  assertEquals(timers.pending, [], "still open after two silent intervals");
  assertEquals((await server.finished).handled, 3);
  client.close();
});

test("serveUdp() cancels the handler on a Unix socket when the grace period is over", async () => {
  using at = new SocketPath();
  const ctx = withCancel(background());
  const server = serveUdp(ctx, { path: at.path, grace: 5 }, (handlerCtx) => {
    ctx.cancel();
    return handlerCtx.done;
  });
  const client = listen(`${at.path}.client`);
  await client.send(new Uint8Array(1), server.addr);
  assertEquals((await server.finished).handled, 1);
  client.close();
});

test("serveUdp() takes over the socket file that a killed process has left", async () => {
  using at = new SocketPath();
  at.leaveStale();
  await using server = serveUdp(background(), { path: at.path }, () => {});
  assertEquals(server.state, "serving");
});

const inUse: [what: string, options: Partial<ServeUdpPathOptions>][] = [
  ["that something listens on", {}],
  ["that is stale if removeStale is false", { removeStale: false }],
];
for (const [what, options] of inUse) {
  test(`serveUdp() names a path ${what}`, () => {
    using at = new SocketPath();
    using stack = new DisposableStack();
    if (options.removeStale === false) at.leaveStale();
    else stack.adopt(listen(at.path), (conn) => conn.close());
    assertThrows(
      () => serveUdp(background(), { path: at.path, ...options }, () => {}),
      Deno.errors.AddrInUse,
      `serveUdp: ${at.path} is already in use`,
    );
    assertEquals(Deno.lstatSync(at.path).isSocket, true);
  });
}

test("serveUdp() removes the file of its socket if onListen throws", () => {
  using at = new SocketPath();
  const onListen = () => {
    throw new Error("no");
  };
  assertThrows(
    () => serveUdp(background(), { path: at.path, onListen }, () => {}),
    Error,
    "no",
  );
  assertThrows(() => Deno.lstatSync(at.path), Deno.errors.NotFound);
});
