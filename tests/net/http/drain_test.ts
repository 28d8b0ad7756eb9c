// The drain: which connections are refused, and what is finished.

import { background, type HttpServer, serveHttp } from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import http2 from "node:http2";
import { TcpClient } from "../tcp/tcp_client.ts";
import { untilRefused } from "./until_refused.ts";

const here = { hostname: "127.0.0.1", port: 0 };

const pem = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
const tls = { cert: pem("localhost_cert.pem"), key: pem("localhost_key.pem") };

/** Status of a request on a new connection. */
async function statusOf(server: HttpServer): Promise<number> {
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  return Number((await client.readUntil("\r\n")).slice(9, 12));
}

Deno.test("serveHttp() refuses new connections while it finishes a request", async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async () => {
    entered.resolve();
    await gate.promise;
    return new Response("finished");
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  const finished = server.shutdown();
  await untilRefused(server);
  assertEquals(server.state, "draining");
  gate.resolve();
  const reply = await client.readToEnd();
  assert(reply.startsWith("HTTP/1.1 200"), reply);
  assertEquals((await finished).drained, 1);
});

Deno.test("serveHttp() serves what arrives in the first turns of the drain", async () => {
  const server = serveHttp(background(), here, () => new Response("served"));
  using client = await TcpClient.connect(server.addr);
  const finished = server.shutdown();
  assertEquals(server.state, "draining");
  await client.get("/");
  const reply = await client.readToEnd();
  assert(reply.endsWith("served"), reply);
  assertEquals((await finished).drained, 1);
});

// Deno breaks a body that is still arriving when it stops listening.

const head = "POST / HTTP/1.1\r\nHost: test\r\n";
const uploads = {
  "of known length": [
    `${head}Content-Length: 6\r\n\r\n`,
    "one",
    "two",
  ],
  "in chunks": [
    `${head}Transfer-Encoding: chunked\r\n\r\n`,
    "3\r\none\r\n",
    "3\r\ntwo\r\n0\r\n\r\n",
  ],
} as const;
const reads: Record<string, (request: Request) => Promise<string>> = {
  "text()": (request) => request.text(),
  "a reader": async (request) => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of request.body!) text += decoder.decode(chunk);
    return text;
  },
  "the text() of a clone": (request) => request.clone().text(),
  "the text() of a copy": (request) => new Request(request).text(),
};

for (const [upload, [header, one, two]] of Object.entries(uploads)) {
  for (const [read, f] of Object.entries(reads)) {
    Deno.test(`serveHttp() finishes an upload ${upload} that is read by ${read}`, async () => {
      const entered = Promise.withResolvers<void>();
      const server = serveHttp(background(), here, async (_ctx, request) => {
        if (request.method === "GET") return new Response("served");
        entered.resolve();
        return new Response(`${await f(request)}!`);
      });
      using client = await TcpClient.connect(server.addr);
      await client.write(header + one);
      await entered.promise;
      const finished = server.shutdown();
      // Until then it serves what comes.
      await client.write(two);
      const reply = await client.readUntil("!");
      assert(reply.startsWith("HTTP/1.1 200"), reply);
      assert(reply.endsWith("onetwo!"), reply);
      assertEquals((await finished).forced, 0);
    });
  }
}

for (const [read, f] of Object.entries(reads)) {
  // Nothing tells when a copy has been read.
  if (read.endsWith("copy")) continue;
  Deno.test(`serveHttp() serves new connections until the last upload has been read by ${read}`, async () => {
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const server = serveHttp(background(), here, async (_ctx, request) => {
      if (request.method === "GET") return new Response("served");
      entered.resolve();
      const text = await f(request);
      await gate.promise;
      return new Response(`${text}!`);
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Content-Length: 6\r\n\r\none`);
    await entered.promise;
    const finished = server.shutdown();
    // Longer than the first turns of the drain.
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(await statusOf(server), 200);
    await client.write("two");
    await untilRefused(server);
    gate.resolve();
    await client.readUntil("onetwo!");
    assertEquals((await finished).drained, 2);
  });
}

for (const [read, f] of Object.entries(reads)) {
  // Nothing tells that a copy is being read.
  if (read.endsWith("copy")) continue;
  Deno.test(`serveHttp() finishes an upload whose handler has answered before, read by ${read}`, async () => {
    const server = serveHttp(background(), here, (_ctx, request) => {
      const { readable, writable } = new TransformStream<string, string>();
      const writer = writable.getWriter();
      writer.write("reading,");
      f(request).then((text) => writer.write(`${text}!`))
        .then(() => writer.close());
      return new Response(readable.pipeThrough(new TextEncoderStream()));
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Content-Length: 6\r\n\r\none`);
    await client.readUntil("reading,");
    const finished = server.shutdown();
    // Longer than the first turns of the drain.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.write("two");
    await client.readUntil("onetwo!");
    assertEquals((await finished).forced, 0);
  });
}

for (
  const [how, bodyOf] of [
    ["passes on", (request) => request.body],
    [
      "passes on through another stream",
      (request) => request.body!.pipeThrough(new TransformStream()),
    ],
  ] as [string, (request: Request) => ReadableStream<Uint8Array> | null][]
) {
  Deno.test(`serveHttp() finishes an upload that its handler ${how} while the server drains`, async () => {
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const server = serveHttp(background(), here, async (_ctx, request) => {
      entered.resolve();
      await gate.promise;
      return new Response(bodyOf(request));
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Content-Length: 6\r\n\r\none`);
    await entered.promise;
    const finished = server.shutdown();
    // Longer than the first turns of the drain.
    await new Promise((resolve) => setTimeout(resolve, 50));
    gate.resolve();
    await client.readUntil("one");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.write("two");
    await client.readUntil("two");
    assertEquals((await finished).forced, 0);
  });
}

Deno.test("serveHttp() waits for an upload that its handler has yet to read", async () => {
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async (_ctx, request) => {
    entered.resolve();
    await gate.promise;
    return new Response(`${await request.text()}!`);
  });
  using client = await TcpClient.connect(server.addr);
  await client.write(`${head}Content-Length: 6\r\n\r\none`);
  await entered.promise;
  const finished = server.shutdown();
  // Longer than the first turns of the drain.
  await new Promise((resolve) => setTimeout(resolve, 50));
  gate.resolve();
  await client.write("two");
  await client.readUntil("onetwo!");
  assertEquals((await finished).forced, 0);
});

for (
  const [what, header, stop] of [
    [
      "has canceled",
      `${head}Content-Length: 6\r\n\r\none`,
      (request) => request.body!.cancel(),
    ],
    [
      "has found too long",
      `${head}Transfer-Encoding: chunked\r\n\r\n7\r\ntoolong\r\n`,
      (request) => request.text().catch(() => {}),
    ],
  ] as [string, string, (request: Request) => Promise<unknown>][]
) {
  Deno.test(`serveHttp() does not wait for an upload that its handler ${what}`, async () => {
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const server = serveHttp(
      background(),
      { ...here, maxBodyBytes: 6 },
      async (_ctx, request) => {
        await stop(request);
        entered.resolve();
        await gate.promise;
        return new Response("late!");
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(header);
    await entered.promise;
    const finished = server.shutdown();
    await untilRefused(server);
    assertEquals(server.inFlight, 1);
    gate.resolve();
    await client.readUntil("late!");
    assertEquals((await finished).forced, 0);
  });
}

for (const isLookedAt of [false, true]) {
  const how = isLookedAt ? "only looked at" : "left unread";
  Deno.test(`serveHttp() does not wait for an upload that its handler has ${how} while it answers`, async () => {
    const { readable, writable } = new TransformStream<string, string>();
    const writer = writable.getWriter();
    writer.write("first,");
    const server = serveHttp(
      background(),
      here,
      (_ctx, request) => {
        if (isLookedAt) assert(request.body !== null);
        return new Response(readable.pipeThrough(new TextEncoderStream()));
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Content-Length: 6\r\n\r\none`);
    await client.readUntil("first,");
    const finished = server.shutdown();
    await untilRefused(server);
    assertEquals(server.inFlight, 1);
    await writer.write("last.");
    await client.readUntil("last.");
    await writer.close();
    assertEquals((await finished).forced, 0);
  });
}

Deno.test("serveHttp() does not wait for an upload that its handler has not read", async () => {
  const server = serveHttp(background(), here, () => new Response("no!"));
  using client = await TcpClient.connect(server.addr);
  await client.write(`${head}Content-Length: 6\r\n\r\none`);
  await client.readUntil("no!");
  assertEquals((await server.shutdown()).forced, 0);
});

for (
  const [name, header] of [
    ["no body", `${head}\r\n`],
    ["an empty body", `${head}Content-Length: 0\r\n\r\n`],
  ] as const
) {
  Deno.test(`serveHttp() does not wait for ${name}`, async () => {
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const server = serveHttp(background(), here, async () => {
      entered.resolve();
      await gate.promise;
      return new Response("late");
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(header);
    await entered.promise;
    const finished = server.shutdown();
    await untilRefused(server);
    gate.resolve();
    await client.readUntil("late");
    await finished;
  });
}

Deno.test("serveHttp() stops listening even if there is always another upload", async () => {
  const server = serveHttp(
    background(),
    { ...here, onError: () => {} },
    async (_ctx, request) => new Response(`${await request.text()}!`),
  );
  const begin = async () => {
    const client = await TcpClient.connect(server.addr);
    await client.write(`${head}Content-Length: 6\r\n\r\none`);
    while (server.inFlight < clients.length + 1) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    clients.push(client);
  };
  const clients: TcpClient[] = [];
  await begin();
  const finished = server.shutdown();
  // The second begins during the first, and is finished. The third begins during
  // the second, and is not.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await begin();
  await clients[0]!.write("two");
  await clients[0]!.readUntil("onetwo!");
  clients.shift()!.close();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await begin();
  await clients[0]!.write("two");
  await clients[0]!.readUntil("onetwo!");
  await untilRefused(server);
  const reply = await clients[1]!.readUntil("Unavailable\n");
  assert(reply.startsWith("HTTP/1.1 503"), reply);
  for (const client of clients) client.close();
  assertEquals((await finished).forced, 0);
});

Deno.test("serveHttp() sends HTTP/2 clients GOAWAY while a request is in flight", async () => {
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async () => {
    entered.resolve();
    await gate.promise;
    return new Response("finished");
  });
  const client = http2.connect(`http://127.0.0.1:${server.addr.port}`);
  const closed = new Promise((resolve) => client.on("close", resolve));
  const goaway = new Promise((resolve) => client.on("goaway", resolve));
  client.on("error", () => {});
  const stream = client.request({ ":path": "/" });
  stream.on("error", () => {});
  stream.resume();
  await entered.promise;
  const finished = server.shutdown();
  await goaway;
  assertEquals([server.state, server.inFlight], ["draining", 1]);
  gate.resolve();
  client.destroy();
  await closed;
  assertEquals((await finished).forced, 0);
});

Deno.test("serveHttp() finishes HTTP/2 requests and uploads", async () => {
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let count = 0;
  const server = serveHttp(background(), here, async (_ctx, request) => {
    if (++count === 2) entered.resolve();
    const text = await request.text();
    await gate.promise;
    return new Response(`finished ${text}`);
  });
  using client = Deno.createHttpClient({ http1: false, http2: true });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const get = fetch(url, { client });
  const upload = new TransformStream<Uint8Array, Uint8Array>();
  const writer = upload.writable.getWriter();
  const post = fetch(url, { client, method: "POST", body: upload.readable });
  await writer.write(new TextEncoder().encode("one"));
  await entered.promise;
  const finished = server.shutdown();
  await writer.write(new TextEncoder().encode("two"));
  await writer.close();
  await untilRefused(server);
  gate.resolve();
  assertEquals(await (await get).text(), "finished ");
  assertEquals(await (await post).text(), "finished onetwo");
  assertEquals((await finished).drained, 2);
});

Deno.test({
  name:
    "serveHttp() with reusePort leaves every new connection to the other server",
  // Elsewhere the port is not shared out.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const options = { ...here, reusePort: true };
    const old = serveHttp(background(), options, async () => {
      entered.resolve();
      await gate.promise;
      return new Response("old!");
    });
    using client = await TcpClient.connect(old.addr);
    await client.get("/");
    await entered.promise;
    const finished = old.shutdown();
    await untilRefused(old);
    await using young = serveHttp(
      background(),
      { ...options, port: old.addr.port },
      () => new Response("young!"),
    );
    for (let i = 0; i < 50; i++) {
      using other = await TcpClient.connect(young.addr);
      await other.get("/");
      assert((await other.readUntil("!")).endsWith("young!"));
    }
    gate.resolve();
    assert((await client.readUntil("!")).endsWith("old!"));
    await finished;
  },
});

for (
  const [kind, options] of Object.entries({ "plain text": {}, TLS: { tls } })
) {
  Deno.test({
    name:
      `serveHttp() does not wait for a client that says nothing, by ${kind}`,
    // Deno keeps the handshake until the client leaves.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      using _time = new FakeTime();
      const server = serveHttp(
        background(),
        { ...here, ...options },
        () => new Response(),
      );
      using _silent = await TcpClient.connect(server.addr);
      // Time for Deno to accept it.
      await FakeTime.restoreFor(() => new Promise((f) => setTimeout(f, 20)));
      const { forced, lingering } = await server.shutdown();
      assertEquals(forced, 0);
      assertEquals(lingering, kind === "TLS" ? ["a connection"] : []);
    },
  });
}

Deno.test("serveHttp() sends an answer of many bytes before it is finished", async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async () => {
    entered.resolve();
    await gate.promise;
    return new Response("x".repeat(1_000_000));
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  const finished = server.shutdown();
  gate.resolve();
  const reply = client.readToEnd();
  const { lingering } = await finished;
  assertEquals(lingering, []);
  assert((await reply).length > 1_000_000);
});
