import {
  background,
  cause,
  type Context,
  createKey,
  type Datagram,
  draining,
  serveUdp,
  snapshot,
  withCancel,
  withValue,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { RecordingOwner } from "../../context/recording_owner.ts";
import { Random } from "../../context/random.ts";
import { turn, until } from "../turn.ts";
import {
  assertConserved,
  local,
  numbered,
  onListen,
  test,
  textOf,
  UdpClient,
} from "./udp_client.ts";

Deno.test("serveUdp() calls the handler for each datagram, and reply() answers it", async () => {
  await using server = serveUdp(
    background(),
    local,
    async (_ctx, datagram) => {
      await datagram.reply(new TextEncoder().encode(`${textOf(datagram)}!`));
    },
  );
  using client = new UdpClient(server.addr);
  await client.send("hello");
  assertEquals(await client.receive(), "hello!");
  assertEquals(server.stats.received, 1);
  assertEquals(server.stats.bytes, 5);
});

Deno.test("serveUdp() takes a free port and says which", async () => {
  await using server = serveUdp(background(), local, () => {});
  assert(server.addr.port > 0);
  assertEquals(server.addr.hostname, "127.0.0.1");
});

Deno.test("serveUdp() throws ctx.err and opens no socket if ctx is done", () => {
  using probe = new UdpClient({ transport: "udp", hostname: "", port: 0 });
  const { port } = probe.conn.addr as Deno.NetAddr;
  const ctx = withCancel(background());
  ctx.cancel();
  // The port is in use: opening it would fail with a different error.
  const error = assertThrows(() => serveUdp(ctx, { port }, () => {}));
  assertStrictEquals(error, ctx.err);
});

Deno.test("serveUdp() handles every datagram sent before its ctx is done", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  const server = serveUdp(ctx, local, (_ctx, datagram) => {
    got.push(textOf(datagram));
  });
  using client = new UdpClient(server.addr);
  const sent = numbered(200);
  await client.send(...sent);
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(got, sent);
  assertEquals(stats.handled, 200);
  assertEquals(stats.bytes, sent.join("").length);
  assertConserved(stats);
});

Deno.test("serveUdp() reads what the kernel holds if its ctx ends before the loop has turned", async () => {
  const ctx = withCancel(background());
  const { promise: block, resolve: unblock } = Promise.withResolvers<void>();
  const server = serveUdp(ctx, { ...local, backlog: 1000 }, () => block);
  using client = new UdpClient(server.addr);
  await client.send(...numbered(100));
  ctx.cancel();
  await client.send(...numbered(50));
  unblock();
  const stats = await server.finished;
  assertEquals(stats.handled, 150);
  assertConserved(stats);
});

Deno.test("handlers of serveUdp() get the values of its ctx, and stay open when it ends", async () => {
  const nameKey = createKey<string>("name");
  const ctx = withCancel(background());
  const seen = Promise.withResolvers<[string | undefined, boolean]>();
  const server = serveUdp(
    withValue(ctx, nameKey, "statsd"),
    local,
    async (handlerCtx) => {
      ctx.cancel();
      await ctx.done;
      seen.resolve([handlerCtx.value(nameKey), handlerCtx.signal.aborted]);
    },
  );
  using client = new UdpClient(server.addr);
  await client.send("x");
  assertEquals(await seen.promise, ["statsd", false]);
  await server.finished;
});

Deno.test("serveUdp() cancels its handlers when the grace period is over, and waits for them", async () => {
  const ctx = withCancel(background());
  const started = Promise.withResolvers<void>();
  let why: unknown;
  const server = serveUdp(ctx, { ...local, grace: 5 }, async (handlerCtx) => {
    started.resolve();
    await handlerCtx.done;
    why = cause(handlerCtx);
  });
  using client = new UdpClient(server.addr);
  await client.send("x");
  await started.promise;
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(
    String(why),
    "Error: serveUdp: the grace period of 5 ms is over",
  );
  assertEquals(stats.handled, 1);
});

Deno.test("serveUdp() drops the datagrams that wait when the grace period is over", async () => {
  let calls = 0;
  const server = serveUdp(background(), local, async (ctx) => {
    calls++;
    await ctx.done;
  });
  using client = new UdpClient(server.addr);
  await client.send(...numbered(3));
  await until(() => server.stats.pending === 3);
  const stats = await server.shutdown({ grace: 0 });
  assertEquals([calls, stats.handled, stats.dropped], [1, 1, 2]);
  assertConserved(stats);
});

Deno.test("serveUdp() drops a datagram that it receives after the grace period is over", async () => {
  let received = 0;
  using _patched = onListen((conn) => {
    const { receive } = conn;
    conn.receive = async (buffer) => {
      if (received === 2) return await receive.call(conn, buffer);
      return [new Uint8Array([received++]), conn.addr];
    };
  });
  let calls = 0;
  const server = serveUdp(background(), local, () => {
    calls++;
    server.shutdown({ grace: 0 });
  });
  await until(() => server.state === "closed");
  const stats = await server.finished;
  assertEquals([stats.received, stats.handled, stats.dropped], [2, 1, 1]);
  assertEquals(calls, 1);
});

for (const end of ["returns", "rejects"] as const) {
  Deno.test(`serveUdp() leaves a handler behind that ignores the end of the grace period and ${end} later`, async () => {
    const ctx = withCancel(background());
    const started = Promise.withResolvers<void>();
    const never = Promise.withResolvers<void>();
    const server = serveUdp(ctx, { ...local, grace: 5 }, () => {
      started.resolve();
      return never.promise;
    });
    using client = new UdpClient(server.addr);
    await client.send("stuck", "waiting");
    await started.promise;
    await until(() => server.stats.received === 2);
    ctx.cancel();
    const stats = await server.finished;
    assertEquals([stats.failed, stats.dropped], [1, 1]);
    assertConserved(stats);
    if (end === "returns") never.resolve();
    else never.reject(new Error("too late to be told"));
    await never.promise.catch(() => {});
    await turn();
    assertEquals(server.stats, stats);
  });
}

Deno.test("a handler of serveUdp() can still reply during the drain", async () => {
  const ctx = withCancel(background());
  const server = serveUdp(ctx, local, async (_ctx, datagram) => {
    ctx.cancel();
    // Longer than the silence after which the kernel is taken to hold no more.
    await new Promise((resolve) => setTimeout(resolve, 60));
    await datagram.reply(datagram.data);
  });
  using client = new UdpClient(server.addr);
  await client.send("last words");
  assertEquals(await client.receive(), "last words");
  assertEquals((await server.finished).handled, 1);
});

for (const kind of ["throws", "rejects"] as const) {
  Deno.test(`serveUdp() goes on after a handler that ${kind}`, async () => {
    const errors: [unknown, string][] = [];
    await using server = serveUdp(
      background(),
      {
        ...local,
        onError: (error, datagram) => {
          errors.push([error, textOf(datagram!)]);
          throw new Error("and onError throws too");
        },
      },
      (_ctx, datagram) => {
        if (textOf(datagram) === "good") return;
        if (kind === "throws") throw "no";
        return Promise.reject("no");
      },
    );
    using client = new UdpClient(server.addr);
    using silent = silenced();
    await client.send("bad", "good");
    await until(() => server.stats.handled === 1);
    assertEquals(server.stats.failed, 1);
    assertEquals(errors, [["no", "bad"]]);
    assertEquals(silent.lines, 1);
  });
}

/** Keeps console.error quiet and counts its calls. */
function silenced(): Disposable & { lines: number } {
  const { error } = console;
  const silent = {
    lines: 0,
    [Symbol.dispose]: () => void (console.error = error),
  };
  console.error = () => void silent.lines++;
  return silent;
}

Deno.test("serveUdp() logs errors of handlers by default", async () => {
  await using server = serveUdp(background(), local, () => {
    throw new Error("no");
  });
  using client = new UdpClient(server.addr);
  using silent = silenced();
  await client.send("x");
  await until(() => server.stats.failed === 1);
  assertEquals(silent.lines, 1);
});

Deno.test("serveUdp() runs asynchronous handlers one after another, in order of arrival", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  let running = 0;
  const server = serveUdp(ctx, local, async (_ctx, datagram) => {
    assertEquals(++running, 1);
    await Promise.resolve();
    got.push(textOf(datagram));
    running--;
  });
  using client = new UdpClient(server.addr);
  const sent = numbered(100);
  await client.send(...sent);
  ctx.cancel();
  await server.finished;
  assertEquals(got, sent);
});

// A datagram that arrives between two handlers must not overtake the backlog.
for (const concurrency of [1, 3]) {
  for (const ticks of [0, 1, 2, 3, 4, 5, 6]) {
    Deno.test(`serveUdp() keeps the order of arrival with ${concurrency} handlers of ${ticks} microtasks`, async () => {
      const ctx = withCancel(background());
      const begun: number[] = [];
      const server = serveUdp(
        ctx,
        { ...local, concurrency },
        async (_ctx, datagram) => {
          begun.push(Number(textOf(datagram)));
          for (let n = 0; n < ticks; n++) await undefined;
        },
      );
      using client = new UdpClient(server.addr);
      const bursts = 40;
      for (let burst = 0; burst < bursts; burst++) {
        const texts = numbered(50).map((n) => String(burst * 50 + Number(n)));
        await client.send(...texts);
        await until(() => begun.length === 50 * (burst + 1));
      }
      ctx.cancel();
      await server.finished;
      assertEquals(begun, begun.toSorted((a, b) => a - b));
    });
  }
}

Deno.test("serveUdp() awaits thenables that a handler returns", async () => {
  const ctx = withCancel(background());
  const results: unknown[] = [
    { then: (resolve: () => void) => resolve() },
    { then: (_: unknown, reject: (error: unknown) => void) => reject("no") },
    {
      get then() {
        throw "no";
      },
    },
  ];
  const server = serveUdp(
    ctx,
    { ...local, onError: () => {} },
    () => results.shift() as Promise<void>,
  );
  using client = new UdpClient(server.addr);
  await client.send("resolves", "rejects", "throws");
  await until(() => server.stats.handled + server.stats.failed === 3);
  ctx.cancel();
  const stats = await server.finished;
  assertEquals([stats.handled, stats.failed], [1, 2]);
});

Deno.test("an onError that rejects is logged and changes nothing else", async () => {
  await using server = serveUdp(
    background(),
    { ...local, onError: () => Promise.reject(new Error("no log")) },
    () => {
      throw new Error("no");
    },
  );
  using client = new UdpClient(server.addr);
  using silent = silenced();
  await client.send("x");
  await until(() => silent.lines === 1);
  assertEquals(server.stats.failed, 1);
});

Deno.test("serveUdp() stops reading after half of the grace period if datagrams keep coming", async () => {
  const ctx = withCancel(background());
  let seen: Context | undefined;
  const server = serveUdp(
    ctx,
    { ...local, grace: 2_000 },
    async (handlerCtx) => {
      seen = handlerCtx;
      await turn();
    },
  );
  using client = new UdpClient(server.addr);
  let over = false;
  const sending = (async () => {
    while (!over) {
      await client.send("more");
      await turn();
    }
  })();
  await until(() => server.stats.handled > 10);
  ctx.cancel();
  const stats = await server.finished;
  over = true;
  await sending;
  // The server ended before the end of the grace period, which would be the cause.
  assertStrictEquals(cause(seen!), seen!.err);
  assertEquals(stats.failed, 0);
  assertConserved(stats);
});

Deno.test("serveUdp() runs at most concurrency handlers at once, started in order", async () => {
  const ctx = withCancel(background());
  const begun: string[] = [];
  const open: PromiseWithResolvers<void>[] = [];
  const server = serveUdp(
    ctx,
    { ...local, concurrency: 3 },
    (_ctx, datagram) => {
      begun.push(textOf(datagram));
      const handler = Promise.withResolvers<void>();
      open.push(handler);
      return handler.promise;
    },
  );
  using client = new UdpClient(server.addr);
  await client.send(...numbered(7));
  await until(() => server.stats.received === 7);
  for (let n = 3; n <= 7; n++) {
    assertEquals(begun, numbered(n));
    open.shift()!.resolve();
    await until(() => begun.length > n || n === 7);
  }
  for (const handler of open) handler.resolve();
  ctx.cancel();
  assertEquals((await server.finished).handled, 7);
});

Deno.test("serveUdp() keeps data valid until its handler has settled", async () => {
  const ctx = withCancel(background());
  const kept: Datagram[] = [];
  const release = Promise.withResolvers<void>();
  const texts: string[] = [];
  const server = serveUdp(
    ctx,
    { ...local, concurrency: 4 },
    async (_ctx, datagram) => {
      kept.push(datagram);
      await release.promise;
      texts.push(textOf(datagram));
    },
  );
  using client = new UdpClient(server.addr);
  const sent = numbered(20);
  await client.send(...sent);
  await until(() => server.stats.received === 20);
  assertEquals(kept.map(textOf), sent.slice(0, 4));
  release.resolve();
  ctx.cancel();
  await server.finished;
  assertEquals(texts, sent);
});

Deno.test("serveUdp() reuses no buffer before its handler has settled", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const ctx = withCancel(background());
  const open: PromiseWithResolvers<void>[] = [];
  let handled = 0;
  const server = serveUdp(
    ctx,
    { ...local, concurrency: 8 },
    async (_ctx, datagram) => {
      const text = textOf(datagram);
      const handler = Promise.withResolvers<void>();
      open.push(handler);
      await handler.promise;
      assertEquals(textOf(datagram), text, `seed ${seed}`);
      // From here on the buffer belongs to the next handler.
      datagram.data.fill(0);
      handled++;
    },
  );
  using client = new UdpClient(server.addr);
  for (let n = 0; n < 2_000; n++) {
    await client.send(`${n} `.repeat(1 + random.below(50)));
    // Keep fewer datagrams in transit than the kernel holds.
    for (let wait = random.below(3) === 0; wait; wait = n - handled > 50) {
      await turn();
      while (open.length > random.below(9)) {
        open.splice(random.below(open.length), 1)[0]!.resolve();
      }
    }
  }
  ctx.cancel();
  while (server.stats.pending > 0) {
    open.shift()?.resolve();
    await turn();
  }
  const stats = await server.finished;
  assertEquals([stats.handled, stats.failed], [2_000, 0], `seed ${seed}`);
});

Deno.test("serveUdp() lends the same datagram to handlers that return at once", async () => {
  const ctx = withCancel(background());
  const seen = new Set<Datagram>();
  const server = serveUdp(ctx, local, (_ctx, datagram) => {
    seen.add(datagram);
  });
  using client = new UdpClient(server.addr);
  await client.send(...numbered(10));
  ctx.cancel();
  await server.finished;
  assertEquals(seen.size, 1);
});

for (const kind of ["returned", "thrown", "settled"] as const) {
  Deno.test(`a datagram throws a TypeError once its handler has ${kind}`, async () => {
    const ctx = withCancel(background());
    const kept = Promise.withResolvers<Datagram>();
    const server = serveUdp(
      ctx,
      { ...local, onError: () => {} },
      (_ctx, datagram) => {
        kept.resolve(datagram);
        if (kind === "thrown") throw new Error("no");
        return kind === "settled" ? Promise.resolve() : undefined;
      },
    );
    using client = new UdpClient(server.addr);
    await client.send("secret");
    const datagram = await kept.promise;
    await until(() => server.stats.pending === 0);
    await turn();
    const message = "was used after its handler has returned";
    assertThrows(() => datagram.data, TypeError, `data ${message}`);
    assertThrows(() => datagram.addr, TypeError, `addr ${message}`);
    assertThrows(
      () => datagram.reply(new Uint8Array(1)),
      TypeError,
      `reply() ${message}`,
    );
    ctx.cancel();
    await server.finished;
  });
}

Deno.test("console.log() shows the data and the address of a datagram", async () => {
  const ctx = withCancel(background());
  let text = "";
  const server = serveUdp(ctx, local, (_ctx, datagram) => {
    text = Deno.inspect(datagram);
    ctx.cancel();
  });
  using client = new UdpClient(server.addr);
  await client.send("x");
  await server.finished;
  assert(/^Datagram \{\n? *data: Uint8Array\(1\) \[ 120 \]/.test(text), text);
});

Deno.test("serveUdp() accounts for every datagram at any time", async () => {
  const ctx = withCancel(background());
  const open: PromiseWithResolvers<void>[] = [];
  let looks = 0;
  const look = () => {
    looks++;
    assertConserved(server.stats);
  };
  const server = serveUdp(
    ctx,
    {
      ...local,
      concurrency: 2,
      backlog: 3,
      maxDatagramSize: 4,
      onError: look,
    },
    (_ctx, datagram) => {
      look();
      if (textOf(datagram) === "throw") throw new Error("no");
      const n = Number(textOf(datagram));
      if (n % 3 === 0) return;
      const handler = Promise.withResolvers<void>();
      open.push(handler);
      return handler.promise.then(() => {
        look();
        if (n % 3 === 1) throw new Error("no");
      });
    },
  );
  using client = new UdpClient(server.addr);
  for (let round = 0; round < 50; round++) {
    await client.send(...numbered(12), "too long", "oops");
    await until(() => server.stats.received === 14 * (round + 1));
    look();
    while (server.stats.pending > 0) {
      open.shift()?.resolve();
      await turn();
      look();
    }
  }
  ctx.cancel();
  const stats = await server.finished;
  assertConserved(stats);
  assertEquals([stats.pending, stats.truncated], [0, 50]);
  assert(stats.handled > 0 && stats.failed > 0 && stats.dropped > 0);
  assert(looks > 500);
});

Deno.test("serveUdp() drops datagrams beyond its backlog and counts them", async () => {
  const ctx = withCancel(background());
  const release = Promise.withResolvers<void>();
  const got: string[] = [];
  const server = serveUdp(ctx, { ...local, backlog: 2 }, (_ctx, datagram) => {
    got.push(textOf(datagram));
    return release.promise;
  });
  using client = new UdpClient(server.addr);
  await client.send(...numbered(6));
  await until(() => server.stats.received === 6);
  release.resolve();
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(got, ["0", "1", "2"]);
  assertEquals(stats.dropped, 3);
  assertConserved(stats);
});

Deno.test("serveUdp() counts datagrams longer than maxDatagramSize as truncated", async () => {
  const ctx = withCancel(background());
  const got: string[] = [];
  const server = serveUdp(
    ctx,
    { ...local, maxDatagramSize: 4 },
    (_ctx, datagram) => void got.push(textOf(datagram)),
  );
  using client = new UdpClient(server.addr);
  await client.send("1234", "12345", "x".repeat(6_000), "");
  ctx.cancel();
  const stats = await server.finished;
  assertEquals(got, ["1234", ""]);
  // The socket reads one byte more than the size, to see that there are more.
  assertEquals([stats.truncated, stats.bytes], [2, 4 + 5 + 5]);
  assertConserved(stats);
});

test("serveUdp() receives the largest datagram of UDP", async () => {
  const ctx = withCancel(background());
  let length = 0;
  const server = serveUdp(ctx, local, (_ctx, { data }) => {
    length = data.length;
    ctx.cancel();
  });
  using client = new UdpClient(server.addr);
  await client.send("x".repeat(65_507));
  assertEquals((await server.finished).truncated, 0);
  assertEquals(length, 65_507);
});

Deno.test("await using closes serveUdp()", async () => {
  const ctx = withCancel(background());
  let port: number;
  {
    await using server = serveUdp(ctx, local, () => {});
    port = server.addr.port;
    assertEquals(snapshot(ctx).children.length, 1);
  }
  assertEquals(snapshot(ctx).children.length, 0);
  assertEquals(ctx.err, undefined);
  await using _again = serveUdp(ctx, { port }, () => {});
});

Deno.test("serveUdp() drains in real time under a fake clock", async () => {
  using _time = new FakeTime();
  const ctx = withCancel(background());
  const server = serveUdp(ctx, local, () => {});
  ctx.cancel();
  assertEquals((await server.finished).received, 0);
});

Deno.test("serveUdp() names the port that is in use, by another server as well", async () => {
  await using taken = serveUdp(background(), { ...local, grace: 0 }, () => {});
  const { port } = taken.addr;
  assertThrows(
    () => serveUdp(background(), { ...local, port }, () => {}),
    Deno.errors.AddrInUse,
    `serveUdp: port ${port} is already in use`,
  );
});

Deno.test({
  name:
    "serveUdp() with reuseAddress shares a port with a server that has it too",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const options = { ...local, reuseAddress: true, grace: 0 };
    await using one = serveUdp(background(), options, () => {});
    const { port } = one.addr;
    await using other = serveUdp(background(), { ...options, port }, () => {});
    assertEquals(other.addr.port, port);
  },
});

for (
  const options of [
    { grace: -1 },
    { grace: NaN },
    { grace: "5" as unknown as number },
    { concurrency: 0 },
    { backlog: -1 },
    { maxDatagramSize: 0 },
    { maxDatagramSize: 65_508 },
  ]
) {
  const [key, value] = Object.entries(options)[0]!;
  Deno.test(`serveUdp() throws a RangeError for ${key} ${value} and opens no socket`, () => {
    assertThrows(
      () => serveUdp(background(), { ...local, ...options }, () => {}),
      RangeError,
      `serveUdp: ${key} must be`,
    );
  });
}

Deno.test("serveUdp() throws a TypeError without a handler, and opens no socket", () => {
  assertThrows(
    () => serveUdp(background(), local, undefined as unknown as () => void),
    TypeError,
    "serveUdp: the third argument must be a function",
  );
});

Deno.test("serveUdp() without --unstable-net throws a TypeError that says what to do", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--allow-net", "serve_udp.ts"],
    cwd: new URL("../testdata/", import.meta.url),
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text.startsWith("TypeError: serveUdp: Deno has UDP only"), text);
});

/** Makes `receive()` of the socket fail once `broken` has resolved. */
function breakable(conn: Deno.DatagramConn, broken: Promise<Error>): void {
  const { receive } = conn;
  conn.receive = async (buffer) => {
    const received = receive.call(conn, buffer);
    received.catch(() => {});
    const first = await Promise.race([received, broken]);
    if (first instanceof Error) throw first;
    return first;
  };
}

for (const end of ["ends", "never ends"] as const) {
  Deno.test(`a socket that fails ends serveUdp() and rejects finished, and leaves ctx alone: the handler ${end}`, async () => {
    const ctx = withCancel(background());
    const broken = Promise.withResolvers<Error>();
    const release = Promise.withResolvers<void>();
    using _patched = onListen((conn) => breakable(conn, broken.promise));
    const errors: unknown[] = [];
    const started = Promise.withResolvers<Context>();
    const server = serveUdp(
      ctx,
      { ...local, grace: 5, onError: (error) => errors.push(error) },
      (handlerCtx) => {
        started.resolve(handlerCtx);
        return release.promise;
      },
    );
    using client = new UdpClient(server.addr);
    await client.send("x");
    const handlerCtx = await started.promise;
    const failure = new Deno.errors.NotConnected("the network is gone");
    broken.resolve(failure);
    await until(() => server.state === "draining");
    assert(draining(handlerCtx).err !== undefined);
    if (end === "ends") release.resolve();
    const error = await assertRejects(
      () => server.finished,
      Error,
      `serveUdp: the socket at 127.0.0.1:${server.addr.port} failed: the network is gone`,
    );
    const { handled, failed } = server.stats;
    assertEquals([handled, failed], end === "ends" ? [1, 0] : [0, 1]);
    assertStrictEquals(error.cause, failure);
    assertEquals(errors, [error]);
    assertEquals([ctx.err, server.state], [undefined, "closed"]);
    await handlerCtx.done;
    if (end === "never ends") {
      assertStrictEquals((cause(handlerCtx) as Error).cause, error);
    }
    release.resolve();
  });
}

Deno.test("serveUdp() says what it holds until it is closed", async () => {
  const owner = new RecordingOwner();
  const ctx = withCancel(owner.ctx);
  const release = Promise.withResolvers<void>();
  const server = serveUdp(ctx, local, () => release.promise);
  using client = new UdpClient(server.addr);
  const at = `serveUdp 127.0.0.1:${server.addr.port}`;
  const expected = [
    at,
    `${at} with 1 datagram in flight`,
    `${at} with 2 datagrams in flight`,
  ];
  for (const [received, text] of expected.entries()) {
    if (received > 0) await client.send("x");
    await until(() => server.stats.received === received);
    assertEquals(owner.running, [text]);
  }
  release.resolve();
  ctx.cancel();
  await server.finished;
  assertEquals(owner.running, []);
});
