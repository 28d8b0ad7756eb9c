// Where serveHttp can listen: TLS, Unix sockets, IPv6, shared and taken ports.

import {
  background,
  localAddrKey,
  remoteAddrKey,
  serveHttp,
  type ServeHttpPathOptions,
  serveTcp,
  snapshot,
  withCancel,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { hasIpv6 } from "../ipv6.ts";
import { SocketPath } from "../socket_path.ts";
import { TcpClient } from "../tcp/tcp_client.ts";
import { untilRefused } from "./until_refused.ts";

const here = { hostname: "127.0.0.1", port: 0 };

// TLS. The certificate is for localhost and 127.0.0.1, from 2020 to 2120.

const pem = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const tls = { cert: pem("localhost_cert.pem"), key: pem("localhost_key.pem") };

// Such as `tls: { cert: Deno.env.get("CERT")!, key: Deno.env.get("KEY")! }`.
Deno.test("serveHttp() and serveTcp() throw if tls lacks the cert or the key", () => {
  for (const part of [{}, { cert: undefined, key: undefined }, null]) {
    const options = { ...here, tls: part as unknown as typeof tls };
    const servers = {
      serveHttp: () => serveHttp(background(), options, () => new Response()),
      serveTcp: () => serveTcp(background(), options, () => {}),
    };
    for (const [name, serve] of Object.entries(servers)) {
      assertThrows(
        serve,
        TypeError,
        `${name}: tls takes a cert and a key, both as PEM text`,
      );
    }
  }
});

Deno.test("serveHttp() and serveTcp() throw if the cert or the key is not in tls", () => {
  for (const part of [tls, { cert: tls.cert }, { key: tls.key }]) {
    const options = { ...here, ...part };
    const servers = {
      serveHttp: () => serveHttp(background(), options, () => new Response()),
      serveTcp: () => serveTcp(background(), options, () => {}),
    };
    for (const [name, serve] of Object.entries(servers)) {
      assertThrows(
        serve,
        TypeError,
        `${name}: cert and key are options of tls: write tls: { cert, key }`,
      );
    }
  }
});

Deno.test("serveHttp() throws if it gets both tls and a path", () => {
  assertThrows(
    () =>
      serveHttp(
        background(),
        // Plain JavaScript has no types to tell.
        { path: "/no/such.sock", tls } as ServeHttpPathOptions,
        () => new Response(),
      ),
    TypeError,
    "serveHttp: there is no TLS on a Unix socket: leave out tls or path",
  );
});

for (const http2 of [false, true]) {
  const version = http2 ? "HTTP/2" : "HTTP/1.1";

  Deno.test(`serveHttp() serves HTTPS by ${version}`, async () => {
    await using server = serveHttp(
      background(),
      { ...here, tls },
      (_ctx, request) => new Response(new URL(request.url).protocol),
    );
    using client = Deno.createHttpClient({
      caCerts: [tls.cert],
      http2,
      http1: !http2,
    });
    const url = `https://127.0.0.1:${server.addr.port}/`;
    const reply = await fetch(url, { client });
    assertEquals(await reply.text(), "https:");
  });

  Deno.test(`serveHttp() serves HTTPS by ${version} during the lame duck`, async () => {
    using time = new FakeTime();
    const server = serveHttp(
      background(),
      { ...here, tls, lameDuck: 1_000 },
      () => new Response("served"),
    );
    using client = Deno.createHttpClient({
      caCerts: [tls.cert],
      http2,
      http1: !http2,
    });
    const url = `https://127.0.0.1:${server.addr.port}/`;
    assertEquals(await (await fetch(url, { client })).text(), "served");
    const finished = server.shutdown();
    while (server.state !== "lame-duck") await Promise.resolve();
    assertEquals(await (await fetch(url, { client })).text(), "served");
    time.tick(1_000);
    const report = await finished;
    assertEquals([report.drained, report.forced], [1, 0]);
  });

  Deno.test(`serveHttp() finishes a request in flight by ${version} over TLS while it drains`, async () => {
    const entered = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    const server = serveHttp(background(), { ...here, tls }, async () => {
      entered.resolve();
      await opened.promise;
      return new Response("late but complete");
    });
    using client = Deno.createHttpClient({
      caCerts: [tls.cert],
      http2,
      http1: !http2,
    });
    const reply = fetch(`https://127.0.0.1:${server.addr.port}/`, { client });
    await entered.promise;
    const finished = server.shutdown();
    await untilRefused(server);
    opened.resolve();
    assertEquals(await (await reply).text(), "late but complete");
    const report = await finished;
    assertEquals([report.drained, report.forced], [1, 0]);
  });

  Deno.test(`serveHttp() cuts a request by ${version} over TLS at shutdown({ grace: 0 })`, async () => {
    const entered = Promise.withResolvers<void>();
    const server = serveHttp(background(), { ...here, tls }, async (ctx) => {
      entered.resolve();
      await ctx.done;
      return await new Promise(() => {});
    });
    using client = Deno.createHttpClient({
      caCerts: [tls.cert],
      http2,
      http1: !http2,
    });
    const url = `https://127.0.0.1:${server.addr.port}/cut`;
    const cut = assertRejects(() => fetch(url, { client }), TypeError);
    await entered.promise;
    const report = await server.shutdown({ grace: 0 });
    assertEquals(report.forcedRequests, ["GET /cut"]);
    await cut;
  });
}

Deno.test("serveHttp() survives a client that speaks plain text to HTTPS", async () => {
  const errors: unknown[] = [];
  await using server = serveHttp(
    background(),
    { ...here, tls, onError: (error) => errors.push(error) },
    () => new Response("safe"),
  );
  using plain = await TcpClient.connect(server.addr);
  await plain.get("/");
  await plain.readToEnd();
  using client = Deno.createHttpClient({ caCerts: [tls.cert] });
  const url = `https://127.0.0.1:${server.addr.port}/`;
  assertEquals(await (await fetch(url, { client })).text(), "safe");
  assertEquals(errors, []);
});

Deno.test("serveHttp() throws on a malformed certificate and leaves ctx alone", () => {
  const ctx = withCancel(background());
  assertThrows(() =>
    serveHttp(
      ctx,
      { ...here, tls: { cert: "no certificate", key: tls.key } },
      () => new Response(),
    )
  );
  assertEquals(ctx.err, undefined);
  assertEquals(snapshot(ctx).children, []);
});

// Unix sockets

const onWindows = Deno.build.os === "windows";

async function getByPath(path: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  await conn.write(
    new TextEncoder().encode(
      "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    ),
  );
  return await new Response(conn.readable).text();
}

Deno.test({
  name: "serveHttp() serves on a Unix socket and puts its path into ctx",
  ignore: onWindows,
  async fn() {
    const dir = await Deno.makeTempDir();
    try {
      const path = `${dir}/http.sock`;
      let listened: Deno.Addr | undefined;
      const server = serveHttp(
        background(),
        { path, onListen: (addr) => listened = addr },
        (ctx) =>
          Response.json([
            ctx.value(localAddrKey),
            ctx.value(remoteAddrKey)?.transport,
          ]),
      );
      assertEquals(server.addr, { transport: "unix", path });
      assertEquals(listened, server.addr);
      const reply = await getByPath(path);
      const body = reply.slice(reply.indexOf("\r\n\r\n") + 4);
      assertEquals(JSON.parse(body), [{ transport: "unix", path }, "unix"]);
      const report = await server.shutdown();
      assertEquals(report.forced, 0);
      await assertRejects(() => Deno.connect({ transport: "unix", path }));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "serveHttp() cuts a request by a Unix socket at shutdown({ grace: 0 })",
  ignore: onWindows,
  async fn() {
    const dir = await Deno.makeTempDir();
    try {
      const path = `${dir}/http.sock`;
      const entered = Promise.withResolvers<void>();
      const server = serveHttp(background(), { path }, async (ctx) => {
        entered.resolve();
        await ctx.done;
        return await new Promise(() => {});
      });
      const reply = getByPath(path).catch(() => "");
      await entered.promise;
      const report = await server.shutdown({ grace: 0 });
      assertEquals(report.forced, 1);
      assertEquals(await reply, "");
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "serveHttp() names the path if it is in use",
  ignore: onWindows,
  async fn() {
    const dir = await Deno.makeTempDir();
    try {
      const path = `${dir}/http.sock`;
      const ctx = withCancel(background());
      await using _server = serveHttp(
        background(),
        { path },
        () => new Response(),
      );
      const error = assertThrows(
        () => serveHttp(ctx, { path }, () => new Response()),
        Deno.errors.AddrInUse,
      );
      assert(error.message.includes(path), error.message);
      assert(!error.message.includes("8000"), error.message);
      assertEquals(ctx.err, undefined);
      assertEquals(snapshot(ctx).children, []);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

for (const removeStale of [undefined, true, false]) {
  const what = removeStale === false ? "leaves" : "takes over";
  Deno.test({
    name:
      `serveHttp() ${what} the file of a dead socket if removeStale is ${removeStale}`,
    ignore: onWindows,
    async fn() {
      using at = new SocketPath();
      at.leaveStale();
      const options = removeStale === undefined
        ? { path: at.path }
        : { path: at.path, removeStale };
      const serve = () =>
        serveHttp(background(), options, () => new Response("served"));
      if (removeStale === false) {
        assertThrows(serve, Deno.errors.AddrInUse);
        return;
      }
      await using _server = serve();
      assert((await getByPath(at.path)).endsWith("served"));
    },
  });
}

// IPv6

Deno.test({
  name: "serveHttp() serves on IPv6",
  ignore: !hasIpv6,
  async fn() {
    await using server = serveHttp(
      background(),
      { hostname: "::1", port: 0 },
      (ctx) =>
        Response.json([
          (ctx.value(localAddrKey) as Deno.NetAddr).hostname,
          (ctx.value(remoteAddrKey) as Deno.NetAddr).hostname,
        ]),
    );
    const reply = await fetch(`http://[::1]:${server.addr.port}/`);
    assertEquals(await reply.json(), ["::1", "::1"]);
  },
});

// Ports

Deno.test("serveHttp() with port 0 takes a free port, and tells it by onListen and addr", async () => {
  const addrs: Deno.NetAddr[] = [];
  const options = {
    ...here,
    onListen: (addr: Deno.NetAddr) => addrs.push(addr),
  };
  await using one = serveHttp(background(), options, () => new Response("1"));
  await using two = serveHttp(background(), options, () => new Response("2"));
  assertEquals(addrs, [one.addr, two.addr]);
  assert(one.addr.port !== two.addr.port && one.addr.port !== 0);
  const reply = await fetch(`http://127.0.0.1:${two.addr.port}/`);
  assertEquals(await reply.text(), "2");
});

Deno.test("serveHttp() leaves no server behind if onListen throws", async () => {
  const ctx = withCancel(background());
  let port = 0;
  const mine = new RangeError("not here");
  const onListen = (addr: Deno.NetAddr) => {
    ({ port } = addr);
    throw mine;
  };
  const error = assertThrows(
    () => serveHttp(ctx, { ...here, onListen }, () => new Response()),
  );
  assertStrictEquals(error, mine);
  assertEquals(snapshot(ctx).children, []);
  // It takes Deno a moment to let go of the port.
  let refused = false;
  while (!refused) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      refused = error instanceof Deno.errors.ConnectionRefused;
    }
  }
});

Deno.test({
  name:
    "serveHttp() with reusePort shares a port, and the other server goes on alone",
  // Elsewhere the port is shared in other ways.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const seen = new Set<string>();
    const options = { ...here, reusePort: true };
    const one = serveHttp(background(), options, () => new Response("from 1."));
    await using _two = serveHttp(
      background(),
      { ...options, port: one.addr.port },
      () => new Response("from 2."),
    );
    const ask = async () => {
      using client = await TcpClient.connect(one.addr);
      await client.get("/");
      const reply = await client.readUntil("from ");
      assert(reply.startsWith("HTTP/1.1 200"), reply);
      return await client.readUntil(".");
    };
    while (seen.size < 2) seen.add(await ask());
    assertEquals(seen, new Set(["1.", "2."]));
    await one.shutdown();
    for (let i = 0; i < 10; i++) assertEquals(await ask(), "2.");
  },
});

Deno.test("serveHttp() harms neither the server that has the port nor ctx if the port is in use", async () => {
  const ctx = withCancel(background());
  const first = serveHttp(background(), here, () => new Response("first"));
  const port = first.addr.port;
  assertThrows(
    () => serveHttp(ctx, { ...here, port }, () => new Response("second")),
    Deno.errors.AddrInUse,
    `serveHttp: port ${port} is already in use`,
  );
  const url = `http://127.0.0.1:${port}/`;
  assertEquals(await (await fetch(url)).text(), "first");
  await first.shutdown();
  await using _second = serveHttp(
    ctx,
    { ...here, port },
    () => new Response("second"),
  );
  assertEquals(await (await fetch(url)).text(), "second");
});
