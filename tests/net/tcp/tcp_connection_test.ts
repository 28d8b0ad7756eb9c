import {
  background,
  cause,
  ClientGone,
  type Context,
  createKey,
  IdleTimeout,
  localAddrKey,
  orDone,
  remoteAddrKey,
  serveTcp,
  withCancel,
  withValue,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { connect } from "node:net";
import { turn, until } from "../turn.ts";
import {
  type Conn,
  dial,
  echo,
  encode,
  local,
  readText,
  readToEnd,
} from "./connections.ts";

Deno.test("serveTcp() calls the handler for each connection", async () => {
  await using server = serveTcp(background(), local, echo);
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

Deno.test("serveTcp() closes a connection and ends its ctx when the handler has returned", async () => {
  const ended = Promise.withResolvers<Context>();
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("close() of a connection is idempotent", async () => {
  await using server = serveTcp(background(), local, (_ctx, conn) => {
    conn.close();
    conn.close();
  });
  using conn = await dial(server);
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await until(() => server.stats.handled === 1);
});

Deno.test("a connection's ctx has the values of the server's ctx, and both addresses", async () => {
  const nameKey = createKey<string>("name");
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    withValue(background(), nameKey, "dns"),
    local,
    (ctx, conn) => {
      assertEquals(ctx.value(remoteAddrKey), conn.remoteAddr);
      assertEquals(ctx.value(localAddrKey)?.transport, "tcp");
      seen.resolve([ctx.value(nameKey), ctx.value(remoteAddrKey)]);
    },
  );
  using conn = await dial(server);
  assertEquals(await seen.promise, ["dns", conn.localAddr]);
});

Deno.test("a large write to the stream of a connection arrives whole", async () => {
  const size = 5_000_000;
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("everything written arrives even if the handler returns with data unread", async () => {
  const size = 1_000_000;
  await using server = serveTcp(
    background(),
    local,
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
    // Read slowly, so that the handler has returned before the end.
    const n = await conn.read(new Uint8Array(20_000));
    if (n === null) break;
    read += n;
    await turn();
  }
  assertEquals(read, size);
});

Deno.test("a connection that lingers is half-closed at once", async () => {
  await using server = serveTcp(
    background(),
    local,
    async (_ctx, conn) => {
      await conn.read(new Uint8Array(1));
    },
  );
  using conn = await dial(server);
  await conn.write(new Uint8Array(50_000));
  assertEquals(await conn.read(new Uint8Array(1)), null);
  assertEquals(server.stats.open, 1);
});

Deno.test("a write that the handler has abandoned does not keep its connection open", async () => {
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("a peer that never stops sending is cut after the linger time", async () => {
  await using server = serveTcp(background(), local, () => {});
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

// The end of the peer.

Deno.test("the ctx of a handler that reads is done when it reaches the end of the stream", async () => {
  const seen = Promise.withResolvers<[string, unknown]>();
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("the ctx of a handler that does not read is done when the peer has closed", async () => {
  const seen = Promise.withResolvers<unknown>();
  const entered = Promise.withResolvers<void>();
  await using server = serveTcp(background(), local, async (ctx) => {
    entered.resolve();
    await ctx.done;
    seen.resolve(cause(ctx));
  });
  using conn = await dial(server);
  await entered.promise;
  conn.close();
  assertInstanceOf(await seen.promise, ClientGone);
});

Deno.test("the peers of later connections are watched as well", async () => {
  const causes: unknown[] = [];
  await using server = serveTcp(background(), local, async (ctx) => {
    await ctx.done;
    causes.push(cause(ctx));
  });
  for (let n = 1; n <= 2; n++) {
    const conn = await dial(server);
    await until(() => server.stats.open === 1);
    conn.close();
    await until(() => server.stats.open === 0);
    // Longer than the interval at which peers are checked.
    await new Promise((resolve) => setTimeout(resolve, 60));
    assertEquals(causes.length, n);
  }
  for (const why of causes) assertInstanceOf(why, ClientGone);
});

Deno.test("the ctx stays open while data of the peer is unread", async () => {
  const proceed = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    background(),
    local,
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
  // Usually long enough for the read-ahead.
  await new Promise((resolve) => setTimeout(resolve, 80));
  await conn.write(encode("line 2"));
  conn.close();
  await new Promise((resolve) => setTimeout(resolve, 80));
  proceed.resolve();
  assertEquals(await seen.promise, [true, "line 1", "line 2", false]);
});

Deno.test("data that was read ahead reaches the handler in order, in small reads", async () => {
  const proceed = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<string>();
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("a handler that starts to read during a read-ahead gets everything in order", async () => {
  const reading = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<string>();
  await using server = serveTcp(
    background(),
    local,
    async (_ctx, conn) => {
      // Usually long enough for the read-ahead to begin.
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

Deno.test("a write goes out after the peer has half-closed", async () => {
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("with allowHalfOpen a half-close leaves the ctx open", async () => {
  await using server = serveTcp(
    background(),
    { ...local, allowHalfOpen: true },
    async (ctx, conn) => {
      await readToEnd(conn);
      await conn.write(encode(`${ctx.err}`));
    },
  );
  using conn = await dial(server);
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "undefined");
});

Deno.test("a reset ends the ctx, and the failed write is not reported", async () => {
  const errors: unknown[] = [];
  const seen = Promise.withResolvers<unknown>();
  await using server = serveTcp(
    background(),
    { ...local, onError: (error) => errors.push(error) },
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

Deno.test("a reset ends the ctx even if data is unread", async () => {
  const seen = Promise.withResolvers<unknown>();
  const entered = Promise.withResolvers<void>();
  await using server = serveTcp(background(), local, async (ctx) => {
    entered.resolve();
    await ctx.done;
    seen.resolve(cause(ctx));
  });
  const { hostname, port } = server.addr;
  const socket = connect(port, hostname);
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await new Promise<void>((resolve) => socket.write("x", () => resolve()));
  await entered.promise;
  // Deno's own connections cannot send a reset.
  socket.resetAndDestroy();
  const why = await seen.promise;
  assertInstanceOf(why, ClientGone);
  assertInstanceOf(why.cause, Deno.errors.ConnectionReset);
  await closed;
});

Deno.test("a handler that closes its connection ends its ctx", async () => {
  await using server = serveTcp(
    background(),
    local,
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

Deno.test("a write after closeWrite() is reported and leaves the ctx open", async () => {
  const errors: unknown[] = [];
  await using server = serveTcp(
    background(),
    { ...local, onError: (error) => errors.push(error) },
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

// Idle timeouts.

Deno.test("an idle connection ends: its ctx is done and its reads reject", async () => {
  using time = new FakeTime();
  const seen = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    background(),
    { ...local, idleTimeout: 1_000 },
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

Deno.test("a connection that is read and written is not idle", async () => {
  using time = new FakeTime();
  await using server = serveTcp(
    background(),
    { ...local, idleTimeout: 1_000 },
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

Deno.test("a connection that is only written is not idle", async () => {
  using time = new FakeTime();
  const turns = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  await using server = serveTcp(
    background(),
    { ...local, idleTimeout: 1_000 },
    async (_ctx, conn) => {
      for (const { promise } of turns) {
        await promise;
        await conn.write(encode("x"));
      }
    },
  );
  using conn = await dial(server);
  for (const { resolve } of turns) {
    resolve();
    assertEquals(await readText(conn, 1), "x");
    time.tick(900);
  }
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

Deno.test("a connection that is only read is not idle", async () => {
  using time = new FakeTime();
  const read = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  await using server = serveTcp(
    background(),
    { ...local, idleTimeout: 1_000 },
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

Deno.test("the idle timers of connections and peers that have ended do not keep the process alive", async () => {
  const script = new URL("../testdata/idle_timers.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--unstable-net", "--allow-net", script],
    stderr: "inherit",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "ended 1 1\n");
});

// The rest of Deno.Conn.

type Use = (conn: Deno.Conn) => Promise<unknown>;

const uses: Record<string, Use> = {
  "read()": (conn) => conn.read(new Uint8Array(1)),
  "write()": (conn) => conn.write(new Uint8Array(1)),
  "closeWrite()": (conn) => conn.closeWrite(),
};

for (const [name, use] of Object.entries(uses)) {
  Deno.test(`${name} rejects with ctx.err once the handler has closed the connection`, async () => {
    const { promise, resolve } = Promise.withResolvers<[Context, unknown]>();
    await using server = serveTcp(
      background(),
      local,
      async (ctx, conn) => {
        conn.close();
        resolve([ctx, await use(conn).catch((error) => error)]);
      },
    );
    using _conn = await dial(server);
    const [ctx, error] = await promise;
    assertStrictEquals(error, ctx.err);
  });
}

Deno.test("a read into an empty buffer reads nothing and takes nothing away", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(
    background(),
    { ...local, onError: reject },
    async (_ctx, conn) => {
      const none = await conn.read(new Uint8Array(0));
      const buffer = new Uint8Array(8);
      const some = await conn.read(buffer);
      resolve([none, some, buffer[0]]);
    },
  );
  using conn = await dial(server);
  await conn.write(new Uint8Array([42]));
  assertEquals(await promise, [0, 1, 42]);
});

/** Runs `f` on a connection that serveTcp has passed to a handler. */
async function onConnection(
  f: (conn: Conn, peer: Deno.TcpConn) => unknown,
): Promise<void> {
  const accepted = Promise.withResolvers<Conn>();
  const release = Promise.withResolvers<void>();
  await using server = serveTcp(background(), local, (_ctx, conn) => {
    accepted.resolve(conn);
    return release.promise;
  });
  using peer = await dial(server);
  try {
    await f(await accepted.promise, peer);
  } finally {
    release.resolve();
  }
}

Deno.test("the addresses of a connection are those of its peer, swapped", () =>
  onConnection((conn, peer) => {
    assertEquals(conn.localAddr, peer.remoteAddr);
    assertEquals(conn.remoteAddr, peer.localAddr);
  }));

Deno.test("Symbol.dispose closes a connection and is idempotent", () =>
  onConnection(async (conn, peer) => {
    conn[Symbol.dispose]();
    assertEquals(await peer.read(new Uint8Array(1)), null);
    conn[Symbol.dispose]();
  }));
