// Linux can join a group on the loopback interface, so no other network is needed.

import { background, serveUdp, withCancel } from "@curfew/context";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { turn, until } from "../turn.ts";
import { textOf, UdpClient } from "./udp_client.ts";

const ignore = Deno.build.os !== "linux";
const group = { address: "239.77.12.5", interface: "127.0.0.1" };

Deno.test({
  name: "serveUdp() receives from a multicast group until it drains",
  ignore,
  async fn() {
    const ctx = withCancel(background());
    const got: string[] = [];
    const server = serveUdp(
      ctx,
      { port: 0, multicast: [group] },
      (_ctx, datagram) => void got.push(textOf(datagram)),
    );
    assertEquals(server.addr.hostname, "0.0.0.0");
    const { port } = server.addr;
    const to = { transport: "udp", hostname: group.address, port } as const;
    using client = new UdpClient(to);
    // Nothing arrives until the group is joined.
    while (got.length === 0) {
      await client.send("hello");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const before = server.stats.received;
    ctx.cancel();
    await Promise.resolve();
    await Promise.resolve();
    await client.send("after");
    const stats = await server.finished;
    assert(!got.includes("after"), `${before}: ${got}`);
    assertEquals(stats.transientErrors, 0);
  },
});

Deno.test({
  name: "serveUdp() fails if it cannot join a multicast group",
  ignore,
  async fn() {
    const errors: unknown[] = [];
    const server = serveUdp(
      background(),
      {
        port: 0,
        multicast: [{ ...group, address: "10.0.0.1" }],
        onError: (error) => errors.push(error),
      },
      () => {},
    );
    const error = await assertRejects(
      () => server.finished,
      Error,
      "failed: cannot join the multicast group 10.0.0.1: ",
    );
    assertEquals(errors, [error]);
  },
});

Deno.test({
  name: "the failure of a socket with a multicast group is reported once",
  ignore,
  async fn() {
    const errors: unknown[] = [];
    const failure = new Deno.errors.NotConnected("the device is gone");
    const { listenDatagram } = Deno;
    Deno.listenDatagram = ((options: Deno.UdpListenOptions) => {
      const conn = listenDatagram({ ...options, transport: "udp" });
      const { receive } = conn;
      conn.receive = async (buffer) => {
        conn.receive = receive;
        await new Promise((resolve) => setTimeout(resolve, 20));
        void buffer;
        throw failure;
      };
      return conn;
    }) as typeof Deno.listenDatagram;
    try {
      const server = serveUdp(
        background(),
        {
          port: 0,
          multicast: [group],
          onError: (error) => errors.push(error),
        },
        () => {},
      );
      const error = await assertRejects(() => server.finished);
      await turn();
      assertStrictEquals((error as Error).cause, failure);
      assertEquals(errors, [error]);
    } finally {
      Deno.listenDatagram = listenDatagram;
    }
  },
});

Deno.test({
  name: "serveUdp() with a multicast group still receives unicast datagrams",
  ignore,
  async fn() {
    await using server = serveUdp(
      background(),
      { port: 0, multicast: [{ ...group, loopback: true, ttl: 1 }] },
      () => {},
    );
    const { port } = server.addr;
    using client = new UdpClient({
      transport: "udp",
      hostname: "127.0.0.1",
      port,
    });
    await client.send("to you alone");
    await until(() => server.stats.received === 1);
  },
});
