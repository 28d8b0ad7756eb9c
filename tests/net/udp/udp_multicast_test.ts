// Linux lets a socket join a group by the loopback interface, so no other network
// is needed.

import { background, serveUdp, withCancel } from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { textOf, UdpClient, until } from "./udp_client.ts";

const ignore = Deno.build.os !== "linux";
const group = { address: "239.77.12.5", interface: "127.0.0.1" };

Deno.test({
  name: "serveUdp() receives from a multicast group until its soft moment",
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
    // The group is joined by the next turn; until then nothing comes.
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
    assertEquals(stats.error, undefined);
  },
});

Deno.test({
  name: "serveUdp() ends with the error of a group that cannot be joined",
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
    const { error } = await server.finished;
    assert(
      String(error).startsWith(
        "Error: serveUdp: cannot join the multicast group 10.0.0.1: ",
      ),
      String(error),
    );
    assertEquals(errors, [error]);
  },
});

Deno.test({
  name: "a socket with a group that fails is told of once",
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
      await server.finished;
      await new Promise((resolve) => setTimeout(resolve));
      assertEquals(errors, [failure]);
    } finally {
      Deno.listenDatagram = listenDatagram;
    }
  },
});

Deno.test({
  name: "serveUdp() with a group still takes what is sent to it alone",
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
