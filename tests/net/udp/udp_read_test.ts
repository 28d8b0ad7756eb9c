import {
  background,
  type Context,
  type Datagram,
  snapshot,
  udpRead,
  withCancel,
  withTimeout,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { RecordingOwner } from "../../context/recording_owner.ts";
import { hasIpv6 } from "../ipv6.ts";
import { turn } from "../turn.ts";
import {
  assertConserved,
  listenUdp,
  numbered,
  test,
  textOf,
  UdpClient,
} from "./udp_client.ts";

function assertClosed(conn: Deno.DatagramConn): void {
  assertThrows(() => conn.close(), Deno.errors.BadResource);
}

Deno.test("udpRead() reads until ctx is canceled, then closes the socket", async () => {
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

Deno.test("udpRead() closes the socket and reads nothing if ctx is done", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  await client.send("too late");
  let reads = 0;
  conn.receive = () => {
    reads++;
    return Promise.reject(new Deno.errors.BadResource("closed"));
  };
  assertEquals((await udpRead(ctx, conn, () => {})).received, 0);
  assertClosed(conn);
  assertEquals(reads, 0);
});

Deno.test("udpRead() rejects if other code closes the socket, and leaves ctx alone", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  const { port } = conn.addr as Deno.NetAddr;
  const errors: unknown[] = [];
  const finished = udpRead(ctx, conn, () => {}, {
    onError: (error) => errors.push(error),
  });
  conn.close();
  await assertRejects(
    () => finished,
    Error,
    `udpRead: the socket at 127.0.0.1:${port} was closed by other code`,
  );
  assertEquals(errors, []);
  assertEquals(ctx.err, undefined);
});

Deno.test("udpRead() rejects if the socket fails, and leaves ctx alone", async () => {
  using ctx = withCancel(background());
  const conn = listenUdp();
  const failure = new Deno.errors.NotConnected("the network is gone");
  conn.receive = () => Promise.reject(failure);
  const error = await assertRejects(
    () => udpRead(ctx, conn, () => {}, { onError: () => {} }),
    Error,
    "failed: the network is gone",
  );
  assertStrictEquals(error.cause, failure);
  assertEquals(ctx.err, undefined);
  assertClosed(conn);
});

Deno.test("a failure of udpRead() that is not awaited is an unhandled rejection", async () => {
  const conn = listenUdp();
  const unhandled = Promise.withResolvers<unknown>();
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.resolve(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listener);
  udpRead(background(), conn, () => {});
  conn.close();
  assertInstanceOf(await unhandled.promise, Error);
  globalThis.removeEventListener("unhandledrejection", listener);
});

Deno.test("a failure of udpRead() that is handled is not the program's", async () => {
  const owner = new RecordingOwner();
  const conn = listenUdp();
  const finished = udpRead(owner.ctx, conn, () => {});
  assertEquals(owner.works.size, 1);
  conn.close();
  await assertRejects(() => finished);
  await turn();
  assertEquals([owner.works.size, owner.failures], [0, []]);
});

Deno.test("udpRead() goes on after a handler that throws, and leaves ctx alone", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const finished = udpRead(
    ctx,
    conn,
    (_ctx, datagram) => {
      if (textOf(datagram) === "bad") throw new Error("no");
    },
    { onError: () => {} },
  );
  await client.send("bad", "good");
  assertEquals(ctx.err, undefined);
  ctx.cancel();
  const stats = await finished;
  assertEquals([stats.failed, stats.handled], [1, 1]);
});

Deno.test("udpRead() leaves nothing on ctx, even if the socket failed", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  const finished = udpRead(ctx, conn, () => {}, { onError: () => {} });
  assertEquals(snapshot(ctx).children.length, 1);
  conn.close();
  await assertRejects(() => finished);
  assertEquals(snapshot(ctx).children.length, 0);
});

for (
  const name of ["ConnectionReset", "ConnectionRefused", "TimedOut"] as const
) {
  Deno.test(`udpRead() retries a receive that fails with ${name}, and reports the first`, async () => {
    const ctx = withCancel(background());
    const conn = listenUdp();
    using client = new UdpClient(conn.addr);
    const { receive } = conn;
    let failures = 3;
    conn.receive = (buffer) =>
      failures-- > 0
        ? Promise.reject(new Deno.errors[name]("an ICMP message"))
        : receive.call(conn, buffer);
    const errors: unknown[] = [];
    const finished = udpRead(ctx, conn, () => ctx.cancel(), {
      onError: (error) => errors.push(error),
    });
    await client.send("still there?");
    const stats = await finished;
    assertEquals([stats.handled, stats.transientErrors], [1, 3]);
    assertEquals(errors.map(String), [`${name}: an ICMP message`]);
  });
}

type UdpReadArguments = Parameters<typeof udpRead>;

const misuses: [
  what: string,
  change: (args: UdpReadArguments) => void,
  kind: typeof TypeError | typeof RangeError,
  message: string,
][] = [
  [
    "without a context",
    (args) => args[0] = null as unknown as Context,
    TypeError,
    "udpRead: expected a context, got null",
  ],
  [
    "without a socket",
    (args) => args[1] = undefined as unknown as Deno.DatagramConn,
    TypeError,
    "udpRead: the second argument must be a Deno.DatagramConn",
  ],
  [
    "without a handler",
    (args) => args[2] = undefined as unknown as () => void,
    TypeError,
    "udpRead: the third argument must be a function",
  ],
  [
    "for concurrency 0",
    (args) => args[3] = { concurrency: 0 },
    RangeError,
    "udpRead: concurrency must be",
  ],
];
for (const [what, change, kind, message] of misuses) {
  Deno.test(`udpRead() throws a ${kind.name} ${what}, and leaves the socket open`, () => {
    const conn = listenUdp();
    const args: UdpReadArguments = [background(), conn, () => {}, {}];
    change(args);
    assertThrows(() => udpRead(...args), kind, message);
    conn.close();
  });
}

Deno.test("udpRead() counts a datagram as truncated if receive() fails with EMSGSIZE, as on Windows", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const { receive } = conn;
  conn.receive = () => {
    conn.receive = receive;
    const error = new Error("Message too long");
    return Promise.reject(Object.assign(error, { code: "EMSGSIZE" }));
  };
  const finished = udpRead(ctx, conn, () => ctx.cancel(), {
    maxDatagramSize: 100,
  });
  await client.send("still there?");
  const stats = await finished;
  assertConserved(stats);
  assertEquals([stats.truncated, stats.handled], [1, 1]);
});

// reply()

Deno.test("reply() retries once after an ICMP message for an earlier datagram", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const { send } = conn;
  let failures = 1;
  conn.send = (data, addr) =>
    failures-- > 0
      ? Promise.reject(new Deno.errors.ConnectionRefused("an ICMP message"))
      : send.call(conn, data, addr);
  const finished = udpRead(ctx, conn, async (_ctx, datagram) => {
    await datagram.reply(datagram.data);
    ctx.cancel();
  });
  await client.send("hello");
  assertEquals(await client.receive(), "hello");
  assertEquals((await finished).transientErrors, 1);
});

Deno.test("reply() rejects with a transient error that comes twice", async () => {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const refused = new Deno.errors.ConnectionRefused("an ICMP message");
  conn.send = () => Promise.reject(refused);
  const errors: unknown[] = [];
  const finished = udpRead(
    ctx,
    conn,
    async (_ctx, datagram) => {
      ctx.cancel();
      await datagram.reply(datagram.data);
    },
    { onError: (error) => errors.push(error) },
  );
  await client.send("hello");
  const stats = await finished;
  assertEquals(errors, [refused]);
  assertEquals([stats.transientErrors, stats.failed], [2, 1]);
});

/** Runs `use` in a handler during the drain. */
async function held(
  use: (datagram: Datagram, ctx: Context) => Promise<void>,
  grace?: number,
): Promise<void> {
  const ctx = withCancel(background());
  const conn = listenUdp();
  using client = new UdpClient(conn.addr);
  const errors: unknown[] = [];
  const finished = udpRead(
    ctx,
    conn,
    async (handlerCtx, datagram) => {
      ctx.cancel();
      await use(datagram, handlerCtx);
    },
    {
      ...(grace !== undefined && { grace }),
      onError: (error) => errors.push(error),
    },
  );
  await client.send("x");
  await finished;
  assertEquals(errors, []);
}

test("reply() names the maximum size if its data is too long", async () => {
  await held(async (datagram) => {
    assertEquals(await datagram.reply(new Uint8Array(65_507)), 65_507);
    await assertRejects(
      () => datagram.reply(new Uint8Array(70_000)),
      RangeError,
      "udpRead: 70000 bytes are too long to send; a datagram takes 65507 at most",
    );
  });
});

Deno.test("reply() rejects with ctx.err once the grace period is over", async () => {
  await held(async (datagram, ctx) => {
    await ctx.done;
    const error = await assertRejects(() => datagram.reply(new Uint8Array(1)));
    assertStrictEquals(error, ctx.err);
  }, 5);
});

for (const name of ["Interrupted", "BadResource"] as const) {
  Deno.test(`reply() rejects with ctx.err if the end of the grace period fails it with ${name}`, async () => {
    const ctx = withCancel(background());
    const conn = listenUdp();
    using client = new UdpClient(conn.addr);
    const closed = Promise.withResolvers<never>();
    const { close } = conn;
    conn.send = () => closed.promise;
    conn.close = () => {
      closed.reject(new Deno.errors[name]("the socket has been closed"));
      close.call(conn);
    };
    let error: unknown;
    let handlerCtx: Context | undefined;
    const finished = udpRead(
      ctx,
      conn,
      async (given, datagram) => {
        ctx.cancel();
        handlerCtx = given;
        await datagram.reply(datagram.data).catch((e) => error = e);
      },
      { grace: 5 },
    );
    await client.send("x");
    await finished;
    assert(error !== undefined);
    assertStrictEquals(error, handlerCtx!.err);
  });
}

Deno.test("reply() sends nothing once ctx is done, even if the socket is open", async () => {
  await held(async (datagram, ctx) => {
    const replied = Promise.withResolvers<unknown>();
    ctx.signal.addEventListener("abort", () => {
      datagram.reply(datagram.data).then(replied.resolve, replied.resolve);
    });
    assertStrictEquals(await replied.promise, ctx.err);
  }, 5);
});

// kernelDropped

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test({
    name: `udpRead() counts the drops of the kernel at ${hostname}`,
    ignore: Deno.build.os !== "linux" || hostname === "::1" && !hasIpv6,
    async fn() {
      const ctx = withCancel(background());
      const listen = () =>
        Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
      const conn = listen();
      const client = listen();
      // More than any usual receive buffer holds.
      const sent = 1_000;
      for (let n = 0; n < sent; n++) {
        await client.send(new Uint8Array(8_000), conn.addr);
      }
      ctx.cancel();
      const open = withCancel(background());
      const finished = udpRead(open, conn, () => {});
      open.cancel();
      const stats = await finished;
      assert(stats.kernelDropped! > 0);
      assertEquals(stats.received + stats.kernelDropped!, sent);
      client.close();
    },
  });
}

Deno.test({
  name: "udpRead() does not count the drops of another socket on the same port",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const flooded = listenUdp();
    const { port } = flooded.addr as Deno.NetAddr;
    const beside = Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.2",
      port,
    });
    using client = new UdpClient(flooded.addr);
    for (let n = 0; n < 1_000; n++) {
      await client.conn.send(new Uint8Array(8_000), flooded.addr);
    }
    const ctx = withCancel(background());
    const finished = udpRead(ctx, beside, () => {});
    ctx.cancel();
    assertEquals((await finished).kernelDropped, 0);
    flooded.close();
  },
});

Deno.test({
  name:
    "udpRead() leaves kernelDropped undefined for sockets that share an address",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const shared = (port: number) =>
      Deno.listenDatagram({
        transport: "udp",
        hostname: "127.0.0.1",
        port,
        reuseAddress: true,
      });
    const one = shared(0);
    const other = shared((one.addr as Deno.NetAddr).port);
    const ctx = withCancel(background());
    const finished = udpRead(ctx, one, () => {});
    ctx.cancel();
    assertEquals((await finished).kernelDropped, undefined);
    other.close();
  },
});

Deno.test("udpRead() does not prompt for permission to read /proc", async () => {
  const script = new URL("../testdata/udp_read.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", script],
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "undefined\n");
});

// Unix datagram sockets.

Deno.test({
  name: "udpRead() reads a Unix datagram socket and replies",
  ignore: Deno.build.os === "windows",
  async fn() {
    const dir = await Deno.makeTempDir();
    const listen = (name: string) =>
      Deno.listenDatagram({
        transport: "unixpacket",
        path: `${dir}/${name}`,
      });
    const ctx = withCancel(background());
    const conn = listen("server");
    const client = listen("client");
    const finished = udpRead<Deno.UnixAddr>(
      ctx,
      conn,
      async (_ctx, datagram) => {
        assertEquals(datagram.addr.path, `${dir}/client`);
        // A loop that read on would block the reply.
        await turn();
        await datagram.reply(datagram.data);
        ctx.cancel();
      },
    );
    await client.send(new TextEncoder().encode("hello"), conn.addr);
    const [data] = await client.receive();
    assertEquals(new TextDecoder().decode(data), "hello");
    const stats = await finished;
    assertEquals([stats.handled, stats.kernelDropped], [1, undefined]);
    client.close();
    await Deno.remove(dir, { recursive: true });
  },
});

Deno.test({
  name:
    "reply() to a Unix socket whose client does not read rejects with ctx.err once the grace period is over",
  ignore: Deno.build.os === "windows",
  async fn() {
    const dir = await Deno.makeTempDir();
    const conn = Deno.listenDatagram({
      transport: "unixpacket",
      path: `${dir}/server`,
    });
    const from: Deno.UnixAddr = { transport: "unixpacket", path: dir };
    conn.receive = () => Promise.resolve([new Uint8Array(1), from]);
    // Closing the socket does not end a send for which the kernel has no room.
    conn.send = () => new Promise(() => {});
    const ctx = withCancel(background());
    const stats = await udpRead<Deno.UnixAddr>(
      ctx,
      conn,
      async (handlerCtx, datagram) => {
        ctx.cancel();
        const error = await assertRejects(() => datagram.reply(datagram.data));
        assertStrictEquals(error, handlerCtx.err);
      },
      { grace: 0 },
    );
    assertEquals([stats.handled, stats.failed], [1, 0]);
    await Deno.remove(dir, { recursive: true });
  },
});

for (const kind of ["returns at once", "returns a promise"]) {
  Deno.test({
    name:
      `udpRead() reads no Unix socket while a reply is pending, though its handler ${kind}`,
    ignore: Deno.build.os === "windows",
    async fn() {
      const dir = await Deno.makeTempDir();
      const conn = Deno.listenDatagram({
        transport: "unixpacket",
        path: `${dir}/server`,
      });
      const from: Deno.UnixAddr = { transport: "unixpacket", path: dir };
      const ctx = withCancel(background());
      let calls = 0;
      let isSending = false;
      const { receive } = conn;
      conn.receive = async (buffer) => {
        if (isSending) throw new Deno.errors.Busy("Socket already in use");
        if (calls === 2) ctx.cancel();
        return calls === 2
          ? await receive.call(conn, buffer) as [
            Uint8Array<ArrayBuffer>,
            Deno.Addr,
          ]
          : [new Uint8Array(1), from];
      };
      conn.send = async () => {
        isSending = true;
        await turn();
        isSending = false;
        return 1;
      };
      const stats = await udpRead<Deno.UnixAddr>(
        ctx,
        conn,
        (_ctx, datagram) => {
          if (++calls === 1) datagram.reply(datagram.data).catch(() => {});
          return kind === "returns at once" ? undefined : Promise.resolve();
        },
      );
      assertEquals([stats.handled, stats.failed], [2, 0]);
      await Deno.remove(dir, { recursive: true });
    },
  });
}

Deno.test({
  name: "reply() to a Unix socket without a path throws a TypeError",
  ignore: Deno.build.os === "windows",
  async fn() {
    const dir = await Deno.makeTempDir();
    const ctx = withCancel(background());
    const conn = Deno.listenDatagram({
      transport: "unixpacket",
      path: `${dir}/server`,
    });
    const from: Deno.UnixAddr = {
      transport: "unixpacket",
      path: null as unknown as string,
    };
    const { receive } = conn;
    conn.receive = (buffer) => {
      conn.receive = receive;
      return Promise.resolve([buffer!.fill(1).slice(0, 1), from]);
    };
    const errors: unknown[] = [];
    await udpRead<Deno.UnixAddr>(
      ctx,
      conn,
      async (_ctx, datagram) => {
        ctx.cancel();
        await datagram.reply(datagram.data);
      },
      { onError: (error) => errors.push(error) },
    );
    assertEquals(
      String(errors[0]),
      "TypeError: udpRead: cannot reply to a Unix socket without a path",
    );
    await Deno.remove(dir, { recursive: true });
  },
});
