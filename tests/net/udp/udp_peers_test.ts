import {
  background,
  cause,
  type Context,
  createKey,
  IdleTimeout,
  snapshot,
  type UdpPeer,
  udpPeers,
  type UdpPeersOptions,
  type UdpPeersServer,
  type UdpPeersStats,
  withCancel,
  withValue,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { RecordingOwner } from "../../context/recording_owner.ts";
import { observeTree } from "../../../context/tree_observer.ts";
import { realTimers } from "../../../net/real_timers.ts";
import { turn, until } from "../turn.ts";
import {
  assertConserved,
  local,
  numbered,
  onListen,
  textOf,
  UdpClient,
} from "./udp_client.ts";

/** Handler that sends every datagram back, numbered. */
async function echo(_ctx: Context, peer: UdpPeer): Promise<void> {
  let n = 0;
  for await (const datagram of peer) {
    await peer.send(new TextEncoder().encode(`${textOf(datagram)} ${n++}`));
  }
}

Deno.test("udpPeers() runs one handler for each address", async () => {
  await using server = udpPeers(background(), { ...local, grace: 0 }, echo);
  using one = new UdpClient(server.addr);
  using other = new UdpClient(server.addr);
  for (const n of [0, 1, 2]) {
    await one.send("one");
    await other.send("other");
    assertEquals(await one.receive(), `one ${n}`);
    assertEquals(await other.receive(), `other ${n}`);
  }
  const { accepted, peers, received } = server.stats;
  assertEquals([accepted, peers, received], [2, 2, 6]);
});

Deno.test("a peer has an address and yields its datagrams in order", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  let addr: Deno.NetAddr | undefined;
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    addr = peer.addr;
    for await (const datagram of peer) {
      assertStrictEquals(datagram.addr, peer.addr);
      got.push(textOf(datagram));
      if (got.length === 60) break;
    }
  });
  using client = new UdpClient(server.addr);
  const sent = numbered(60);
  await client.send(...sent);
  await until(() => server.stats.peers === 0);
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(got, sent);
  assertEquals(addr?.port, (client.conn.addr as Deno.NetAddr).port);
  assertEquals(stats.handled, 60);
});

Deno.test("the iteration of a peer can be left and started again", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    for await (const first of peer) {
      got.push(`first ${textOf(first)}`);
      break;
    }
    for await (const next of peer) {
      got.push(textOf(next));
      if (textOf(next) === "2") break;
    }
  });
  using client = new UdpClient(server.addr);
  await client.send(...numbered(3));
  await until(() => server.stats.handled === 3);
  assertEquals(got, ["first 0", "1", "2"]);
  ctx.cancel();
  await server.finished;
});

Deno.test("a datagram whose iteration was left is pending until the handler asks for the next one", async () => {
  const pending: number[] = [];
  await using server = udpPeers(background(), local, async (_ctx, peer) => {
    for (let n = 0; n < 3; n++) {
      for await (const _datagram of peer) break;
      pending.push(server.stats.pending);
      assertConserved(server.stats);
    }
  });
  using client = new UdpClient(server.addr);
  for (const [n, text] of numbered(3).entries()) {
    await client.send(text);
    await until(() => pending.length > n);
  }
  await until(() => server.stats.peers === 0);
  assertEquals(pending, [1, 1, 1]);
  assertEquals(server.stats.handled, 3);
});

for (const [what, leave] of [["breaks", false], ["throws", true]] as const) {
  Deno.test(`the last datagram of a peer counts as ${leave ? "failed" : "handled"} if its handler ${what} out of the iteration`, async () => {
    await using server = udpPeers(
      background(),
      { ...local, onError: () => {} },
      async (_ctx, peer) => {
        for await (const { data } of peer) {
          if (data.length === 1) continue;
          if (leave) throw new Error("no");
          break;
        }
      },
    );
    using client = new UdpClient(server.addr);
    await client.send("1", "two");
    await until(() => server.stats.accepted === 1 && server.stats.peers === 0);
    const { handled, failed } = server.stats;
    assertEquals([handled, failed], leave ? [1, 1] : [2, 0]);
  });
}

Deno.test("two iterations of one peer share its datagrams, and each is counted once", async () => {
  const ctx = withCancel(background());
  let taken = 0;
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    const take = async () => {
      for await (const datagram of peer) {
        assertConserved(server.stats);
        taken++;
        if (textOf(datagram) === "end") return;
      }
    };
    await Promise.all([take(), take()]);
  });
  using client = new UdpClient(server.addr);
  for (let n = 0; n < 10; n++) {
    await client.send("a", "b");
    await until(() => taken === 2 * (n + 1));
    assertConserved(server.stats);
  }
  await client.send("end", "end");
  await until(() => server.stats.peers === 0);
  ctx.cancel();
  const stats = await server.finished;
  assertConserved(stats);
  assertEquals([stats.handled, taken], [22, 22]);
});

Deno.test("the data of a peer's datagrams is not reused", async () => {
  const ctx = withCancel(background());
  const kept: Uint8Array[] = [];
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    for await (const { data } of peer) {
      if (kept.push(data) === 20) break;
    }
  });
  using client = new UdpClient(server.addr);
  await client.send(...numbered(20));
  await until(() => server.stats.handled === 20);
  assertEquals(kept.map((data) => textOf({ data })), numbered(20));
  ctx.cancel();
  await server.finished;
});

Deno.test("reply() sends to the peer", async () => {
  await using server = udpPeers(
    background(),
    { ...local, grace: 0 },
    async (_ctx, peer) => {
      for await (const datagram of peer) await datagram.reply(datagram.data);
    },
  );
  using client = new UdpClient(server.addr);
  await client.send("hello");
  assertEquals(await client.receive(), "hello");
});

Deno.test("udpPeers() forgets a peer when its handler has returned", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  const ctxs: Context[] = [];
  const server = udpPeers(ctx, local, async (peerCtx, peer) => {
    ctxs.push(peerCtx);
    for await (const datagram of peer) {
      got.push(textOf(datagram));
      return;
    }
  });
  using client = new UdpClient(server.addr);
  for (const text of ["one", "two"]) {
    await client.send(text);
    await until(() => server.stats.received === server.stats.handled);
    await until(() => server.stats.peers === 0 && got.includes(text));
  }
  assertEquals(server.stats.accepted, 2);
  assert(ctxs.every((peerCtx) => peerCtx.err !== undefined));
  ctx.cancel();
  await server.finished;
});

for (const kind of ["throws", "rejects"] as const) {
  Deno.test(`a handler that ${kind} ends its own peer only`, async () => {
    const ctx = withCancel(background());
    const errors: [unknown, number | undefined][] = [];
    const server = udpPeers(
      ctx,
      {
        ...local,
        onError: (error, peer) => errors.push([error, peer?.addr.port]),
      },
      (_ctx, peer) => {
        if (kind === "throws") throw "no";
        return (async () => {
          for await (const _datagram of peer) throw "no";
        })();
      },
    );
    using client = new UdpClient(server.addr);
    await client.send("x");
    await until(() => errors.length === 1);
    await until(() => server.stats.peers === 0);
    assertEquals(errors, [["no", (client.conn.addr as Deno.NetAddr).port]]);
    assertConserved(server.stats);
    const { failed, dropped } = server.stats;
    assertEquals([failed, dropped], kind === "throws" ? [0, 1] : [1, 0]);
    ctx.cancel();
    await server.finished;
  });
}

Deno.test("the ctx of an idle peer is done with IdleTimeout as its cause", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ended = Promise.withResolvers<unknown>();
  const server = udpPeers(
    ctx,
    { ...local, idleTimeout: 1_000 },
    async (peerCtx, peer) => {
      await echo(peerCtx, peer);
      ended.resolve(cause(peerCtx));
    },
  );
  using client = new UdpClient(server.addr);
  for (let n = 0; n < 3; n++) {
    await client.send("still here");
    assertEquals(await client.receive(), `still here ${n}`);
    time.tick(900);
  }
  assertEquals(server.stats.peers, 1);
  time.tick(1_000);
  assertInstanceOf(await ended.promise, IdleTimeout);
  ctx.cancel();
  await server.finished;
});

/** Ways in which a peer stays active. Called every 900 ms. */
type Activity = (peer: UdpPeer, client: UdpClient) => Promise<unknown>;

const activities: [what: string, activity: Activity, sends?: boolean][] = [
  ["is sent datagrams", (peer) => peer.send(new Uint8Array(1))],
  [
    "sends datagrams that are not read yet",
    (_peer, client) => client.send("x"),
  ],
  [
    "has sent datagrams that its handler reads",
    (peer) => peer[Symbol.asyncIterator]().next(),
  ],
];
for (const [what, activity, sends = false] of activities) {
  Deno.test(`a peer that ${what} is not idle`, async () => {
    using time = new FakeTime();
    const started = Promise.withResolvers<[Context, UdpPeer]>();
    await using server = udpPeers(
      background(),
      { ...local, idleTimeout: 1_000, grace: 0 },
      (peerCtx, peer) => {
        started.resolve([peerCtx, peer]);
        return peerCtx.done;
      },
    );
    using client = new UdpClient(server.addr);
    await client.send(...numbered(5));
    const [peerCtx, peer] = await started.promise;
    await untilReceived(server, 5);
    for (let n = 0; n < 3; n++) {
      time.tick(900);
      await activity(peer, client);
      await untilReceived(server, sends ? 6 + n : 5);
      await realTurn();
    }
    time.tick(900);
    await realTurn();
    assertEquals(peerCtx.err, undefined);
    time.tick(1_000);
    await peerCtx.done;
    assertInstanceOf(cause(peerCtx), IdleTimeout);
  });
}

/** Resolves after a turn of the event loop, even under a fake clock. */
function realTurn(): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, 0));
}

/** Resolves when the server has read `count` datagrams, even under a fake clock. */
async function untilReceived(
  server: UdpPeersServer,
  count: number,
): Promise<void> {
  while (server.stats.received < count) await realTurn();
}

/** Runs `check` while the only peer of a server is idle and `handler` goes on. */
async function idlePeer(
  handler: (ctx: Context, peer: UdpPeer) => Promise<void>,
  check: (server: UdpPeersServer, client: UdpClient) => Promise<void>,
): Promise<unknown[]> {
  const ctx = withCancel(background());
  const errors: unknown[] = [];
  let server: UdpPeersServer;
  let client: UdpClient;
  {
    using time = new FakeTime();
    const ended = Promise.withResolvers<void>();
    server = udpPeers(
      ctx,
      { ...local, idleTimeout: 1_000, onError: (error) => errors.push(error) },
      async (peerCtx, peer) => {
        await echo(peerCtx, peer);
        ended.resolve();
        await handler(peerCtx, peer);
      },
    );
    client = new UdpClient(server.addr);
    await client.send("x");
    await client.receive();
    time.tick(1_000);
    await ended.promise;
  }
  await check(server, client);
  client.conn.close();
  ctx.cancel();
  await server.finished;
  return errors;
}

Deno.test("send() to a peer whose ctx is done rejects with ctx.err", async () => {
  const errors = await idlePeer(async (ctx, peer) => {
    const error = await assertRejects(() => peer.send(new Uint8Array(1)));
    assertStrictEquals(error, ctx.err);
  }, (server) => until(() => server.stats.peers === 0));
  assertEquals(errors, []);
});

Deno.test("a handler that rejects with the err of its own ctx is not reported", async () => {
  const errors = await idlePeer(
    (ctx) => Promise.reject(ctx.err),
    (server) => until(() => server.stats.peers === 0),
  );
  assertEquals(errors, []);
});

Deno.test("a datagram from a peer whose ctx is done is dropped until its handler has returned", async () => {
  const release = Promise.withResolvers<void>();
  await idlePeer(() => release.promise, async (server, client) => {
    await client.send("too late");
    await until(() => server.stats.received === 2);
    const { dropped, pending, accepted } = server.stats;
    assertEquals([dropped, pending, accepted], [1, 0, 1]);
    release.resolve();
    await until(() => server.stats.peers === 0);
    await client.send("again");
    await until(() => server.stats.accepted === 2);
  });
});

Deno.test("udpPeers() refuses and counts peers beyond maxPeers", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  const server = udpPeers(
    ctx,
    { ...local, maxPeers: 2, grace: 0 },
    async (_ctx, peer) => {
      for await (const datagram of peer) got.push(textOf(datagram));
    },
  );
  using one = new UdpClient(server.addr);
  using two = new UdpClient(server.addr);
  using three = new UdpClient(server.addr);
  await one.send("1");
  await two.send("2");
  await three.send("3", "3");
  await one.send("1");
  await until(() => server.stats.received === 5);
  await turn();
  assertEquals(got, ["1", "2", "1"]);
  const { accepted, refused, dropped } = server.stats;
  assertEquals([accepted, refused, dropped], [2, 2, 2]);
  ctx.cancel();
  assertConserved(await server.finished);
});

Deno.test("each peer has a bounded queue of its own", async () => {
  const ctx = withCancel(background());
  const release = Promise.withResolvers<void>();
  const got: string[] = [];
  const server = udpPeers(
    ctx,
    { ...local, backlog: 3, grace: 0 },
    async (_ctx, peer) => {
      await release.promise;
      for await (const datagram of peer) got.push(textOf(datagram));
    },
  );
  using one = new UdpClient(server.addr);
  using other = new UdpClient(server.addr);
  await one.send(...numbered(10));
  await other.send("other");
  await until(() => server.stats.received === 11);
  assertEquals([server.stats.dropped, server.stats.pending], [7, 4]);
  release.resolve();
  await until(() => got.length === 4);
  assertEquals(got.toSorted(), ["0", "1", "2", "other"]);
  ctx.cancel();
  assertConserved(await server.finished);
});

Deno.test("udpPeers() accounts for every datagram at any time", async () => {
  const ctx = withCancel(background());
  let looks = 0;
  const look = () => {
    looks++;
    assertConserved(server.stats);
  };
  const server = udpPeers(
    ctx,
    { ...local, backlog: 2, onError: look },
    async (_ctx, peer) => {
      look();
      for await (const datagram of peer) {
        look();
        if (textOf(datagram) === "throw") throw new Error("no");
        if (textOf(datagram) === "leave") return;
      }
    },
  );
  using client = new UdpClient(server.addr);
  for (let n = 0; n < 50; n++) {
    await client.send("a", "b", "c", n % 2 === 0 ? "throw" : "leave", "d");
    await until(() => server.stats.received === 5 * (n + 1));
    look();
  }
  ctx.cancel();
  const stats = await server.finished;
  assertConserved(stats);
  assertEquals(stats.pending, 0);
  assert(looks > 150);
});

Deno.test("udpPeers() accepts every peer that has sent before its ctx is done", async () => {
  const ctx = withCancel(background());
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    for await (const datagram of peer) {
      if (textOf(datagram) === "bye") return;
    }
  });
  using clients = new DisposableStack();
  for (let n = 0; n < 20; n++) {
    const client = clients.use(new UdpClient(server.addr));
    await client.send("hello", "bye");
  }
  ctx.cancel();
  const stats: UdpPeersStats = await server.finished;
  assertEquals([stats.accepted, stats.handled], [20, 40]);
});

Deno.test("while draining, udpPeers() continues conversations and refuses new peers", async () => {
  const ctx = withCancel(background());
  const server = udpPeers(ctx, local, async (_ctx, peer) => {
    for await (const datagram of peer) {
      await peer.send(datagram.data);
      if (textOf(datagram) === "bye") return;
    }
  });
  using client = new UdpClient(server.addr);
  await client.send("hello");
  assertEquals(await client.receive(), "hello");
  ctx.cancel();
  // Until the kernel holds no more, new peers are accepted.
  while (server.stats.refused === 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    using late = new UdpClient(server.addr);
    await late.send("too late?", "bye");
    await turn();
  }
  await client.send("bye");
  assertEquals(await client.receive(), "bye");
  assertConserved(await server.finished);
});

Deno.test("udpPeers() cancels the peers' contexts and ends their iterations when the grace period is over", async () => {
  const ctx = withCancel(background());
  const causes: unknown[] = [];
  const server = udpPeers(
    ctx,
    { ...local, grace: 5 },
    async (peerCtx, peer) => {
      for await (const _datagram of peer) ctx.cancel();
      causes.push(cause(peerCtx));
      const error = await assertRejects(() => peer.send(new Uint8Array(1)));
      assertStrictEquals(error, peerCtx.err);
      throw error;
    },
  );
  using client = new UdpClient(server.addr);
  await client.send("x");
  const stats = await server.finished;
  assertEquals(
    String(causes),
    "Error: udpPeers: the grace period of 5 ms is over",
  );
  assertConserved(stats);
});

for (const end of ["returns", "rejects", "reads on"] as const) {
  Deno.test(`udpPeers() leaves a handler behind that ignores the end of the grace period and ${end} later`, async () => {
    const ctx = withCancel(background());
    const release = Promise.withResolvers<void>();
    const errors: unknown[] = [];
    const server = udpPeers(
      ctx,
      { ...local, grace: 5, onError: (error) => errors.push(error) },
      async (_ctx, peer) => {
        const iterator = peer[Symbol.asyncIterator]();
        await iterator.next();
        await until(() => server.stats.received === 2);
        ctx.cancel();
        await release.promise;
        if (end === "rejects") throw new Error("too late to be told");
        if (end === "reads on") await iterator.next();
      },
    );
    using client = new UdpClient(server.addr);
    await client.send("read", "waiting");
    const stats = await server.finished;
    assertEquals([stats.failed, stats.dropped, stats.peers], [1, 1, 0]);
    assertEquals(stats.forced, 1);
    assertConserved(stats);
    release.resolve();
    await turn();
    assertEquals(server.stats, stats);
    assertEquals(errors, []);
  });
}

Deno.test("udpPeers() counts the peers that are active at the end of the grace period as forced, and no others", async () => {
  const quick = Promise.withResolvers<void>();
  const server = udpPeers(background(), local, async (ctx, peer) => {
    for await (const { data } of peer) {
      if (data.length === 1) return quick.resolve();
      break;
    }
    // It has handled its datagram, and goes on with something else.
    await ctx.done;
  });
  using one = new UdpClient(server.addr);
  using two = new UdpClient(server.addr);
  await one.send("1");
  await quick.promise;
  await two.send("two");
  await until(() => server.stats.accepted === 2 && server.stats.peers === 1);
  assertEquals(server.stats.forced, 0);
  server.shutdown();
  const { accepted, peers, forced } = await server.shutdown({ grace: 0 });
  assertEquals([accepted, peers, forced], [2, 0, 1]);
  assertEquals(server.stats.forced, 1);
});

Deno.test("udpPeers() forces no peer that ends while the server drains", async () => {
  const ctx = withCancel(background());
  const server = udpPeers(ctx, local, () => ctx.cancel());
  using client = new UdpClient(server.addr);
  await client.send("x");
  const { accepted, forced } = await server.finished;
  assertEquals([accepted, forced], [1, 0]);
});

Deno.test("an iteration that outlives its handler ends and counts no datagram twice", async () => {
  await using server = udpPeers(
    background(),
    { ...local, grace: 0 },
    async (_ctx, peer) => {
      const iterator = peer[Symbol.asyncIterator]();
      await iterator.next();
      last = iterator;
    },
  );
  let last: AsyncIterator<unknown> | undefined;
  using client = new UdpClient(server.addr);
  await client.send("x");
  await until(() => last !== undefined && server.stats.peers === 0);
  assertEquals(await last!.next(), { done: true, value: undefined });
  assertEquals(server.stats.handled, 1);
  assertConserved(server.stats);
});

Deno.test("udpPeers() with a grace period of 0 cancels its peers at once", async () => {
  const ctx = withCancel(background());
  const causes: unknown[] = [];
  const server = udpPeers(ctx, { ...local, grace: 0 }, async (peerCtx) => {
    ctx.cancel();
    await peerCtx.done;
    causes.push(cause(peerCtx));
  });
  using client = new UdpClient(server.addr);
  await client.send("x");
  await server.finished;
  assertEquals(
    String(causes),
    "Error: udpPeers: the grace period of 0 ms is over",
  );
});

/** Collects the contexts that the library describes, with their descriptions. */
class Described implements Disposable {
  readonly contexts: [purpose: string, text: string, ctx: Context][] = [];
  readonly #observed = observeTree({
    created: () => {},
    ended: () => {},
    described: (ctx, purpose, describe) =>
      this.contexts.push([purpose, describe(), ctx]),
  });

  [Symbol.dispose](): void {
    this.#observed[Symbol.dispose]();
  }
}

Deno.test("udpPeers() accepts no peer after the grace period is over", async () => {
  let port = 0;
  using _patched = onListen((conn) => {
    const { receive } = conn;
    conn.receive = async (buffer) => {
      if (port === 2) return await receive.call(conn, buffer);
      return [new Uint8Array(1), { ...conn.addr, port: ++port } as Deno.Addr];
    };
  });
  let calls = 0;
  const server = udpPeers(background(), local, () => {
    calls++;
    server.shutdown({ grace: 0 });
  });
  await until(() => server.state === "closed");
  const stats = await server.finished;
  assertEquals([calls, stats.accepted, stats.refused], [1, 1, 1]);
  assertConserved(stats);
});

Deno.test("udpPeers() describes a peer's ctx with its address", async () => {
  using described = new Described();
  await using server = udpPeers(background(), local, () => {});
  using client = new UdpClient(server.addr);
  await client.send("x");
  await until(() => server.stats.accepted === 1);
  const { port } = client.conn.addr as Deno.NetAddr;
  assertEquals(
    described.contexts.filter(([purpose]) => purpose === "peer")
      .map(([_purpose, text]) => text),
    [`UDP 127.0.0.1:${port}`],
  );
});

Deno.test("udpPeers() stops the idle timer of a peer whose handler has returned", async () => {
  using described = new Described();
  await using server = udpPeers(background(), local, () => {});
  using client = new UdpClient(server.addr);
  await client.send("x");
  await until(() => server.stats.accepted === 1 && server.stats.peers === 0);
  assertEquals(
    described.contexts.filter(([_purpose, text]) => text === "idle timeout")
      .map(([_purpose, _text, ctx]) => ctx.err !== undefined),
    [true],
  );
});

Deno.test({
  name: "udpPeers() fails and reports it if it cannot join a multicast group",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const errors: unknown[] = [];
    const server = udpPeers(
      background(),
      {
        port: 0,
        multicast: [{ address: "10.0.0.1" }],
        onError: (error) => errors.push(error),
      },
      echo,
    );
    const error = await assertRejects(
      () => server.finished,
      Error,
      "failed: cannot join the multicast group 10.0.0.1: ",
    );
    assertEquals(errors, [error]);
  },
});

Deno.test("a peer's ctx has the values of the server's ctx", async () => {
  const nameKey = createKey<string>("name");
  const ctx = withCancel(background());
  const seen = Promise.withResolvers<string | undefined>();
  const server = udpPeers(
    withValue(ctx, nameKey, "chat"),
    local,
    (peerCtx) => seen.resolve(peerCtx.value(nameKey)),
  );
  using client = new UdpClient(server.addr);
  await client.send("x");
  assertEquals(await seen.promise, "chat");
  ctx.cancel();
  await server.finished;
});

Deno.test("udpPeers() says what it holds until it is closed, and leaves nothing on ctx", async () => {
  const owner = new RecordingOwner();
  const ctx = withCancel(owner.ctx);
  const server = udpPeers(ctx, { ...local, grace: 0 }, echo);
  using one = new UdpClient(server.addr);
  using other = new UdpClient(server.addr);
  const holds = (what: string) =>
    assertEquals(owner.running, [
      `udpPeers 127.0.0.1:${server.addr.port}${what}`,
    ]);
  holds("");
  await one.send("x");
  await one.receive();
  holds(" with 1 peer");
  await other.send("x");
  await other.receive();
  holds(" with 2 peers");
  await server[Symbol.asyncDispose]();
  assertEquals(owner.running, []);
  assertEquals(snapshot(ctx).children.length, 0);
});

Deno.test("udpPeers() throws ctx.err if ctx is done", () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const error = assertThrows(() => udpPeers(ctx, local, echo));
  assertStrictEquals(error, ctx.err);
});

for (
  const options of [
    { idleTimeout: 0 },
    { idleTimeout: NaN },
    { maxPeers: 0 },
    { backlog: 0 },
    { maxDatagramSize: 0 },
    { grace: -1 },
    { grace: "5" as unknown as number },
  ]
) {
  const [key, value] = Object.entries(options)[0]!;
  Deno.test(`udpPeers() throws a RangeError for ${key} ${value} and opens no socket`, () => {
    assertThrows(
      () => udpPeers(background(), { ...local, ...options }, echo),
      RangeError,
      `udpPeers: ${key} must be`,
    );
  });
}

Deno.test("udpPeers() throws a TypeError without a port, and opens no socket", () => {
  const options = { hostname: "127.0.0.1" } as UdpPeersOptions;
  assertThrows(
    () => udpPeers(background(), options, echo),
    TypeError,
    "udpPeers: port must be a number",
  );
});

Deno.test("udpPeers() throws a TypeError without a handler, and opens no socket", () => {
  assertThrows(
    () => udpPeers(background(), local, undefined as unknown as typeof echo),
    TypeError,
    "udpPeers: the third argument must be a function",
  );
});

Deno.test("udpPeers() without --unstable-net throws a TypeError that says what to do", () => {
  const { listenDatagram } = Deno;
  using _restored = {
    [Symbol.dispose]: () => void (Deno.listenDatagram = listenDatagram),
  };
  Deno.listenDatagram = undefined as unknown as typeof listenDatagram;
  assertThrows(
    () => udpPeers(background(), local, echo),
    TypeError,
    "udpPeers: Deno has UDP only with --unstable-net",
  );
});

Deno.test("a million addresses leave nothing in the heap", async () => {
  const script = new URL("../testdata/many_peers.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "--v8-flags=--expose-gc"],
      ...["--unstable-net", "--allow-net", script],
    ],
    stderr: "inherit",
  }).output();
  const { stats, heaps } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(stats.received, 1_000_000);
  assertEquals([stats.peers, stats.accepted], [1_024, 1_024]);
  assertEquals(stats.refused, 1_000_000 - 1_024);
  const growth = heaps.at(-1) - heaps[1];
  assert(growth < 500_000, `the heap has grown by ${growth} bytes: ${heaps}`);
});
