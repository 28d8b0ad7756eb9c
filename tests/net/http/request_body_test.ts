// Reads of a request's body, which end with the request's context.

import {
  background,
  cause,
  ClientGone,
  type Context,
  DeadlineExceeded,
  type HttpHandler,
  IdleTimeout,
  serveHttp,
  type ServeHttpOptions,
  snapshot,
} from "@curfew/context";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TcpClient } from "../tcp/tcp_client.ts";
import { FakePlatform } from "./fake_platform.ts";

const here = { hostname: "127.0.0.1", port: 0 };
const head = "POST / HTTP/1.1\r\nHost: test\r\n";
const half = `${head}Content-Length: 6\r\n\r\none`;

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}

/** Every way to read a body, as text. */
const reads: Record<string, (request: Request) => Promise<string>> = {
  "text()": (request) => request.text(),
  "json()": async (request) => JSON.stringify(await request.json()),
  "bytes()": async (request) => new TextDecoder().decode(await request.bytes()),
  "arrayBuffer()": async (request) =>
    new TextDecoder().decode(await request.arrayBuffer()),
  "blob()": async (request) => await (await request.blob()).text(),
  "formData()": async (request) =>
    String((await request.formData()).get("name")),
  "textStream()": async (request) =>
    (await Array.fromAsync(request.textStream())).join(""),
  "a reader of body": async (request) => {
    const reader = request.body!.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value);
    }
  },
  "a reader of body with a buffer": async (request) => {
    const reader = request.body!.getReader({ mode: "byob" });
    let text = "";
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(4));
      if (done) return text;
      text += new TextDecoder().decode(value);
    }
  },
  "for await over body": async (request) => {
    let text = "";
    for await (const chunk of request.body!) {
      text += new TextDecoder().decode(chunk);
    }
    return text;
  },
  "pipeTo() of body": async (request) => {
    const { readable, writable } = new TransformStream<
      Uint8Array,
      Uint8Array
    >();
    const [text] = await Promise.all([
      collect(readable),
      request.body!.pipeTo(writable),
    ]);
    return text;
  },
  "text() of a clone": (request) => request.clone().text(),
  "text() of a clone whose body was looked at": (request) => {
    assert(request.body !== null);
    return request.clone().text();
  },
  "text() after a look at body": (request) => {
    assert(request.body !== null);
    return request.text();
  },
  "text() of a copy of body": (request) => {
    const { url, method, body } = request;
    return new Request(url, { method, body }).text();
  },
};

/** Bodies that can be read in that way, and what comes of them. */
const bodies: Record<string, [string, string, string]> = {
  "json()": ["application/json", '{"a":1}', '{"a":1}'],
  "formData()": ["application/x-www-form-urlencoded", "name=ada", "ada"],
};

/** Options with which Deno does not do a whole read by itself. */
const optionsOf: Record<string, Partial<ServeHttpOptions>> = {
  "no limits": {},
  maxBodyBytes: { maxBodyBytes: 100 },
  bodyTimeout: { bodyTimeout: 60_000 },
  requestTimeout: { requestTimeout: 60_000 },
};

for (const [limit, options] of Object.entries(optionsOf)) {
  for (const name of ["text()", "a reader of body"]) {
    for (const isCloneFirst of [true, false]) {
      const first = isCloneFirst ? "a clone" : "an original";
      const second = isCloneFirst ? "its original" : "its clone";

      Deno.test(`serveHttp() with ${limit} leaves the body to ${second} when ${first} is read by ${name}`, async () => {
        await using server = serveHttp(
          background(),
          { ...here, ...options },
          async (_ctx, request) => {
            const both = [request.clone(), request];
            if (!isCloneFirst) both.reverse();
            const one = await reads[name]!(both[0]!);
            return new Response(`${one},${await both[1]!.text()}!`);
          },
        );
        using client = await TcpClient.connect(server.addr);
        await client.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
        await client.write("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
        const reply = await client.readUntil("!");
        assert(reply.endsWith("\r\n\r\nonetwo,onetwo!"), reply);
      });
    }
  }
}

for (const [limit, options] of Object.entries(optionsOf)) {
  for (const [name, read] of Object.entries(reads)) {
    const [type, body, expected] = bodies[name] ??
      ["text/plain", "one two", "one two"];

    Deno.test(`serveHttp() with ${limit} lets a handler read a body by ${name}`, async () => {
      await using server = serveHttp(
        background(),
        { ...here, ...options },
        async (_ctx, request) => new Response(await read(request)),
      );
      using client = await TcpClient.connect(server.addr);
      // At once, and in two pieces.
      for (const chunked of [false, true]) {
        const length = chunked
          ? "Transfer-Encoding: chunked"
          : `Content-Length: ${body.length}`;
        await client.write(`${head}Content-Type: ${type}\r\n${length}\r\n\r\n`);
        const [one, two] = [body.slice(0, 3), body.slice(3)];
        if (chunked) {
          await client.write(`${one.length.toString(16)}\r\n${one}\r\n`);
          await new Promise((resolve) => setTimeout(resolve, 5));
          await client.write(
            `${two.length.toString(16)}\r\n${two}\r\n0\r\n\r\n`,
          );
        } else {
          await client.write(body);
        }
        const reply = await client.readUntil(expected);
        assert(reply.startsWith("HTTP/1.1 200"), reply);
        if (!chunked) continue;
      }
    });
  }
}

for (const [limit, options] of Object.entries(optionsOf)) {
  for (const [name, read] of Object.entries(reads)) {
    Deno.test(`serveHttp() with ${limit} rejects a read by ${name} when ctx is done`, async () => {
      using time = new FakeTime();
      const entered = Promise.withResolvers<Context>();
      const failure = Promise.withResolvers<unknown>();
      const server = serveHttp(
        background(),
        { ...here, ...options, requestTimeout: 1_000 },
        async (ctx, request) => {
          entered.resolve(ctx);
          try {
            return new Response(await read(request));
          } catch (error) {
            failure.resolve(error);
            throw error;
          }
        },
      );
      using client = await TcpClient.connect(server.addr);
      const type = "application/x-www-form-urlencoded";
      await client.write(
        half.replace("Length: 6", `Length: 6\r\nContent-Type: ${type}`),
      );
      const ctx = await entered.promise;
      time.tick(1_000);
      const error = await failure.promise;
      assertInstanceOf(ctx.err, DeadlineExceeded);
      assertStrictEquals(error, ctx.err);
      const reply = await client.readUntil("Timeout\n");
      assert(reply.startsWith("HTTP/1.1 504"), reply);
      client.close();
      await server.shutdown({ grace: 0 });
    });
  }
}

Deno.test("serveHttp() rejects a read that begins after ctx is done", async () => {
  using time = new FakeTime();
  const entered = Promise.withResolvers<void>();
  const failures: unknown[] = [];
  const ended = Promise.withResolvers<Context>();
  const server = serveHttp(
    background(),
    { ...here, requestTimeout: 1_000 },
    async (ctx, request) => {
      entered.resolve();
      await ctx.done;
      for (const read of [reads["text()"]!, reads["a reader of body"]!]) {
        await read(request).catch((error) => failures.push(error));
      }
      ended.resolve(ctx);
      return new Response();
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.write(half);
  await entered.promise;
  time.tick(1_000);
  const { err } = await ended.promise;
  assertEquals(failures.length, 2);
  for (const failure of failures) assertStrictEquals(failure, err);
  client.close();
  await server.shutdown({ grace: 0 });
});

Deno.test("serveHttp() gives the places of slow uploads to others at requestTimeout", async () => {
  using time = new FakeTime();
  const server = serveHttp(
    background(),
    { ...here, requestTimeout: 1_000, maxInFlight: 3 },
    async (_ctx, request) =>
      new Response(
        request.method === "POST" ? await request.text() : "served.",
      ),
  );
  const clients: TcpClient[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await TcpClient.connect(server.addr);
    await client.write(half);
    clients.push(client);
  }
  const realTurn = () =>
    FakeTime.restoreFor(() => new Promise((f) => setTimeout(f)));
  while (server.inFlight < 3) await realTurn();
  time.tick(1_000);
  for (const client of clients) await client.readUntil("Timeout\n");
  while (server.inFlight > 0) await realTurn();
  using other = await TcpClient.connect(server.addr);
  await other.get("/");
  assert((await other.readUntil("served.")).startsWith("HTTP/1.1 200"));
  for (const client of clients) client.close();
  await server.shutdown({ grace: 0 });
});

// Limits

const chunked = "Transfer-Encoding: chunked\r\n\r\n";
for (
  const [name, header, body, status] of [
    ["a declared body at the limit", "Content-Length: 4\r\n\r\n", "1234", 200],
    ["a declared body beyond it", "Content-Length: 5\r\n\r\n", "1", 413],
    ["chunks up to the limit", chunked, "4\r\n1234\r\n0\r\n\r\n", 200],
    ["chunks beyond it", chunked, "4\r\n1234\r\n1\r\n5\r\n", 413],
    ["no body", "\r\n", "", 200],
  ] as const
) {
  for (const name2 of ["text()", "a reader of body", "text() of a clone"]) {
    Deno.test(`maxBodyBytes gives ${name} ${status}, read by ${name2}`, async () => {
      const errors: unknown[] = [];
      await using server = serveHttp(background(), {
        ...here,
        maxBodyBytes: 4,
        onError: (error) => errors.push(error),
      }, async (_ctx, request) => {
        return new Response(`got ${await reads[name2]!(request)}\n`);
      });
      using client = await TcpClient.connect(server.addr);
      await client.write(head + header + body);
      const reply = await client.readUntil(status === 200 ? "got " : "Large\n");
      assert(reply.startsWith(`HTTP/1.1 ${status}`), reply);
      assertEquals(errors, []);
    });
  }
}

for (
  const [what, rest] of [
    ["stops arriving", ""],
    ["is too long", "7\r\ntoolong\r\n"],
  ] as const
) {
  Deno.test(`serveHttp() does not report a body that ${what} while it is sent back`, async () => {
    using time = new FakeTime();
    const errors: unknown[] = [];
    const server = serveHttp(background(), {
      ...here,
      bodyTimeout: 1_000,
      maxBodyBytes: 6,
      onError: (error) => errors.push(error),
    }, (_ctx, request) => new Response(request.body));
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    await client.write("3\r\none\r\n");
    await client.readUntil("one");
    await client.write(rest);
    while (server.inFlight > 0) {
      await time.tickAsync(1_000);
      await FakeTime.restoreFor(() => new Promise((go) => setTimeout(go)));
    }
    assertEquals(errors, []);
    await server.shutdown({ grace: 0 });
  });
}

for (const name of ["text()", "a reader of body", "text() of a clone"]) {
  Deno.test(`bodyTimeout rejects ${name} with IdleTimeout, and the client gets 408`, async () => {
    using time = new FakeTime();
    const errors: unknown[] = [];
    const entered = Promise.withResolvers<Context>();
    const failure = Promise.withResolvers<unknown>();
    const server = serveHttp(background(), {
      ...here,
      bodyTimeout: 1_000,
      onError: (error) => errors.push(error),
    }, async (ctx, request) => {
      entered.resolve(ctx);
      try {
        return new Response(await reads[name]!(request));
      } catch (error) {
        failure.resolve(error);
        throw error;
      }
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(half);
    const ctx = await entered.promise;
    await time.tickAsync(999);
    assertEquals(server.inFlight, 1);
    await time.tickAsync(1);
    const error = await failure.promise;
    assertInstanceOf(error, IdleTimeout);
    assertEquals([error.idleTimeout, ctx.err], [1_000, undefined]);
    const reply = await client.readUntil("Timeout\n");
    assert(reply.startsWith("HTTP/1.1 408"), reply);
    assertEquals(errors, []);
    client.close();
    await server.shutdown({ grace: 0 });
  });
}

Deno.test("bodyTimeout begins again with each piece of the body", async () => {
  using time = new FakeTime();
  const pieces: string[] = [];
  let arrived = Promise.withResolvers<void>();
  await using server = serveHttp(
    background(),
    { ...here, bodyTimeout: 1_000 },
    async (_ctx, request) => {
      for await (const chunk of request.body!) {
        pieces.push(new TextDecoder().decode(chunk));
        arrived.resolve();
      }
      return new Response("all of it.");
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.write(`${head}Content-Length: 3\r\n\r\n`);
  for (const piece of "abc") {
    await client.write(piece);
    await arrived.promise;
    arrived = Promise.withResolvers();
    if (piece !== "c") await time.tickAsync(999);
  }
  await client.readUntil("all of it.");
  assertEquals(pieces, ["a", "b", "c"]);
});

Deno.test("bodyTimeout gives a handler that fails otherwise 500, not 408", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const failure = new TypeError("no body, no answer");
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), {
    ...here,
    bodyTimeout: 1_000,
    onError: (error) => errors.push(error),
  }, async (_ctx, request) => {
    entered.resolve();
    await request.text().catch(() => {
      throw failure;
    });
    return new Response();
  });
  using client = await TcpClient.connect(server.addr);
  await client.write(half);
  await entered.promise;
  await time.tickAsync(1_000);
  const reply = await client.readUntil("Error\n");
  assert(reply.startsWith("HTTP/1.1 500"), reply);
  assertEquals(errors, [failure]);
  client.close();
  await server.shutdown({ grace: 0 });
});

for (const options of [{ bodyTimeout: 0 }, { bodyTimeout: NaN }]) {
  Deno.test(`serveHttp() throws a RangeError for a bodyTimeout of ${options.bodyTimeout}`, () => {
    assertThrows(
      () =>
        serveHttp(background(), { ...here, ...options }, () => new Response()),
      RangeError,
      "serveHttp: bodyTimeout must be",
    );
  });
}

// Uploads that break off

for (const [name, read] of Object.entries(reads)) {
  Deno.test(`serveHttp() ends ctx with ClientGone if an upload breaks off that is read by ${name}`, async () => {
    const errors: unknown[] = [];
    const entered = Promise.withResolvers<Context>();
    const failure = Promise.withResolvers<unknown>();
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      async (ctx, request) => {
        entered.resolve(ctx);
        try {
          return new Response(await read(request));
        } catch (error) {
          failure.resolve(error);
          throw error;
        }
      },
    );
    const client = await TcpClient.connect(server.addr);
    const type = "application/x-www-form-urlencoded";
    await client.write(
      half.replace("Length: 6", `Length: 6\r\nContent-Type: ${type}`),
    );
    const ctx = await entered.promise;
    client.close();
    const error = await failure.promise;
    assertStrictEquals(error, ctx.err);
    const why = cause(ctx);
    assertInstanceOf(why, ClientGone);
    assertInstanceOf(why.cause, Deno.errors.BadResource);
    await server.shutdown();
    assertEquals(errors, []);
  });
}

Deno.test("serveHttp() with bodyTimeout ends ctx with ClientGone if an upload breaks off", async () => {
  const entered = Promise.withResolvers<Context>();
  await using server = serveHttp(
    background(),
    { ...here, bodyTimeout: 60_000 },
    async (ctx, request) => {
      entered.resolve(ctx);
      return new Response(await request.text());
    },
  );
  const client = await TcpClient.connect(server.addr);
  await client.write(half);
  const ctx = await entered.promise;
  client.close();
  await ctx.done;
  assertInstanceOf(cause(ctx), ClientGone);
});

Deno.test("serveHttp() ends ctx with ClientGone if the read of a copy breaks off", async () => {
  const errors: unknown[] = [];
  const entered = Promise.withResolvers<Context>();
  await using server = serveHttp(
    background(),
    { ...here, onError: (error) => errors.push(error) },
    async (ctx, request) => {
      entered.resolve(ctx);
      return new Response(await new Request(request).text());
    },
  );
  const client = await TcpClient.connect(server.addr);
  await client.write(half);
  const ctx = await entered.promise;
  client.close();
  await ctx.done;
  assertInstanceOf(cause(ctx), ClientGone);
  await server.shutdown();
  assertEquals(errors, []);
});

for (const name of ["text()", "a reader of body"]) {
  Deno.test(`serveHttp() answers 400 to malformed chunks that are read by ${name}`, async () => {
    const errors: unknown[] = [];
    const entered = Promise.withResolvers<void>();
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      async (_ctx, request) => {
        entered.resolve();
        return new Response(await reads[name]!(request));
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}${chunked}3\r\none\r\n`);
    await entered.promise;
    await client.write("zz\r\n");
    const reply = await client.readUntil("Bad Request\n");
    assert(reply.startsWith("HTTP/1.1 400"), reply);
    assertEquals(errors, []);
  });
}

// Ordinary failures of reads

for (
  const [name, handler, message] of [
    ["JSON that is none", (_ctx, request) => request.json(), "SyntaxError"],
    ["a body that was read before", async (_ctx, request) => {
      await request.text();
      return new Response(await request.text());
    }, "TypeError"],
    ["a stream that is locked", async (_ctx, request) => {
      request.body!.getReader();
      return new Response(await request.text());
    }, "TypeError"],
  ] as [string, HttpHandler, string][]
) {
  Deno.test(`serveHttp() reports a read that fails because of ${name}`, async () => {
    const errors: unknown[] = [];
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      handler,
    );
    const url = `http://127.0.0.1:${server.addr.port}/`;
    const reply = await fetch(url, { method: "POST", body: "{" });
    assertEquals(reply.status, 500);
    await reply.body?.cancel();
    assertEquals(errors.map((error) => (error as Error).name), [message]);
  });
}

Deno.test("serveHttp() tells by bodyUsed that a body has been read", async () => {
  const seen: boolean[] = [];
  await using server = serveHttp(background(), here, async (_ctx, request) => {
    seen.push(request.bodyUsed);
    if (new URL(request.url).pathname === "/stream") {
      await request.body!.getReader().read();
    } else {
      await request.text();
    }
    seen.push(request.bodyUsed);
    return new Response();
  });
  for (const path of ["/", "/stream"]) {
    const url = `http://127.0.0.1:${server.addr.port}${path}`;
    await (await fetch(url, { method: "POST", body: "x" })).body?.cancel();
  }
  assertEquals(seen, [false, true, false, true]);
});

Deno.test("serveHttp() passes the cancellation of a body on to Deno", async () => {
  await using server = serveHttp(background(), here, async (_ctx, request) => {
    await request.body!.cancel("not needed");
    return new Response(`${request.bodyUsed}.`);
  });
  for (
    const body of [
      "all at once",
      new ReadableStream({
        start(controller) {
          controller.enqueue(bytesOf("in pieces"));
          controller.close();
        },
      }),
    ]
  ) {
    const url = `http://127.0.0.1:${server.addr.port}/`;
    const reply = await fetch(url, { method: "POST", body });
    assertEquals(await reply.text(), "true.");
  }
});

Deno.test("serveHttp() lets a handler answer with the body of the request", async () => {
  await using server = serveHttp(
    background(),
    here,
    (_ctx, request) => new Response(request.body),
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const body = "x".repeat(1_000_000);
  const reply = await fetch(url, { method: "PUT", body });
  assertEquals((await reply.text()).length, body.length);
});

Deno.test("serveHttp() leaves a request without a body as it is", async () => {
  const bodies: unknown[] = [];
  await using server = serveHttp(background(), here, (_ctx, request) => {
    bodies.push(
      request.body,
      Object.getPrototypeOf(request) === Request.prototype,
    );
    return new Response();
  });
  for (const method of ["GET", "HEAD"]) {
    await (await fetch(`http://127.0.0.1:${server.addr.port}/`, { method }))
      .body
      ?.cancel();
  }
  assertEquals(bodies, [null, true, null, true]);
});

Deno.test("textStream() of a request without a body is empty", async () => {
  using platform = new FakePlatform();
  const server = serveHttp(background(), {}, async (_ctx, request) => {
    const pieces = await Array.fromAsync(request.textStream());
    return new Response(`${request.body} ${pieces.length}`);
  });
  const url = "http://127.0.0.1/";
  const reply = await platform.ask(new Request(url, { method: "POST" }));
  assertEquals(await reply.text(), "null 0");
  await server.shutdown({ grace: 0 });
});

Deno.test("bodyTimeout leaves nothing on the ctx of a request once its body has been read", async () => {
  let children: unknown;
  await using server = serveHttp(
    background(),
    { ...here, bodyTimeout: 60_000 },
    async (ctx, request) => {
      await request.text();
      ({ children } = snapshot(ctx));
      return new Response();
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  await (await fetch(url, { method: "POST", body: "x" })).body?.cancel();
  assertEquals(children, []);
});
