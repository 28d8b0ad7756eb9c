// Where serveHttp can listen: TLS, Unix sockets, IPv6, shared and taken ports.

import {
  background,
  type HttpServer,
  localAddrKey,
  remoteAddrKey,
  serveHttp,
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
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

function portOf(server: HttpServer): number {
  return (server.addr as Deno.NetAddr).port;
}

// TLS. The certificate is for localhost and 127.0.0.1, from 2020 to 2120.

const pem = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const tls = { cert: pem("localhost_cert.pem"), key: pem("localhost_key.pem") };

// Such as `tls: { cert: Deno.env.get("CERT")!, key: Deno.env.get("KEY")! }`.
Deno.test("serveHttp() and serveTcp() with a tls that is empty do not serve in plain text", () => {
  for (const part of [{}, { cert: undefined, key: undefined }, null]) {
    const options = { ...here, tls: part as unknown as typeof tls };
    const serve = { serveHttp, serveTcp };
    for (const [name, f] of Object.entries(serve)) {
      assertThrows(
        () => f(background(), options, () => new Response() as never),
        TypeError,
        `${name}: tls takes a cert and a key, both as PEM text`,
      );
    }
  }
});

Deno.test("serveHttp() does not serve in plain text where tls is asked for on a path", () => {
  assertThrows(
    () =>
      serveHttp(
        background(),
        { path: "/no/such.sock", tls },
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
    const url = `https://127.0.0.1:${portOf(server)}/`;
    const reply = await fetch(url, { client });
    assertEquals(await reply.text(), "https:");
  });

  Deno.test(`in lame duck HTTPS by ${version} is served`, async () => {
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
    const url = `https://127.0.0.1:${portOf(server)}/`;
    assertEquals(await (await fetch(url, { client })).text(), "served");
    const finished = server.shutdown();
    while (server.state !== "lame-duck") await Promise.resolve();
    assertEquals(await (await fetch(url, { client })).text(), "served");
    time.tick(1_000);
    const report = await finished;
    assertEquals([report.drained, report.forced], [1, 0]);
  });

  Deno.test(`a request in flight by ${version} over TLS is finished, and one beside it gets 503`, async () => {
    const entered = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    const server = serveHttp(
      background(),
      { ...here, tls },
      async () => {
        entered.resolve();
        await opened.promise;
        return new Response("late but complete");
      },
    );
    using client = Deno.createHttpClient({
      caCerts: [tls.cert],
      http2,
      http1: !http2,
    });
    const url = `https://127.0.0.1:${portOf(server)}/`;
    const first = fetch(url, { client });
    await entered.promise;
    const finished = server.shutdown();
    while (server.state !== "draining") await Promise.resolve();
    const refusal = await fetch(url, { client });
    assertEquals(refusal.status, 503);
    assertEquals(refusal.headers.get("retry-after"), "1");
    await refusal.body?.cancel();
    opened.resolve();
    assertEquals(await (await first).text(), "late but complete");
    const report = await finished;
    assertEquals([report.drained, report.refused, report.forced], [1, 1, 0]);
  });

  Deno.test(`a request by ${version} over TLS is cut at the hard moment`, async () => {
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
    const url = `https://127.0.0.1:${portOf(server)}/cut`;
    const cut = assertRejects(() => fetch(url, { client }), TypeError);
    await entered.promise;
    const report = await server.shutdown({ grace: 0 });
    assertEquals(report.forcedRequests, ["GET /cut"]);
    await cut;
  });
}

Deno.test("a client that speaks no TLS to a server that does costs only itself", async () => {
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
  const url = `https://127.0.0.1:${portOf(server)}/`;
  assertEquals(await (await fetch(url, { client })).text(), "safe");
  assertEquals(errors, []);
});

Deno.test("a certificate that is none is refused, and ctx is left alone", () => {
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
  name: "serveHttp() serves on a Unix socket, whose ctx knows the path",
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
  name: "a request by a Unix socket is cut at the hard moment",
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
  name: "serveHttp() names the path that it cannot listen on",
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
    const reply = await fetch(`http://[::1]:${portOf(server)}/`);
    assertEquals(await reply.json(), ["::1", "::1"]);
  },
});

// Ports

Deno.test("port 0 takes a free port, which onListen and addr tell", async () => {
  const addrs: Deno.Addr[] = [];
  const options = { ...here, onListen: (addr: Deno.Addr) => addrs.push(addr) };
  await using one = serveHttp(background(), options, () => new Response("1"));
  await using two = serveHttp(background(), options, () => new Response("2"));
  assertEquals(addrs, [one.addr, two.addr]);
  assert(portOf(one) !== portOf(two) && portOf(one) !== 0);
  const reply = await fetch(`http://127.0.0.1:${portOf(two)}/`);
  assertEquals(await reply.text(), "2");
});

Deno.test("an onListen() that throws leaves no server behind", async () => {
  const ctx = withCancel(background());
  let port = 0;
  const mine = new RangeError("not here");
  const onListen = (addr: Deno.Addr) => {
    ({ port } = addr as Deno.NetAddr);
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
  name: "reusePort lets two servers share a port, and one goes on alone",
  // Elsewhere the port is shared in other ways.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const seen = new Set<string>();
    const options = { ...here, reusePort: true };
    const one = serveHttp(background(), options, () => new Response("from 1."));
    await using _two = serveHttp(
      background(),
      { ...options, port: portOf(one) },
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

Deno.test("a port in use harms neither the server that has it nor ctx, which can try again", async () => {
  const ctx = withCancel(background());
  const first = serveHttp(background(), here, () => new Response("first"));
  const port = portOf(first);
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
