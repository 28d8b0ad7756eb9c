// What of Go's net/http/serve_test.go holds for serveHttp, by the names there.

import {
  background,
  cause,
  ClientGone,
  type Context,
  createKey,
  DeadlineExceeded,
  type HttpServer,
  httpServerKey,
  localAddrKey,
  serveHttp,
  snapshot,
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
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

function urlOf(server: HttpServer): string {
  return `http://127.0.0.1:${server.addr.port}/`;
}

async function post(server: HttpServer, body: string): Promise<number> {
  const reply = await fetch(urlOf(server), { method: "POST", body });
  await reply.text();
  return reply.status;
}

Deno.test("TestServerShutdown: shutdown() within a handler leaves that request whole", async () => {
  const reports: Promise<unknown>[] = [];
  let hooks = 0;
  let inFlight = 0;
  const server = serveHttp(background(), here, async (ctx) => {
    const own = ctx.value(httpServerKey)!;
    inFlight = own.inFlight;
    reports.push(own.shutdown());
    while (own.state !== "draining") await Promise.resolve();
    return new Response("whole");
  });
  server.onShutdown(() => void hooks++);
  const reply = await fetch(urlOf(server));
  assertEquals(await reply.text(), "whole");
  await Promise.all(reports);
  assertEquals([inFlight, hooks], [1, 1]);
  await assertRejects(() => fetch(urlOf(server)), TypeError);
});

Deno.test("TestServerShutdownStateNew: a connection that says nothing is closed", async () => {
  const server = serveHttp(background(), here, () => new Response());
  using client = await TcpClient.connect(server.addr);
  // Both are accepted by the time that the second has its answer.
  using second = await TcpClient.connect(server.addr);
  await second.get("/");
  await second.readUntil("\r\n\r\n");
  const report = await server.shutdown();
  assertEquals(await client.readToEnd(), "");
  assertEquals(report.forced, 0);
});

Deno.test("TestServerShutdownThenServe: nothing is served on a ctx that has ended", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, () => new Response());
  const { port } = server.addr;
  ctx.cancel();
  await server.finished;
  const error = assertThrows(
    () => serveHttp(ctx, { ...here, port }, () => new Response()),
  );
  assertStrictEquals(error, ctx.err);
  await assertRejects(
    () => TcpClient.connect(server.addr),
    Deno.errors.ConnectionRefused,
  );
});

Deno.test("TestServerCloseDeadlock: closing twice is closing once", async () => {
  const server = serveHttp(background(), here, () => new Response());
  const [one, two] = await Promise.all([
    server.shutdown({ grace: 0 }),
    server.shutdown({ grace: 0 }),
  ]);
  assertStrictEquals(one, two);
  assertStrictEquals(await server.shutdown(), one);
});

Deno.test("TestServerCloseListenerOnce: shutdown() and the end of ctx close once", async () => {
  const ctx = withCancel(background());
  const states: string[] = [];
  const server = serveHttp(
    ctx,
    { ...here, onStateChange: (state) => states.push(state) },
    () => new Response(),
  );
  const finished = server.shutdown();
  ctx.cancel();
  await finished;
  assertEquals(states, ["draining", "closed"]);
});

Deno.test("TestServerContext_ServerContextKey: a request's ctx knows its server", async () => {
  const seen: unknown[] = [];
  await using server = serveHttp(background(), here, (ctx) => {
    seen.push(ctx.value(httpServerKey));
    return new Response();
  });
  await (await fetch(urlOf(server))).body?.cancel();
  assertStrictEquals(seen[0], server);
});

Deno.test("TestServerContext_LocalAddrContextKey: a request's ctx knows the local address", async () => {
  let seen: Deno.Addr | undefined;
  await using server = serveHttp(background(), here, (ctx) => {
    seen = ctx.value(localAddrKey);
    return new Response();
  });
  await fetch(urlOf(server), { method: "HEAD" });
  assertEquals(seen, server.addr);
});

Deno.test("TestServerContexts: values of the server and of onRequest reach the handler", async () => {
  const baseKey = createKey<string>("base");
  const connKey = createKey<string>("conn");
  const seen: unknown[] = [];
  const base = withValue(background(), baseKey, "base");
  await using server = serveHttp(base, {
    ...here,
    onRequest: (ctx) => {
      seen.push(ctx.value(baseKey));
      return withValue(ctx, connKey, "conn");
    },
  }, (ctx) => {
    seen.push(ctx.value(baseKey), ctx.value(connKey));
    return new Response();
  });
  await (await fetch(urlOf(server))).body?.cancel();
  assertEquals(seen, ["base", "base", "conn"]);
});

Deno.test("TestConnContextNotModifyingAllContexts: no request sees another's value", async () => {
  const connKey = createKey<string>("conn");
  const before: unknown[] = [];
  await using server = serveHttp(background(), {
    ...here,
    onRequest: (ctx) => {
      before.push(ctx.value(connKey));
      return withValue(ctx, connKey, "conn");
    },
  }, () => new Response());
  for (let i = 0; i < 2; i++) {
    await (await fetch(urlOf(server))).body?.cancel();
  }
  assertEquals(before, [undefined, undefined]);
});

Deno.test("TestServerRequestContextCancel_ServeHTTPDone: open in the handler, done after it", async () => {
  const contexts: Context[] = [];
  await using server = serveHttp(background(), here, (ctx) => {
    assertEquals(ctx.err, undefined);
    contexts.push(ctx);
    return new Response();
  });
  await (await fetch(urlOf(server))).body?.cancel();
  const [ctx] = contexts;
  await ctx!.done;
  assert(!(cause(ctx!) instanceof ClientGone));
});

Deno.test("TestServerRequestContextCancel_ConnClose: done when the client has gone", async () => {
  const entered = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  await using server = serveHttp(background(), here, async (ctx) => {
    entered.resolve();
    await ctx.done;
    ended.resolve(cause(ctx));
    return new Response();
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  client.close();
  assertInstanceOf(await ended.promise, ClientGone);
});

Deno.test("TestCloseNotifier: a wait on ctx.signal ends when the client has gone", async () => {
  const entered = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  await using server = serveHttp(background(), here, async (ctx) => {
    const aborted = new Promise((resolve) =>
      ctx.signal.addEventListener("abort", resolve, { once: true })
    );
    entered.resolve();
    await aborted;
    ended.resolve();
    return new Response();
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  client.close();
  await ended.promise;
});

Deno.test("TestCloseNotifierPipelined: a pipelined request is no sign of a client that has gone", async () => {
  const opened = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<Context>();
  const open: boolean[] = [];
  await using server = serveHttp(background(), here, async (ctx) => {
    entered.resolve(ctx);
    await opened.promise;
    open.push(ctx.err === undefined);
    return new Response("answered");
  });
  using client = await TcpClient.connect(server.addr);
  const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  await client.write(request + request);
  await entered.promise;
  // Long enough for the client to be watched.
  await new Promise((resolve) => setTimeout(resolve, 60));
  opened.resolve();
  await client.readUntil("answered");
  await client.readUntil("answered");
  assertEquals(open, [true, true]);
});

Deno.test("TestCloseNotifierChanLeak: signals that nobody waits for leave nothing behind", async () => {
  const ctx = withCancel(background());
  const contexts: Context[] = [];
  const server = serveHttp(ctx, here, (requestCtx) => {
    contexts.push(requestCtx);
    assertEquals(requestCtx.signal.aborted, false);
    return new Response("x");
  });
  const count = () => {
    let nodes = 0;
    const visit = ({ children }: ReturnType<typeof snapshot>) => {
      nodes++;
      for (const child of children) visit(child);
    };
    visit(snapshot(ctx));
    return nodes;
  };
  const before = count();
  for (let i = 0; i < 20; i++) {
    using client = await TcpClient.connect(server.addr);
    await client.write("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    await client.readUntil("x");
  }
  for (const requestCtx of contexts) await requestCtx.done;
  assertEquals(contexts.length, 20);
  assertEquals(server.inFlight, 0);
  assertEquals(count(), before);
  await server.shutdown();
});

for (
  const [name, value] of [
    ["TestHandlerPanic", new Error("intentional death for testing")],
    ["TestHandlerPanicNil", undefined],
  ] as const
) {
  Deno.test(`${name}: a handler that throws costs its request, and the server lives on`, async () => {
    const errors: unknown[] = [];
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      (_ctx, request) => {
        if (request.method === "POST") throw value;
        return new Response("alive");
      },
    );
    assertEquals(await post(server, ""), 500);
    assertEquals(await (await fetch(urlOf(server))).text(), "alive");
    assertEquals(errors, [value]);
  });
}

Deno.test("TestRequestBodyLimit: a client is hung up on, or told, before it has sent much more", async () => {
  const limit = 1 << 20;
  let read = 0;
  await using server = serveHttp(
    background(),
    { ...here, maxBodyBytes: limit },
    async (_ctx, request) => {
      for await (const chunk of request.body!) read += chunk.length;
      return new Response("all of it");
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.write(
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  let told = false;
  const reply = client.readUntil("Content Too Large\n").then((text) => {
    told = true;
    return text;
  });
  const chunk = `8000\r\n${"a".repeat(0x8000)}\r\n`;
  let sent = 0;
  while (!told && sent < limit * 200) {
    // Once the server has answered, nothing has to read what the client still sends.
    await Promise.race([client.write(chunk).catch(() => {}), reply]);
    sent += 0x8000;
  }
  const text = await reply;
  assert(text.startsWith("HTTP/1.1 413"), text);
  assert(read <= limit, `the handler has read ${read} bytes`);
  assert(sent < limit * 100, `the client could send ${sent} bytes`);
});

for (const limit of [100, 1_000, 1_000_000]) {
  for (const size of [100, 1_000, 1_000_000]) {
    const status = size > limit ? 413 : 200;
    Deno.test(`TestMaxBytesHandler: ${size} bytes where ${limit} are allowed: ${status}`, async () => {
      const lengths: number[] = [];
      await using server = serveHttp(
        background(),
        { ...here, maxBodyBytes: limit },
        async (_ctx, request) => {
          const body = await request.text();
          lengths.push(body.length);
          return new Response(body);
        },
      );
      const reply = await fetch(urlOf(server), {
        method: "POST",
        body: "a".repeat(size),
      });
      assertEquals(reply.status, status);
      const echo = await reply.text();
      if (status === 200) assertEquals(echo.length, size);
      assertEquals(lengths, status === 200 ? [size] : []);
    });
  }
}

Deno.test("TestTimeoutHandler: an answer in time is given, a late one is not", async () => {
  using time = new FakeTime();
  const answers: ((response: Response) => void)[] = [];
  let entered = Promise.withResolvers<Context>();
  await using server = serveHttp(
    background(),
    { ...here, requestTimeout: 1_000 },
    (ctx) => {
      entered.resolve(ctx);
      return new Promise<Response>((resolve) => answers.push(resolve));
    },
  );
  const first = fetch(urlOf(server));
  await entered.promise;
  await time.tickAsync(999);
  answers[0]!(new Response("in time"));
  assertEquals(await (await first).text(), "in time");

  entered = Promise.withResolvers();
  const second = fetch(urlOf(server));
  const ctx = await entered.promise;
  await time.tickAsync(1_000);
  const reply = await second;
  assertEquals([reply.status, await reply.text()], [504, "Gateway Timeout\n"]);
  assertInstanceOf(ctx.err, DeadlineExceeded);
  answers[1]!(new Response("too late"));
});

Deno.test("TestTimeoutHandlerPanicRecovery: a handler with a time limit may throw", async () => {
  const errors: unknown[] = [];
  await using server = serveHttp(background(), {
    ...here,
    requestTimeout: 60_000,
    onError: (error) => errors.push(error),
  }, () => Promise.reject("intentional death for testing"));
  assertEquals(await post(server, ""), 500);
  assertEquals(errors, ["intentional death for testing"]);
});

Deno.test("TestTimeoutHandlerEmptyResponse: an empty answer in time is an answer", async () => {
  await using server = serveHttp(
    background(),
    { ...here, requestTimeout: 60_000 },
    () => Promise.resolve(new Response(null, { status: 204 })),
  );
  assertEquals(await post(server, ""), 204);
});

Deno.test("TestServerEmptyBodyRace: requests without a body, all at once", async () => {
  let count = 0;
  await using server = serveHttp(background(), here, () => {
    count++;
    return new Response();
  });
  const statuses = await Promise.all(
    Array.from({ length: 20 }, () => post(server, "")),
  );
  assertEquals([count, new Set(statuses)], [20, new Set([200])]);
});
