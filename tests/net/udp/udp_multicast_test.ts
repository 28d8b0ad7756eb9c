// Linux can join a group on the loopback interface, so no other network is needed.

import { background, serveUdp, withCancel } from "@curfew/context";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { joinGroups, type MulticastGroup } from "../../../net/udp/multicast.ts";
import { hasIpv6 } from "../ipv6.ts";
import { turn, until } from "../turn.ts";
import { onListen, textOf, UdpClient } from "./udp_client.ts";

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
    using _patched = onListen((conn) => {
      const { receive } = conn;
      conn.receive = async () => {
        conn.receive = receive;
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw failure;
      };
    });
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

/** Returns a socket that records what is done with its groups. */
function recordingConn(calls: unknown[][]): Deno.DatagramConn {
  const record = (...call: unknown[]) => {
    calls.push(call);
    return Promise.resolve();
  };
  const membership = {
    setLoopback: (on: boolean) => record("setLoopback", on),
    setTTL: (ttl: number) => record("setTTL", ttl),
    leave: () => record("leave"),
  };
  const join = (version: string) => async (...args: unknown[]) => {
    await record(`join ${version}`, ...args);
    return membership;
  };
  return {
    joinMulticastV4: join("v4"),
    joinMulticastV6: join("v6"),
  } as unknown as Deno.DatagramConn;
}

const v4 = "239.1.2.3";
const v6 = "ff12::1234";
const joins: [what: string, group: MulticastGroup, calls: unknown[][]][] = [
  ["an IPv4 group", { address: v4 }, [["join v4", v4, "0.0.0.0"]]],
  [
    "an IPv4 group with all options",
    { address: v4, interface: "192.0.2.7", loopback: false, ttl: 4 },
    [
      ["join v4", v4, "192.0.2.7"],
      ["setLoopback", false],
      ["setTTL", 4],
    ],
  ],
  // Deno rejects it. An unset environment variable must not mean any interface.
  [
    "an IPv4 group with an empty interface",
    { address: v4, interface: "" },
    [["join v4", v4, ""]],
  ],
  ["an IPv6 group", { address: v6 }, [["join v6", v6, 0]]],
  [
    "an IPv6 group with all options",
    { address: v6, interface: "2", loopback: true },
    [["join v6", v6, 2], ["setLoopback", true]],
  ],
];
for (const [what, joined, expected] of joins) {
  Deno.test(`joinGroups() passes ${what} on to the socket`, async () => {
    const calls: unknown[][] = [];
    await joinGroups(recordingConn(calls), [joined]);
    assertEquals(calls, expected);
  });
}

Deno.test("joinGroups() resolves with a function that leaves every group", async () => {
  const calls: unknown[][] = [];
  const leave = await joinGroups(recordingConn(calls), [
    { address: v4 },
    { address: v6 },
  ]);
  calls.length = 0;
  await leave();
  assertEquals(calls, [["leave"], ["leave"]]);
});

Deno.test({
  name: "serveUdp() listens on :: by default for an IPv6 group",
  ignore: !hasIpv6,
  async fn() {
    const calls: unknown[][] = [];
    const { joinMulticastV6 } = recordingConn(calls);
    using _patched = onListen((conn) => {
      conn.joinMulticastV6 = joinMulticastV6;
    });
    const options = { port: 0, multicast: [{ address: v6 }], grace: 0 };
    await using server = serveUdp(background(), options, () => {});
    assertEquals(server.addr.hostname, "::");
    await turn();
    assertEquals(calls, [["join v6", v6, 0]]);
  },
});

for (const isClosed of [false, true]) {
  const what = isClosed ? "does not leave" : "leaves";
  const when = isClosed ? "after the socket is closed" : "while it drains";
  Deno.test(`serveUdp() ${what} a multicast group that it joins ${when}`, async () => {
    const calls: unknown[][] = [];
    const { promise: mayJoin, resolve: join } = Promise.withResolvers<void>();
    const { joinMulticastV4 } = recordingConn(calls);
    using _patched = onListen((conn) => {
      conn.joinMulticastV4 = async (...args) => {
        await mayJoin;
        return await joinMulticastV4(...args);
      };
    });
    const ctx = withCancel(background());
    const options = { port: 0, multicast: [{ address: v4 }] };
    const server = serveUdp(ctx, options, () => {});
    ctx.cancel();
    if (isClosed) await server.finished;
    join();
    await turn();
    await server.finished;
    const [joined, ...rest] = calls;
    assertEquals(joined, ["join v4", v4, "0.0.0.0"]);
    assertEquals(rest, isClosed ? [] : [["leave"]]);
  });
}
