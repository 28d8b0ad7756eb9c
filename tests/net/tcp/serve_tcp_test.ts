import {
  background,
  cause,
  ClientGone,
  type Context,
  dialTcp,
  draining,
  serveTcp,
  type ServeTcpOptions,
  snapshot,
  type TcpServer,
  withCancel,
} from "@curfew/context";
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { once } from "node:events";
import { connect } from "node:net";
import { RecordingOwner } from "../../context/recording_owner.ts";
import { ManualTimers } from "../manual_timers.ts";
import { turn, until } from "../turn.ts";
import {
  assertConserved,
  dial,
  echo,
  encode,
  local,
  readText,
  readToEnd,
} from "./connections.ts";

// Limits and errors.

Deno.test("serveTcp() closes connections beyond maxConnections and counts them as refused", async () => {
  await using server = serveTcp(
    background(),
    { ...local, maxConnections: 2 },
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
  Deno.test(`a handler that ${kind} ends its own connection only`, async () => {
    const errors: [unknown, boolean][] = [];
    await using server = serveTcp(
      background(),
      {
        ...local,
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

Deno.test("a handler that throws undefined is reported", async () => {
  const errors: unknown[] = [];
  await using server = serveTcp(
    background(),
    { ...local, onError: (error) => errors.push(error) },
    () => Promise.reject(undefined),
  );
  using conn = await dial(server);
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await until(() => server.stats.failed === 1);
  assertEquals(errors, [undefined]);
});

Deno.test("an onError that throws is logged and changes nothing else", async () => {
  const { error } = console;
  let lines = 0;
  console.error = () => void lines++;
  try {
    await using server = serveTcp(
      background(),
      {
        ...local,
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

/**
 * Starts a server whose `accept()` is `accept`, which gets the real one and may
 * return undefined to have it called.
 */
function serveWith(
  accept: (real: () => Promise<Deno.TcpConn>) =>
    | Promise<Deno.TcpConn>
    | undefined,
  options: Partial<ServeTcpOptions>,
  ctx: Context = background(),
): TcpServer {
  const { listen } = Deno;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const real = listener.accept.bind(listener);
    listener.accept = () => accept(real) ?? real();
    return listener;
  }) as typeof Deno.listen;
  try {
    return serveTcp(ctx, { ...local, ...options }, echo);
  } finally {
    Deno.listen = listen;
  }
}

Deno.test("serveTcp() retries transient accept errors, counts them, and reports the first", async () => {
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

Deno.test("serveTcp() reports a transient accept error again in a new series", async () => {
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

Deno.test("serveTcp() doubles the pause after each failed accept of a series, up to 1 s", async () => {
  const plan = [...Array(10).fill("fail"), "accept", "fail"];
  const full = Object.assign(new Error("no memory"), { code: "ENOMEM" });
  using timers = new ManualTimers();
  await using server = serveWith(
    () => plan.shift() === "fail" ? Promise.reject(full) : undefined,
    { onError() {} },
  );
  const pauses = [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000];
  for (const pause of pauses) {
    await until(() => timers.pending.length > 0);
    assertEquals(timers.pending, [pause]);
    timers.fire(pause);
  }
  using conn = await dial(server);
  await conn.closeWrite();
  await until(() => server.stats.transientErrors === 11);
  await until(() => timers.pending.includes(5));
});

Deno.test("serveTcp() survives a peer that resets its connection before it is accepted", async () => {
  const reset = Promise.withResolvers<void>();
  await using server = serveWith((real) => reset.promise.then(real), {});
  const peer = connect(server.addr.port, server.addr.hostname);
  await once(peer, "connect");
  peer.resetAndDestroy();
  await once(peer, "close");
  reset.resolve();
  using conn = await dial(server);
  await conn.write(encode("x"));
  assertEquals(await readText(conn, 1), "x");
  assertEquals(server.stats.transientErrors, 1);
  await conn.closeWrite();
});

for (
  const lost of [
    new Deno.errors.NotConnected("Transport endpoint is not connected"),
    new Deno.errors.ConnectionAborted("Software caused connection abort"),
    new Deno.errors.ConnectionReset("Connection reset by peer"),
    Object.assign(new Error("Protocol error"), { code: "EPROTO" }),
  ]
) {
  Deno.test(`serveTcp() neither pauses nor reports when an accept fails with "${lost.message}"`, async () => {
    let failures = 4;
    const errors: unknown[] = [];
    using timers = new ManualTimers();
    await using server = serveWith(
      () => failures-- > 0 ? Promise.reject(lost) : undefined,
      { onError: (error) => errors.push(error) },
    );
    await until(() => failures < 0 || timers.pending.length > 0);
    assertEquals(timers.set, []);
    assertEquals(server.stats.transientErrors, 4);
    assertEquals(errors, []);
  });
}

Deno.test("the pause after a failed accept does not delay the shutdown, and leaves no timer behind", async () => {
  const ctx = withCancel(background());
  const full = Object.assign(new Error("no memory"), { code: "ENOMEM" });
  using timers = new ManualTimers();
  const server = serveWith(() => Promise.reject(full), { onError() {} }, ctx);
  await until(() => timers.pending.length > 0);
  ctx.cancel();
  const { transientErrors } = await server.finished;
  assertEquals(transientErrors, 1);
  assertEquals(timers.pending, []);
});

Deno.test("a final accept error drains serveTcp() and rejects finished, and leaves ctx alone", async () => {
  const ctx = withCancel(background());
  const failure = new Error("no such device");
  const errors: unknown[] = [];
  let isBroken = false;
  const breaking = Promise.withResolvers<never>();
  const server = serveWith(
    () => isBroken ? breaking.promise : undefined,
    { onError: (error) => errors.push(error) },
    ctx,
  );
  isBroken = true;
  using conn = await dial(server);
  await conn.write(encode("x"));
  assertEquals(await readText(conn, 1), "x");
  breaking.reject(failure);
  await until(() => server.state === "draining");
  await conn.write(encode("still here"));
  assertEquals(await readText(conn, 10), "still here");
  await conn.closeWrite();
  const error = await assertRejects(
    () => server.finished,
    Error,
    `serveTcp: the listener at 127.0.0.1:${server.addr.port} failed: no such device`,
  );
  assertStrictEquals(error.cause, failure);
  assertEquals(errors, [error]);
  assertEquals([ctx.err, server.state], [undefined, "closed"]);
  assertEquals(server.stats.handled, 1);
  await assertRejects(() => dial(server), Deno.errors.ConnectionRefused);
});

Deno.test("serveTcp() reports an error of closing its listener, and finishes", async () => {
  const { listen } = Deno;
  const failure = new Error("no such handle");
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const { close } = listener;
    listener.close = () => {
      close.call(listener);
      throw failure;
    };
    return listener;
  }) as typeof Deno.listen;
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  try {
    const server = serveTcp(background(), { ...local, onError }, echo);
    await server.shutdown();
  } finally {
    Deno.listen = listen;
  }
  assertEquals(errors, [failure]);
});

Deno.test("serveTcp() says that other code has closed its listener", async () => {
  const { listen } = Deno;
  let listener: Deno.TcpListener | undefined;
  Deno.listen =
    ((options: Deno.TcpListenOptions) =>
      listener = listen(options)) as typeof Deno.listen;
  const errors: unknown[] = [];
  const server = serveTcp(
    background(),
    { ...local, onError: (error) => errors.push(error) },
    echo,
  );
  Deno.listen = listen;
  listener!.close();
  const error = await assertRejects(
    () => server.finished,
    Error,
    `serveTcp: the listener at 127.0.0.1:${server.addr.port} was closed by other code`,
  );
  assertEquals(errors, [error]);
  assertEquals(server.stats.transientErrors, 0);
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

// The two phases.

Deno.test("while draining, serveTcp() refuses connections and handlers finish", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, local, async (connCtx, conn) => {
    entered.resolve();
    await draining(connCtx).done;
    assertEquals(connCtx.err, undefined);
    await release.promise;
    await conn.write(encode("finished"));
  });
  using conn = await dial(server);
  await entered.promise;
  ctx.cancel("deploy");
  // Deno closes a listener with a pending accept() in the next turn.
  await turn();
  await assertRejects(
    () => dial(server),
    Deno.errors.ConnectionRefused,
    `dialTcp: nothing listens at 127.0.0.1:${server.addr.port}`,
  );
  release.resolve();
  assertEquals(await readToEnd(conn), "finished");
  const stats = await server.finished;
  assertEquals([stats.handled, stats.forced, stats.open], [1, 0, 0]);
});

Deno.test("serveTcp() closes connections under their handlers when the grace period is over", async () => {
  const ctx = withCancel(background());
  const errors: unknown[] = [];
  const entered = Promise.withResolvers<void>();
  let why: unknown;
  const server = serveTcp(
    ctx,
    { ...local, grace: 5, onError: (error) => errors.push(error) },
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
  assertEquals(
    String(why),
    "Error: serveTcp: the grace period of 5 ms is over",
  );
  assertEquals([stats.forced, stats.failed], [1, 1]);
  assertEquals(errors, []);
  assertConserved(stats);
});

Deno.test("serveTcp() cuts a write that is stuck when the grace period is over", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { ...local, grace: 5 }, async (_ctx, conn) => {
    entered.resolve();
    for (;;) await conn.write(new Uint8Array(1_000_000));
  });
  using _conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  assertEquals((await server.finished).failed, 1);
});

Deno.test("serveTcp() leaves a handler behind that ignores the end of the grace period", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { ...local, grace: 5 }, async () => {
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

Deno.test("serveTcp() checks the peers of all connections with one timer, while there are any", async () => {
  const release = Promise.withResolvers<void>();
  using timers = new ManualTimers();
  await using server = serveTcp(background(), local, () => release.promise);
  assertEquals(timers.set, []);
  using one = await dial(server);
  using other = await dial(server);
  await until(() => server.stats.open === 2);
  for (let n = 0; n < 3; n++) {
    assertEquals(timers.pending, [25]);
    timers.fire(25);
  }
  await one.closeWrite();
  await other.closeWrite();
  release.resolve();
  await until(() => server.stats.open === 0);
  timers.fire(25);
  assertEquals(timers.pending, []);
  using _later = await dial(server);
  await until(() => server.stats.accepted === 3);
  assertEquals(timers.set.filter((ms) => ms === 25).length, 5);
});

Deno.test("serveTcp() leaves no timer behind with a handler that ignores its end", async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  using timers = new ManualTimers();
  const server = serveTcp(background(), local, () => {
    entered.resolve();
    return release.promise;
  });
  using _conn = await dial(server);
  await entered.promise;
  const finished = server.shutdown({ grace: 0 });
  await until(() => timers.pending.length === 2);
  timers.fire(25);
  // The time in which a handler can react to the end of the grace period.
  timers.fire(50);
  assertEquals((await finished).failed, 1);
  assertEquals(timers.pending, []);
  release.resolve();
  await turn();
});

Deno.test("serveTcp() accepts connections during the lame duck", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = serveTcp(ctx, { ...local, lameDuck: 1_000 }, echo);
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

Deno.test("a handler that watches draining(ctx) ends at once, though its peer is silent", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  const server = serveTcp(ctx, local, async (connCtx, conn) => {
    entered.resolve();
    const spoken = conn.read(new Uint8Array(1)).catch(() => null);
    await Promise.race([spoken, draining(connCtx).done]);
  });
  using _conn = await dial(server);
  await entered.promise;
  ctx.cancel();
  assertEquals((await server.finished).handled, 1);
});

Deno.test("serveTcp() says what it holds until it is closed, and leaves nothing on ctx", async () => {
  const owner = new RecordingOwner();
  const ctx = withCancel(owner.ctx);
  {
    await using server = serveTcp(ctx, local, echo);
    using conn = await dial(server);
    await conn.write(encode("x"));
    await readText(conn, 1);
    assertEquals(
      owner.running,
      [`serveTcp 127.0.0.1:${server.addr.port} with 1 open connection`],
    );
    assertEquals(snapshot(ctx).children.length, 1);
  }
  assertEquals(owner.running, []);
  assertEquals(snapshot(ctx).children.length, 0);
  assertEquals(ctx.err, undefined);
});

// Arguments, addresses and TLS.

const read = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const pem = {
  cert: read("localhost_cert.pem"),
  key: read("localhost_key.pem"),
};

Deno.test("serveTcp() serves TLS", async () => {
  const { cert } = pem;
  await using server = serveTcp(background(), { ...local, tls: pem }, echo);
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
    ["only probes the port", ""],
  ] as const
) {
  for (const reads of [true, false]) {
    Deno.test(`the ctx of a TLS connection is done if its peer ${what} and the handler ${reads ? "reads" : "does not read"}`, async () => {
      const seen = Promise.withResolvers<unknown>();
      await using server = serveTcp(
        background(),
        { ...local, tls: pem, onError: () => {} },
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

Deno.test("serveTcp() closes a connection that it accepts as the grace period ends", async () => {
  for (let round = 0; round < 40; round++) {
    const ctx = withCancel(background());
    const server = serveTcp(ctx, { ...local, grace: 0 }, async (_ctx, conn) => {
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
      // The server closes or resets it.
      await conn.value.read(new Uint8Array(1)).catch(() => {});
      conn.value.close();
    }
  }
});

Deno.test("reusePort without --unstable-net throws a TypeError that says what to do", async () => {
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

Deno.test("serveTcp() throws ctx.err and opens no socket if ctx is done", () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const error = assertThrows(() => serveTcp(ctx, local, echo));
  assertStrictEquals(error, ctx.err);
});

Deno.test({
  name: "serveTcp() shares its port only with reusePort",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using one = serveTcp(background(), local, echo);
    const { port } = one.addr;
    assertThrows(
      () => serveTcp(background(), { ...local, port }, echo),
      Deno.errors.AddrInUse,
    );
    const shared = { ...local, reusePort: true };
    await using two = serveTcp(background(), shared, echo);
    await using three = serveTcp(
      background(),
      { ...shared, port: two.addr.port },
      echo,
    );
    assertEquals(three.addr, two.addr);
  },
});

Deno.test("serveTcp() names the port that is in use, and leaves nothing on ctx", () => {
  const ctx = withCancel(background());
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  assertThrows(
    () => serveTcp(ctx, { port }, echo),
    Deno.errors.AddrInUse,
    `serveTcp: port ${port} is already in use`,
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
  Deno.test(`serveTcp() throws a RangeError for ${key} ${value} and opens no socket`, () => {
    assertThrows(
      () => serveTcp(background(), { ...local, ...options }, echo),
      RangeError,
      `serveTcp: ${key} must be`,
    );
  });
}

Deno.test("serveTcp() throws a TypeError without a context or a handler", () => {
  assertThrows(
    () => serveTcp(null as unknown as Context, local, echo),
    TypeError,
  );
  assertThrows(
    () => serveTcp(background(), local, undefined as unknown as typeof echo),
    TypeError,
    "serveTcp: the third argument must be a function",
  );
  assertThrows(
    () =>
      serveTcp(background(), undefined as unknown as { port: number }, echo),
    TypeError,
    "serveTcp: expected an object with options, got ",
  );
});
