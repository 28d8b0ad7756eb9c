import {
  background,
  cause,
  ClientGone,
  type Context,
  createKey,
  dialTcp,
  IdleTimeout,
  localAddrKey,
  orDone,
  remoteAddrKey,
  serveTcp,
  type ServeTcpOptions,
  snapshot,
  softDone,
  type TcpServer,
  type TcpStats,
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
import { connect } from "node:net";
import { running } from "../../../context/running.ts";
import { realTimers } from "../../../net/real_timers.ts";
import { turn, until } from "../udp/udp_client.ts";

type Conn = Deno.Conn<Deno.NetAddr>;

const encode = (text: string) => new TextEncoder().encode(text);

/** Sends back whatever comes. */
function echo(_ctx: Context, conn: Conn): Promise<void> {
  return conn.readable.pipeTo(conn.writable);
}

function dial(server: TcpServer): Promise<Deno.TcpConn> {
  return dialTcp(background(), server.addr);
}

/** Reads as many bytes as `text` has, and gives them as text. */
async function readText(conn: Conn, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const buffer = new Uint8Array(length - text.length);
    const n = await conn.read(buffer);
    if (n === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

async function readToEnd(conn: Conn): Promise<string> {
  return await new Response(conn.readable).text();
}

function assertConserved(stats: TcpStats): void {
  const { accepted, open, handled, failed, refused } = stats;
  assertEquals(
    accepted,
    open + handled + failed + refused,
    Deno.inspect(stats),
  );
}

// A connection.

Deno.test("serveTcp() hands each connection to the handler", async () => {
  await using server = serveTcp(background(), { port: 0 }, echo);
  using one = await dial(server);
  using other = await dial(server);
  await one.write(encode("one"));
  await other.write(encode("other"));
  assertEquals(await readText(one, 3), "one");
  assertEquals(await readText(other, 5), "other");
  const { accepted, open } = server.stats;
  assertEquals([accepted, open], [2, 2]);
  await one.closeWrite();
  await other.closeWrite();
});

Deno.test("a connection is closed when its handler has returned, and its ctx is done", async () => {
  const ended = Promise.withResolvers<Context>();
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      ended.resolve(ctx);
      await conn.write(encode("bye"));
    },
  );
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "bye");
  await (await ended.promise).done;
  await until(() => server.stats.open === 0);
  assertEquals(server.stats.handled, 1);
});

Deno.test("a handler may close its connection itself, twice", async () => {
  await using server = serveTcp(background(), { port: 0 }, (_ctx, conn) => {
    conn.close();
    conn.close();
  });
  using conn = await dial(server);
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await until(() => server.stats.handled === 1);
});

Deno.test("a connection's ctx has the values of the server's, and both addresses", async () => {
  const nameKey = createKey<string>("name");
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    withValue(background(), nameKey, "dns"),
    { port: 0 },
    (ctx, conn) => {
      assertEquals(ctx.value(remoteAddrKey), conn.remoteAddr);
      assertEquals(ctx.value(localAddrKey)?.transport, "tcp");
      seen.resolve([ctx.value(nameKey), ctx.value(remoteAddrKey)]);
    },
  );
  using conn = await dial(server);
  assertEquals(await seen.promise, ["dns", conn.localAddr]);
});

Deno.test("large writes by the stream arrive whole", async () => {
  const size = 5_000_000;
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (_ctx, conn) => {
      const writer = conn.writable.getWriter();
      await writer.write(new Uint8Array(size).fill(7));
      await writer.close();
    },
  );
  using conn = await dial(server);
  const bytes = await new Response(conn.readable).bytes();
  assertEquals(bytes.length, size);
  assert(bytes.every((byte) => byte === 7));
});

Deno.test("what was written arrives whole though the peer has sent more than was read", async () => {
  const size = 1_000_000;
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (_ctx, conn) => {
      await conn.read(new Uint8Array(100));
      const writer = conn.writable.getWriter();
      await writer.write(new Uint8Array(size));
    },
  );
  using conn = await dial(server);
  await conn.write(new Uint8Array(50_000));
  await until(() => server.stats.open === 1);
  let read = 0;
  for (;;) {
    // Slower than the server, which has returned before all of it is read.
    const n = await conn.read(new Uint8Array(20_000));
    if (n === null) break;
    read += n;
    await turn();
  }
  assertEquals(read, size);
});

Deno.test("a peer that is waited for sees the end at once", async () => {
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (_ctx, conn) => {
      await conn.read(new Uint8Array(1));
    },
  );
  using conn = await dial(server);
  await conn.write(new Uint8Array(50_000));
  assertEquals(await conn.read(new Uint8Array(1)), null);
  assertEquals(server.stats.open, 1);
});

Deno.test("a write that the handler has given up does not keep the connection", async () => {
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      await conn.read(new Uint8Array(10));
      const given = withCancel(ctx);
      const stuck = (async () => {
        for (;;) await orDone(given, conn.write(new Uint8Array(65_536)));
      })();
      await new Promise((resolve) => setTimeout(resolve, 50));
      given.cancel();
      await stuck.catch(() => {});
    },
  );
  using conn = await dial(server);
  await conn.write(new Uint8Array(50_000));
  // The peer never reads.
  await until(() => server.stats.handled === 1);
});

Deno.test("a peer that goes on sending is waited for no longer than a while", async () => {
  await using server = serveTcp(background(), { port: 0 }, () => {});
  using conn = await dial(server);
  const sending = (async () => {
    for (;;) {
      await conn.write(new Uint8Array(1_000));
      await turn();
    }
  })();
  await assertRejects(() => sending);
  await until(() => server.stats.handled === 1);
});

// The peer.

Deno.test("the ctx of a handler that reads is done at the end of what its peer sends", async () => {
  const seen = Promise.withResolvers<[string, unknown]>();
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      const text = await readToEnd(conn);
      seen.resolve([text, cause(ctx)]);
    },
  );
  using conn = await dial(server);
  await conn.write(encode("all of it"));
  conn.close();
  const [text, why] = await seen.promise;
  assertEquals(text, "all of it");
  assertInstanceOf(why, ClientGone);
});

Deno.test("the ctx of a handler that does not read is done when its peer has closed", async () => {
  const seen = Promise.withResolvers<unknown>();
  const entered = Promise.withResolvers<void>();
  await using server = serveTcp(background(), { port: 0 }, async (ctx) => {
    entered.resolve();
    await ctx.done;
    seen.resolve(cause(ctx));
  });
  using conn = await dial(server);
  await entered.promise;
  conn.close();
  assertInstanceOf(await seen.promise, ClientGone);
});

Deno.test("the ctx stays open while there is something of the peer's to read", async () => {
  const proceed = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      await proceed.promise;
      const open = ctx.err === undefined;
      const first = await readText(conn, 6);
      const rest = await readToEnd(conn);
      seen.resolve([open, first, rest, ctx.err === undefined]);
    },
  );
  using conn = await dial(server);
  await conn.write(encode("line 1"));
  // What is read in the handler's place is read by then, most of the time.
  await new Promise((resolve) => setTimeout(resolve, 80));
  await conn.write(encode("line 2"));
  conn.close();
  await new Promise((resolve) => setTimeout(resolve, 80));
  proceed.resolve();
  assertEquals(await seen.promise, [true, "line 1", "line 2", false]);
});

Deno.test("what was read while the handler was busy is read by it in order, in pieces", async () => {
  const proceed = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<string>();
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (_ctx, conn) => {
      await proceed.promise;
      let text = "";
      const buffer = new Uint8Array(3);
      for (;;) {
        const n = await conn.read(buffer);
        if (n === null) break;
        text += new TextDecoder().decode(buffer.subarray(0, n));
      }
      seen.resolve(text);
    },
  );
  using conn = await dial(server);
  const text = Array.from({ length: 5_000 }, (_, i) => i).join(" ");
  await conn.write(encode(text));
  await new Promise((resolve) => setTimeout(resolve, 80));
  proceed.resolve();
  await conn.closeWrite();
  assertEquals(await seen.promise, text);
});

Deno.test("a handler that begins to read while it is watched gets everything in order", async () => {
  const reading = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<string>();
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (_ctx, conn) => {
      // By then the server waits in its place, most of the time.
      await new Promise((resolve) => setTimeout(resolve, 80));
      const text = readText(conn, 20);
      reading.resolve();
      seen.resolve(await text);
    },
  );
  using conn = await dial(server);
  await reading.promise;
  for (let n = 0; n < 20; n++) {
    await conn.write(encode(String.fromCharCode(97 + n)));
    await turn();
  }
  assertEquals(await seen.promise, "abcdefghijklmnopqrst");
});

Deno.test("what is written after the peer's end still goes out", async () => {
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      const question = await readToEnd(conn);
      assert(ctx.err !== undefined);
      await conn.write(encode(`${question}: 42`));
    },
  );
  using conn = await dial(server);
  await conn.write(encode("the answer"));
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "the answer: 42");
});

Deno.test("with allowHalfOpen the end of what a peer sends is not that of its ctx", async () => {
  await using server = serveTcp(
    background(),
    { port: 0, allowHalfOpen: true },
    async (ctx, conn) => {
      await readToEnd(conn);
      await conn.write(encode(`${ctx.err}`));
    },
  );
  using conn = await dial(server);
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "undefined");
});

Deno.test("a peer that resets ends the ctx, and the failed write is no news", async () => {
  const errors: unknown[] = [];
  const seen = Promise.withResolvers<unknown>();
  await using server = serveTcp(
    background(),
    { port: 0, onError: (error) => errors.push(error) },
    async (ctx, conn) => {
      ctx.signal.addEventListener("abort", () => seen.resolve(cause(ctx)));
      for (;;) {
        await conn.write(new Uint8Array(65_536));
        await turn();
      }
    },
  );
  using conn = await dial(server);
  await conn.read(new Uint8Array(1));
  conn.close();
  const why = await seen.promise;
  assertInstanceOf(why, ClientGone);
  assert(why.cause instanceof Error);
  await until(() => server.stats.failed === 1);
  assertEquals(errors, []);
});

Deno.test("a peer that resets ends the ctx, though something of it is unread", async () => {
  const seen = Promise.withResolvers<unknown>();
  const entered = Promise.withResolvers<void>();
  await using server = serveTcp(background(), { port: 0 }, async (ctx) => {
    entered.resolve();
    await ctx.done;
    seen.resolve(cause(ctx));
  });
  const { hostname, port } = server.addr;
  const socket = connect(port, hostname);
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await new Promise<void>((resolve) => socket.write("x", () => resolve()));
  await entered.promise;
  // Deno's own connections have no way to reset.
  socket.resetAndDestroy();
  const why = await seen.promise;
  assertInstanceOf(why, ClientGone);
  assertInstanceOf(why.cause, Deno.errors.ConnectionReset);
  await closed;
});

Deno.test("a handler that closes its connection has ended its ctx", async () => {
  await using server = serveTcp(
    background(),
    { port: 0 },
    async (ctx, conn) => {
      conn.close();
      await ctx.done;
      const error = await assertRejects(() => conn.read(new Uint8Array(1)));
      assertStrictEquals(error, ctx.err);
    },
  );
  using _conn = await dial(server);
  await until(() => server.stats.handled === 1);
});

Deno.test("to write after closeWrite() is the handler's mistake, and told", async () => {
  const errors: unknown[] = [];
  await using server = serveTcp(
    background(),
    { port: 0, onError: (error) => errors.push(error) },
    async (ctx, conn) => {
      await conn.closeWrite();
      const error = await assertRejects(() => conn.write(encode("x")));
      assertEquals(ctx.err, undefined);
      throw error;
    },
  );
  using conn = await dial(server);
  await readToEnd(conn);
  await until(() => server.stats.failed === 1);
  assertInstanceOf(errors[0], Deno.errors.BrokenPipe);
});

// Time.

Deno.test("a connection that is idle ends: its ctx, and its reads", async () => {
  using time = new FakeTime();
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    background(),
    { port: 0, idleTimeout: 1_000 },
    async (ctx, conn) => {
      await conn.write(encode("!"));
      const error = await readToEnd(conn).catch((error) => error);
      seen.resolve([error === ctx.err, cause(ctx)]);
    },
  );
  using conn = await dial(server);
  assertEquals(await readText(conn, 1), "!");
  time.tick(1_000);
  const [same, why] = await seen.promise;
  assert(same);
  assertInstanceOf(why, IdleTimeout);
  assertEquals(why.idleTimeout, 1_000);
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

Deno.test("a connection on which something moves is not idle", async () => {
  using time = new FakeTime();
  await using server = serveTcp(
    background(),
    { port: 0, idleTimeout: 1_000 },
    echo,
  );
  using conn = await dial(server);
  for (let n = 0; n < 5; n++) {
    await conn.write(encode("x"));
    assertEquals(await readText(conn, 1), "x");
    time.tick(900);
  }
  assertEquals(server.stats.open, 1);
  await conn.closeWrite();
  await readToEnd(conn);
});

Deno.test("a connection on which something is only read is not idle", async () => {
  using time = new FakeTime();
  const read = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  await using server = serveTcp(
    background(),
    { port: 0, idleTimeout: 1_000 },
    async (_ctx, conn) => {
      for (const { resolve } of read) {
        await conn.read(new Uint8Array(1));
        resolve();
      }
    },
  );
  using conn = await dial(server);
  for (const { promise } of read) {
    await conn.write(encode("x"));
    await promise;
    time.tick(900);
  }
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

Deno.test("connections and peers that have ended hold no process", async () => {
  const script = new URL("../testdata/idle_timers.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--unstable-net", "--allow-net", script],
    stderr: "inherit",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "ended 1 1\n");
});

// Bounds and errors.

Deno.test("serveTcp() closes what is beyond maxConnections, and counts it", async () => {
  await using server = serveTcp(
    background(),
    { port: 0, maxConnections: 2 },
    echo,
  );
  using one = await dial(server);
  using two = await dial(server);
  await one.write(encode("1"));
  await two.write(encode("2"));
  assertEquals(await readText(one, 1), "1");
  assertEquals(await readText(two, 1), "2");
  using three = await dial(server);
  assertEquals(await three.read(new Uint8Array(1)), null);
  assertEquals(server.stats.refused, 1);
  await one.closeWrite();
  await readToEnd(one);
  await until(() => server.stats.open === 1);
  using four = await dial(server);
  await four.write(encode("4"));
  assertEquals(await readText(four, 1), "4");
  assertConserved(server.stats);
  await two.closeWrite();
  await four.closeWrite();
});

for (const kind of ["throws", "rejects"] as const) {
  Deno.test(`a handler that ${kind} costs its own connection`, async () => {
    const errors: [unknown, boolean][] = [];
    await using server = serveTcp(
      background(),
      {
        port: 0,
        onError: (error, conn) => {
          errors.push([error, conn?.remoteAddr.transport === "tcp"]);
        },
      },
      (_ctx, conn) => {
        if (server.stats.accepted > 1) return echo(_ctx, conn);
        if (kind === "throws") throw "no";
        return Promise.reject("no");
      },
    );
    using bad = await dial(server);
    assertEquals(await bad.read(new Uint8Array(1)), null);
    using good = await dial(server);
    await good.write(encode("x"));
    assertEquals(await readText(good, 1), "x");
    assertEquals(errors, [["no", true]]);
    assertEquals(server.stats.failed, 1);
    await good.closeWrite();
  });
}

Deno.test("an onError that throws harms nobody", async () => {
  const { error } = console;
  let lines = 0;
  console.error = () => void lines++;
  try {
    await using server = serveTcp(
      background(),
      {
        port: 0,
        onError: () => {
          throw new Error("second");
        },
      },
      () => {
        throw new Error("first");
      },
    );
    using conn = await dial(server);
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await until(() => server.stats.failed === 1);
    assertEquals(lines, 1);
  } finally {
    console.error = error;
  }
});

/** A server whose listener's accept() is `accept`, until that gives undefined. */
function serveWith(
  accept: () => Promise<Deno.TcpConn> | undefined,
  options: Partial<ServeTcpOptions>,
  ctx: Context = background(),
): TcpServer {
  const { listen } = Deno;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const real = listener.accept;
    listener.accept = () => accept() ?? real.call(listener);
    return listener;
  }) as typeof Deno.listen;
  try {
    return serveTcp(ctx, { port: 0, ...options }, echo);
  } finally {
    Deno.listen = listen;
  }
}

Deno.test("errors in accepting that pass are waited out, counted, and told once", async () => {
  let failures = 4;
  const errors: unknown[] = [];
  const full = Object.assign(new Error("Too many open files (os error 24)"), {
    code: "EMFILE",
  });
  await using server = serveWith(
    () => failures-- > 0 ? Promise.reject(full) : undefined,
    { onError: (error) => errors.push(error) },
  );
  using conn = await dial(server);
  await conn.write(encode("x"));
  assertEquals(await readText(conn, 1), "x");
  assertEquals(server.stats.transientErrors, 4);
  assertEquals(errors, [full]);
  await conn.closeWrite();
});

Deno.test("an error in accepting is told again once it has gone and come back", async () => {
  const full = Object.assign(new Error("no memory"), { code: "ENOBUFS" });
  const plan = [true, true, false, true, true, false];
  const errors: unknown[] = [];
  await using server = serveWith(
    () => plan.shift() ? Promise.reject(full) : undefined,
    { onError: (error) => errors.push(error) },
  );
  for (let n = 0; n < 2; n++) {
    using conn = await dial(server);
    await conn.write(encode("x"));
    assertEquals(await readText(conn, 1), "x");
    await conn.closeWrite();
    await readToEnd(conn);
  }
  assertEquals(errors, [full, full]);
});

Deno.test("the pause after a failed accept does not hold the end up", async () => {
  const ctx = withCancel(background());
  const full = Object.assign(new Error("no memory"), { code: "ENOMEM" });
  const { setTimeout } = realTimers;
  const pausing = Promise.withResolvers<void>();
  // A pause that never ends by itself.
  realTimers.setTimeout =
    (() => pausing.resolve()) as unknown as typeof setTimeout;
  try {
    const server = serveWith(() => Promise.reject(full), { onError() {} }, ctx);
    await pausing.promise;
    ctx.cancel();
    const { error, transientErrors } = await server.finished;
    assertEquals([error, transientErrors], [undefined, 1]);
  } finally {
    realTimers.setTimeout = setTimeout;
  }
});

Deno.test("an error in accepting that is final ends the server, not ctx", async () => {
  const ctx = withCancel(background());
  const failure = new Error("the listener is broken");
  const errors: unknown[] = [];
  const server = serveWith(
    () => Promise.reject(failure),
    { onError: (error) => errors.push(error) },
    ctx,
  );
  const stats = await server.finished;
  assertStrictEquals(stats.error, failure);
  assertEquals(errors, [failure]);
  assertEquals(ctx.err, undefined);
  await assertRejects(() => dial(server), Deno.errors.ConnectionRefused);
});

Deno.test({
  name: "serveTcp() survives a process without file descriptors",
  ignore: Deno.build.os === "windows",
  async fn() {
    const script =
      new URL("../testdata/no_descriptors.ts", import.meta.url).href;
    const command = `ulimit -n 64; exec "$0" run --quiet -A "$1"`;
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", command, Deno.execPath(), script],
    }).output();
    const text = new TextDecoder().decode(stdout);
    const said = new TextDecoder().decode(stderr);
    assertEquals(text, "waited: true\nanswered: x\n", said);
  },
});

// Both moments.

Deno.test("at the soft moment nobody is let in, and handlers finish", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { port: 0 }, async (connCtx, conn) => {
    entered.resolve();
    await softDone(connCtx);
    assertEquals(connCtx.err, undefined);
    await release.promise;
    await conn.write(encode("finished"));
  });
  using conn = await dial(server);
  await entered.promise;
  ctx.cancel("deploy");
  // Deno closes a listener that is being waited at in the next turn.
  await turn();
  await assertRejects(
    () => dial(server),
    Deno.errors.ConnectionRefused,
    `dialTcp: nobody listens at 127.0.0.1:${server.addr.port}`,
  );
  release.resolve();
  assertEquals(await readToEnd(conn), "finished");
  const stats = await server.finished;
  assertEquals([stats.handled, stats.forced, stats.open], [1, 0, 0]);
});

Deno.test("at the hard moment connections are closed under their handlers", async () => {
  const ctx = withCancel(background());
  const errors: unknown[] = [];
  const entered = Promise.withResolvers<void>();
  let why: unknown;
  const server = serveTcp(
    ctx,
    { port: 0, grace: 5, onError: (error) => errors.push(error) },
    async (connCtx, conn) => {
      entered.resolve();
      try {
        await conn.read(new Uint8Array(1));
      } catch (error) {
        assertStrictEquals(error, connCtx.err);
        why = cause(connCtx);
        throw error;
      }
    },
  );
  using conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  assertEquals(await conn.read(new Uint8Array(1)), null);
  const stats = await server.finished;
  assertEquals(String(why), "Error: serveTcp: the grace of 5 ms is over");
  assertEquals([stats.forced, stats.failed], [1, 1]);
  assertEquals(errors, []);
  assertConserved(stats);
});

Deno.test("a write that is stuck is cut at the hard moment", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { port: 0, grace: 5 }, async (_ctx, conn) => {
    entered.resolve();
    for (;;) await conn.write(new Uint8Array(1_000_000));
  });
  using _conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  assertEquals((await server.finished).failed, 1);
});

Deno.test("serveTcp() leaves a handler behind that takes no notice of the hard moment", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { port: 0, grace: 5 }, async () => {
    entered.resolve();
    await release.promise;
  });
  using _conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  const stats = await server.finished;
  assertEquals([stats.failed, stats.open], [1, 0]);
  assertConserved(stats);
  release.resolve();
  await turn();
  assertEquals(server.stats, stats);
});

Deno.test("in lame duck connections are still accepted", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = serveTcp(ctx, { port: 0, lameDuck: 1_000 }, echo);
  ctx.cancel();
  using conn = await dial(server);
  await conn.write(encode("still"));
  assertEquals(await readText(conn, 5), "still");
  await conn.closeWrite();
  await readToEnd(conn);
  time.tick(1_000);
  assertEquals((await server.finished).handled, 1);
  await assertRejects(() => dial(server), Deno.errors.ConnectionRefused);
});

Deno.test("serveTcp() with silent connections only does not wait for them to speak", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { port: 0 }, async (connCtx, conn) => {
    entered.resolve();
    const spoken = conn.read(new Uint8Array(1)).catch(() => null);
    await Promise.race([spoken, softDone(connCtx)]);
  });
  using _conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  assertEquals((await server.finished).handled, 1);
});

Deno.test("serveTcp() leaves nothing on its ctx, and says what it holds until then", async () => {
  const ctx = withCancel(background());
  const before = running.size;
  {
    await using server = serveTcp(ctx, { port: 0 }, echo);
    using conn = await dial(server);
    await conn.write(encode("x"));
    await readText(conn, 1);
    assertEquals([...running].at(-1)!(), "serveTcp with 1 connections");
    assertEquals(snapshot(ctx).children.length, 1);
  }
  assertEquals(running.size, before);
  assertEquals(snapshot(ctx).children.length, 0);
  assertEquals(ctx.err, undefined);
});

// Where it listens.

const read = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const pem = {
  cert: read("localhost_cert.pem"),
  key: read("localhost_key.pem"),
};

Deno.test("serveTcp() serves TLS", async () => {
  const { cert } = pem;
  await using server = serveTcp(background(), { port: 0, tls: pem }, echo);
  const { port } = server.addr;
  using conn = await dialTcp(background(), {
    hostname: "localhost",
    port,
    tls: { caCerts: [cert] },
  });
  await conn.write(encode("secret"));
  assertEquals(await readText(conn, 6), "secret");
});

for (
  const [what, text] of [
    ["speaks no TLS", "GET / HTTP/1.1\r\n\r\n"],
    ["only looks whether the port is open", ""],
  ] as const
) {
  for (const reads of [true, false]) {
    Deno.test(`the ctx of a TLS connection whose peer ${what} is done, the handler ${reads ? "reads" : "does not read"}`, async () => {
      const seen = Promise.withResolvers<unknown>();
      await using server = serveTcp(
        background(),
        { port: 0, tls: pem, onError: () => {} },
        async (ctx, conn) => {
          if (reads) await conn.read(new Uint8Array(1)).catch(() => {});
          await ctx.done;
          seen.resolve(cause(ctx));
        },
      );
      using conn = await dial(server);
      if (text !== "") await conn.write(encode(text));
      await conn.closeWrite();
      const why = await seen.promise;
      assertInstanceOf(why, ClientGone);
      assertInstanceOf(why.cause, Error);
    });
  }
}

Deno.test("a connection that was accepted as the grace was over is closed", async () => {
  for (let round = 0; round < 40; round++) {
    const ctx = withCancel(background());
    const server = serveTcp(ctx, { port: 0, grace: 0 }, async (_ctx, conn) => {
      ctx.cancel();
      await conn.read(new Uint8Array(1)).catch(() => {});
    });
    const conns = await Promise.allSettled(
      Array.from({ length: 10 }, () => dial(server)),
    );
    const stats = await server.finished;
    assertConserved(stats);
    for (const conn of conns) {
      if (conn.status === "rejected") continue;
      // Closed or reset: the server lets go of it either way.
      await conn.value.read(new Uint8Array(1)).catch(() => {});
      conn.value.close();
    }
  }
});

Deno.test("serveTcp() tells who wants reusePort without --unstable-net what to do", async () => {
  const script = new URL("../testdata/reuse_port.ts", import.meta.url).href;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--quiet", "--allow-net", script],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(
    lines.map((line) => line.slice(0, line.indexOf(" only"))),
    [
      "TypeError: serveTcp: Deno has reusePort",
      "TypeError: serveHttp: Deno has reusePort",
    ],
  );
  assertEquals(code, 0);
});

Deno.test("serveTcp() on a done ctx throws its err and opens no socket", () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const error = assertThrows(() => serveTcp(ctx, { port: 0 }, echo));
  assertStrictEquals(error, ctx.err);
});

Deno.test("serveTcp() names the port that is in use, and leaves nothing on ctx", () => {
  const ctx = withCancel(background());
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  assertThrows(
    () => serveTcp(ctx, { port }, echo),
    Deno.errors.AddrInUse,
    `serveTcp: port ${port} is in use`,
  );
  assertEquals(snapshot(ctx).children.length, 0);
});

for (
  const options of [
    { grace: -1 },
    { grace: NaN },
    { grace: "5" as unknown as number },
    { lameDuck: -1 },
    { idleTimeout: 0 },
    { maxConnections: 0 },
  ]
) {
  const [key, value] = Object.entries(options)[0]!;
  Deno.test(`serveTcp() refuses ${key} ${value} and leaves no socket`, () => {
    assertThrows(
      () => serveTcp(background(), { port: 0, ...options }, echo),
      RangeError,
      `serveTcp: ${key} must be`,
    );
  });
}

Deno.test("serveTcp() wants a context and a handler", () => {
  assertThrows(
    () => serveTcp(null as unknown as Context, { port: 0 }, echo),
    TypeError,
  );
  assertThrows(
    () =>
      serveTcp(background(), { port: 0 }, undefined as unknown as typeof echo),
    TypeError,
    "serveTcp: the third argument must be a function",
  );
  assertThrows(
    () =>
      serveTcp(background(), undefined as unknown as { port: number }, echo),
    TypeError,
    "serveTcp: the second argument must be an object with options",
  );
});
