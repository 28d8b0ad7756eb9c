import {
  background,
  Canceled,
  cause,
  ClientGone,
  type Context,
  createKey,
  DeadlineExceeded,
  draining,
  type HttpServer,
  httpServerKey,
  localAddrKey,
  remoteAddrKey,
  requestContext,
  serveHttp,
  type ServerState,
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
import { realTimers } from "../../../net/real_timers.ts";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

function get(server: HttpServer, path = "/"): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.addr.port}${path}`);
}

/** The status and the body, read to its end. */
async function outcome(reply: Promise<Response>): Promise<[number, string]> {
  const response = await reply;
  return [response.status, await response.text()];
}

async function assertRefused(server: HttpServer): Promise<void> {
  await assertRejects(
    () => TcpClient.connect(server.addr),
    Deno.errors.ConnectionRefused,
  );
}

/** A handler that says when it was entered, and answers when told to. */
class Gate {
  readonly #entered = Promise.withResolvers<Context>();
  readonly #opened = Promise.withResolvers<void>();
  readonly entered: Promise<Context> = this.#entered.promise;
  readonly open: () => void = this.#opened.resolve;

  readonly handler = async (ctx: Context): Promise<Response> => {
    this.#entered.resolve(ctx);
    await this.#opened.promise;
    return new Response("late but complete");
  };
}

// Life

Deno.test("serveHttp() serves at the address it tells", async () => {
  await using server = serveHttp(
    background(),
    here,
    (_ctx, request) => new Response(new URL(request.url).pathname),
  );
  assertEquals(await outcome(get(server, "/hello")), [200, "/hello"]);
  assertEquals([server.state, server.ready], ["serving", true]);
});

Deno.test("serveHttp() on a done ctx throws its err and opens no socket", () => {
  using taken = Deno.listen(here);
  const { port } = taken.addr as Deno.NetAddr;
  const ctx = withCancel(background());
  ctx.cancel();
  // The port is taken: had it been opened, the error would be another.
  const error = assertThrows(
    () => serveHttp(ctx, { ...here, port }, () => new Response()),
  );
  assertStrictEquals(error, ctx.err);
});

Deno.test("serveHttp() closes once its ctx is done, and refuses connections", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, () => new Response("x"));
  assertEquals(await outcome(get(server)), [200, "x"]);
  ctx.cancel("that was all");
  assertEquals(server.ready, false);
  const report = await server.finished;
  assertEquals(report.cause, "that was all");
  assertEquals([report.drained, report.forced], [0, 0]);
  assertEquals(server.state, "closed");
  await assertRefused(server);
});

Deno.test("serveHttp() answers a request in flight in full while it drains", async () => {
  const ctx = withCancel(background());
  const gate = new Gate();
  const server = serveHttp(ctx, here, gate.handler);
  const reply = outcome(get(server));
  const requestCtx = await gate.entered;
  ctx.cancel();
  await ctx.done;
  assertEquals(requestCtx.err, undefined);
  assertEquals(server.inFlight, 1);
  gate.open();
  assertEquals(await reply, [200, "late but complete"]);
  const report = await server.finished;
  assertEquals([report.drained, report.forced], [1, 0]);
  await assertRefused(server);
});

for (
  const [name, bytes] of [
    ["nothing", ""],
    ["half a header", "GET / HTTP/1.1\r\nHost: te"],
    ["a whole request before", "GET / HTTP/1.1\r\nHost: test\r\n\r\n"],
  ] as const
) {
  Deno.test(`serveHttp() does not wait for a client that has sent ${name}`, async () => {
    const ctx = withCancel(background());
    const server = serveHttp(ctx, here, () => new Response("whole"));
    using client = await TcpClient.connect(server.addr);
    await client.write(bytes);
    if (bytes.endsWith("\r\n\r\n")) await client.readUntil("whole");
    ctx.cancel();
    assertEquals((await server.finished).forced, 0);
    await client.readToEnd();
  });
}

Deno.test("serveHttp() cancels handlers at the end of the grace period and answers 503", async () => {
  const ctx = withCancel(background());
  const entered = Promise.withResolvers<void>();
  let why: unknown;
  const server = serveHttp(ctx, { ...here, grace: 5 }, async (ctx) => {
    entered.resolve();
    await ctx.done;
    why = cause(ctx);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return new Response("too late");
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  ctx.cancel();
  assert((await client.readToEnd()).startsWith("HTTP/1.1 503"));
  const report = await server.finished;
  assertEquals([report.drained, report.forced], [0, 1]);
  assertEquals(
    String(why),
    "Error: serveHttp: the grace period of 5 ms is over",
  );
});

Deno.test("serveHttp() waits for a handler that never ends no longer than the grace period", async () => {
  const ctx = withCancel(background());
  const gate = new Gate();
  const server = serveHttp(ctx, { ...here, grace: 5 }, gate.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await gate.entered;
  ctx.cancel();
  assertEquals((await server.finished).forced, 1);
  await client.readToEnd();
  gate.open();
});

Deno.test("serveHttp() waits for a response that is still being sent", async () => {
  const ctx = withCancel(background());
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const server = serveHttp(ctx, here, () => new Response(readable));
  const writer = writable.getWriter();
  const text = new TextEncoder();
  const reply = await get(server);
  const body = reply.text();
  await writer.write(text.encode("first, "));
  ctx.cancel();
  while (server.state !== "draining") await Promise.resolve();
  assertEquals(server.inFlight, 1);
  await writer.write(text.encode("last"));
  await writer.close();
  assertEquals(await body, "first, last");
  assertEquals((await server.finished).drained, 1);
});

Deno.test("serveHttp() cuts a stream that goes on at the end of the grace period", async () => {
  const ctx = withCancel(background());
  const canceled = Promise.withResolvers<void>();
  const stream = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("tick")),
    cancel: () => canceled.resolve(),
  });
  const server = serveHttp(
    ctx,
    { ...here, grace: 5 },
    () => new Response(stream),
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await client.readUntil("tick");
  ctx.cancel();
  assertEquals((await server.finished).forced, 1);
  await client.readToEnd();
  await canceled.promise;
});

Deno.test("serveHttp() in the lame duck serves, is not ready, and sends Connection: close", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = serveHttp(
    ctx,
    { ...here, lameDuck: 5_000 },
    () => new Response("served"),
  );
  ctx.cancel();
  await ctx.done;
  assertEquals([server.state, server.ready], ["lame-duck", false]);
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  const reply = (await client.readUntil("served")).toLowerCase();
  assert(reply.startsWith("http/1.1 200"), reply);
  assert(reply.includes("connection: close"), reply);
  assert(reply.endsWith("served"), reply);
  time.tick(5_000);
  assertEquals((await server.finished).drained, 1);
});

Deno.test("serveHttp() in the lame duck passes a fetched response on, with Connection: close", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = serveHttp(
    ctx,
    { ...here, lameDuck: 5_000 },
    () => fetch("data:,proxied"),
  );
  ctx.cancel();
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  const reply = (await client.readUntil("proxied")).toLowerCase();
  assert(reply.startsWith("http/1.1 200"), reply);
  assert(reply.includes("connection: close"), reply);
  time.tick(5_000);
  await server.finished;
});

Deno.test("serveHttp() in the lame duck answers 500 for a response that cannot be sent", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const errors: unknown[] = [];
  const server = serveHttp(
    ctx,
    {
      ...here,
      lameDuck: 5_000,
      requestTimeout: 60_000,
      onError: (error) => errors.push(error),
    },
    async (_ctx, request) => {
      if (request.url.endsWith("/error")) return await Response.error();
      const response = await fetch("data:,proxied");
      await response.text();
      return response;
    },
  );
  ctx.cancel();
  for (const path of ["/error", "/read-before"]) {
    assertEquals((await outcome(get(server, path)))[0], 500);
  }
  assertEquals(errors.length, 2);
  time.tick(5_000);
  assertEquals((await server.finished).forced, 0);
});

Deno.test("serveHttp() begins the grace period after the lame duck", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const gate = new Gate();
  const server = serveHttp(
    ctx,
    { ...here, lameDuck: 1_000, grace: 2_000 },
    gate.handler,
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  const requestCtx = await gate.entered;
  ctx.cancel();
  await ctx.done;
  await time.tickAsync(1_000);
  assertEquals(server.state, "draining");
  await time.tickAsync(1_999);
  assertEquals(requestCtx.err, undefined);
  time.tick(1);
  await requestCtx.done;
  assertEquals((await server.finished).forced, 1);
  gate.open();
});

Deno.test("shutdown() closes the server and leaves its ctx alone", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, () => new Response());
  const report = await server.shutdown({ cause: "deployed anew" });
  assertEquals(report.cause, "deployed anew");
  assertEquals(ctx.err, undefined);
  assertEquals(snapshot(ctx).children, []);
});

Deno.test("shutdown() returns the same report when it is called again", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, () => new Response());
  const reports = [
    server.shutdown({ cause: "first" }),
    server.shutdown({ cause: "second" }),
  ];
  ctx.cancel("third");
  const [one, two] = await Promise.all(reports);
  assertStrictEquals(one, two);
  assertEquals(one!.cause, "first");
  await server.shutdown();
});

Deno.test("serveHttp() lets a handler shut its own server down by a ctx", async () => {
  const parent = withCancel(background());
  const local = withCancel(parent);
  const server = serveHttp(local, here, (_ctx, request) => {
    if (request.url.endsWith("/quit")) local.cancel("quit");
    return new Response("bye");
  });
  assertEquals(await outcome(get(server, "/quit")), [200, "bye"]);
  assertEquals((await server.finished).cause, "quit");
  assertEquals(parent.err, undefined);
});

Deno.test("serveHttp() is closed at the end of an await using block", async () => {
  let server: HttpServer;
  {
    await using inner = serveHttp(background(), here, () => new Response());
    server = inner;
  }
  assertEquals(server.state, "closed");
  await assertRefused(server);
});

Deno.test("onStateChange is called with each state, and may throw", async () => {
  using time = new FakeTime();
  const states: ServerState[] = [];
  const errors: unknown[] = [];
  const server = serveHttp(background(), {
    ...here,
    lameDuck: 1_000,
    onError: (error) => errors.push(error),
    onStateChange: (state) => {
      states.push(state);
      throw new Error(state);
    },
  }, () => new Response());
  const finished = server.shutdown();
  await time.tickAsync(1_000);
  await finished;
  assertEquals(states, ["lame-duck", "draining", "closed"]);
  assertEquals(errors.map(String), states.map((state) => `Error: ${state}`));
});

Deno.test("finished counts refused requests and names those that were cut", async () => {
  using _time = new FakeTime();
  const gate = new Gate();
  const options = { ...here, lameDuck: 1_000, maxInFlight: 1 };
  const server = serveHttp(background(), options, gate.handler);
  using stuck = await TcpClient.connect(server.addr);
  await stuck.write("PUT /slow?query=1 HTTP/1.1\r\nHost: test\r\n\r\n");
  await gate.entered;
  assertEquals((await outcome(get(server)))[0], 503);
  server.shutdown();
  assertEquals((await outcome(get(server)))[0], 503);
  const report = await server.shutdown({ grace: 0 });
  assertEquals(report.refused, 1);
  assertEquals(report.forced, 1);
  assertEquals(report.forcedRequests, ["PUT /slow"]);
  gate.open();
});

Deno.test("finished names a request whose client has gone", async () => {
  const gate = new Gate();
  const server = serveHttp(background(), here, gate.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/left");
  const ctx = await gate.entered;
  // Long enough for the request to be watched.
  await new Promise((resolve) => setTimeout(resolve, 80));
  client.close();
  await ctx.done;
  const report = await server.shutdown({ grace: 0 });
  assertEquals(report.forcedRequests, ["GET /left"]);
  gate.open();
});

Deno.test("finished names a request whose handler goes on after the 504", async () => {
  using time = new FakeTime();
  const gate = new Gate();
  let isFirst = true;
  const server = serveHttp(
    background(),
    { ...here, requestTimeout: 10 },
    // Deno keeps the URL of a request that a handler has asked for.
    (ctx) => isFirst ? gate.handler(ctx) : new Response("quick"),
  );
  const { setTimeout } = realTimers;
  // Requests in flight get their names at the first look, 25 ms after they arrive.
  realTimers.setTimeout = (() => 0) as unknown as typeof setTimeout;
  try {
    const reply = outcome(get(server, "/slow"));
    await gate.entered;
    time.tick(10);
    assertEquals((await reply)[0], 504);
    isFirst = false;
    // By the time that this one is over, Deno has forgotten the other.
    await outcome(get(server, "/quick"));
  } finally {
    realTimers.setTimeout = setTimeout;
  }
  const report = await server.shutdown({ grace: 0 });
  assertEquals(report.forcedRequests, ["GET /slow"]);
  assertEquals(report.lingering, ["GET /slow"]);
  gate.open();
});

for (const when of ["at once", "in lame duck", "while it drains"] as const) {
  Deno.test(`shutdown({ grace: 0 }) cuts what is in flight: ${when}`, async () => {
    using _time = new FakeTime();
    const ctx = withCancel(background());
    const gate = new Gate();
    const server = serveHttp(
      ctx,
      { ...here, lameDuck: when === "while it drains" ? 0 : 1_000 },
      gate.handler,
    );
    using client = await TcpClient.connect(server.addr);
    await client.get("/");
    const requestCtx = await gate.entered;
    if (when !== "at once") {
      ctx.cancel("first");
      await ctx.done;
    }
    const report = await server.shutdown({ grace: 0, cause: "closed" });
    assertEquals(report.forced, 1);
    assertEquals(report.cause, when === "at once" ? "closed" : "first");
    await requestCtx.done;
    const answer = await client.readToEnd();
    const hasDrained = when === "while it drains";
    assertEquals(answer.slice(0, 12), hasDrained ? "HTTP/1.1 503" : "");
    gate.open();
  });
}

for (
  const [asked, later, ends] of [[1_500, 1_000, 2_000], [500, 1_000, 1_500]]
) {
  Deno.test(`shutdown({ grace: ${later} }) after ${asked} of 2000 ms ends the grace period after ${ends}`, async () => {
    using time = new FakeTime();
    const gate = new Gate();
    const options = { ...here, grace: 2_000 };
    const server = serveHttp(background(), options, gate.handler);
    using client = await TcpClient.connect(server.addr);
    await client.get("/");
    const requestCtx = await gate.entered;
    server.shutdown();
    await time.tickAsync(asked!);
    server.shutdown({ grace: later! });
    await time.tickAsync(ends! - asked! - 1);
    assertEquals(requestCtx.err, undefined);
    await time.tickAsync(1);
    assertInstanceOf(requestCtx.err, Canceled);
    assertEquals((await server.finished).forced, 1);
    gate.open();
  });
}

Deno.test("shutdown() with a shorter grace period leaves no timer behind", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", "close_while_draining.ts"],
    cwd: new URL("../testdata/", import.meta.url),
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "1\n"]);
});

Deno.test("finished names the requests in flight in order of arrival", async () => {
  const gates = new Map(["/a", "/b", "/c"].map((path) => [path, new Gate()]));
  const server = serveHttp(
    background(),
    here,
    (ctx, request) => gates.get(new URL(request.url).pathname)!.handler(ctx),
  );
  using a = await TcpClient.connect(server.addr);
  using b = await TcpClient.connect(server.addr);
  for (const [client, path] of [[a, "/a"], [b, "/b"], [b, "/c"]] as const) {
    await client.get(path);
    const ctx = await gates.get(path)!.entered;
    if (path !== "/b") continue;
    gates.get(path)!.open();
    await client.readUntil("complete");
    await ctx.done;
  }
  const report = await server.shutdown({ grace: 0 });
  assertEquals(report.forcedRequests, ["GET /a", "GET /c"]);
  for (const gate of gates.values()) gate.open();
});

Deno.test("shutdown() throws a RangeError for a negative grace", async () => {
  await using server = serveHttp(background(), here, () => new Response());
  for (const grace of [-1, "5" as unknown as number]) {
    assertThrows(() => server.shutdown({ grace }), RangeError, "grace");
  }
  assertEquals(server.ready, true);
});

// Hooks

Deno.test("onShutdown() runs hooks when the shutdown begins, the last one first", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, () => new Response());
  const steps: string[] = [];
  for (const name of ["one", "two"]) {
    server.onShutdown(async (hookCtx) => {
      steps.push(`${name} begins, ${hookCtx.err}`);
      await new Promise((resolve) => setTimeout(resolve));
      steps.push(`${name} ends`);
    });
  }
  ctx.cancel();
  await server.finished;
  assertEquals(steps, [
    "two begins, undefined",
    "two ends",
    "one begins, undefined",
    "one ends",
  ]);
});

Deno.test("onShutdown() reports a hook that fails and runs the others", async () => {
  const errors: unknown[] = [];
  const server = serveHttp(
    background(),
    { ...here, onError: (error) => errors.push(error) },
    () => new Response(),
  );
  let ran = 0;
  server.onShutdown(() => void ran++);
  server.onShutdown(() => Promise.reject("rejects"));
  server.onShutdown(() => {
    throw "throws";
  });
  await server.shutdown();
  assertEquals([ran, errors], [1, ["throws", "rejects"]]);
});

Deno.test("onShutdown() waits for a hook no longer than the grace period", async () => {
  const server = serveHttp(
    background(),
    { ...here, grace: 5 },
    () => new Response(),
  );
  let hookCtx: Context | undefined;
  server.onShutdown((ctx) => {
    hookCtx = ctx;
    return new Promise(() => {});
  });
  await server.shutdown();
  assertEquals(
    String(cause(hookCtx!)).includes("the grace period of 5 ms"),
    true,
  );
});

Deno.test("onShutdown() runs a hook at once after the shutdown has begun", async () => {
  const server = serveHttp(background(), here, () => new Response());
  const finished = server.shutdown();
  let ran = false;
  server.onShutdown(() => void (ran = true));
  assertEquals(ran, true);
  await finished;
});

// Requests

Deno.test("serveHttp() gives a request's ctx the values of its own ctx and of the server", async () => {
  const nameKey = createKey<string>("name");
  const ctx = withValue(background(), nameKey, "ada");
  await using server = serveHttp(ctx, here, (ctx) =>
    Response.json([
      ctx.value(nameKey),
      ctx.value(httpServerKey)?.inFlight,
      (ctx.value(localAddrKey) as Deno.NetAddr).port,
      (ctx.value(remoteAddrKey) as Deno.NetAddr).hostname,
    ]));
  const [, body] = await outcome(get(server));
  assertEquals(JSON.parse(body), ["ada", 1, server.addr.port, "127.0.0.1"]);
});

Deno.test("serveHttp() ends a request's ctx when the response has been sent", async () => {
  const seen = Promise.withResolvers<Context>();
  let open: boolean | undefined;
  await using server = serveHttp(background(), here, (ctx) => {
    open = ctx.err === undefined;
    seen.resolve(ctx);
    return new Response("x");
  });
  await outcome(get(server));
  assertEquals(open, true);
  const ctx = await seen.promise;
  await ctx.done;
  assertEquals(ctx.err?.name, "AbortError");
  assertInstanceOf(cause(ctx), Canceled);
});

Deno.test("serveHttp() ends a request's ctx when its client leaves, and reports nothing", async () => {
  const entered = Promise.withResolvers<Context>();
  const errors: unknown[] = [];
  await using server = serveHttp(
    background(),
    { ...here, onError: (error) => errors.push(error) },
    async (ctx) => {
      entered.resolve(ctx);
      await ctx.done;
      throw ctx.err;
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  const ctx = await entered.promise;
  client.close();
  await ctx.done;
  assertInstanceOf(cause(ctx), ClientGone);
  await server.shutdown();
  assertEquals(errors, []);
});

Deno.test("serveHttp() does not take a slow request for one whose client has gone", async () => {
  using _time = new FakeTime();
  const gate = new Gate();
  await using server = serveHttp(background(), here, gate.handler);
  const reply = outcome(get(server));
  const ctx = await gate.entered;
  // Long enough for its client to be watched, in real time.
  await FakeTime.restoreFor(() =>
    new Promise((resolve) => setTimeout(resolve, 60))
  );
  gate.open();
  assertEquals((await reply)[0], 200);
  await ctx.done;
  assertInstanceOf(cause(ctx), Canceled);
});

Deno.test("requestTimeout answers 504, ends the request's ctx, and waits for the handler", async () => {
  using time = new FakeTime();
  const gate = new Gate();
  await using server = serveHttp(
    background(),
    { ...here, requestTimeout: 1_000 },
    (ctx, request) =>
      request.url.endsWith("/slow") ? gate.handler(ctx) : new Response("quick"),
  );
  const reply = outcome(get(server, "/slow"));
  const ctx = await gate.entered;
  time.tick(1_000);
  assertInstanceOf(ctx.err, DeadlineExceeded);
  assertEquals((await reply)[0], 504);
  // By the time that this one is over, Deno has told that the other was sent.
  assertEquals(await outcome(get(server, "/quick")), [200, "quick"]);
  assertEquals(server.inFlight, 1);
  gate.open();
});

for (const isRead of [false, true]) {
  const what = isRead ? "that somebody reads costs nothing" : "is canceled";
  Deno.test(`requestTimeout discards a late response: its body ${what}`, async () => {
    using time = new FakeTime();
    const gate = new Gate();
    let canceled = false;
    const body = new ReadableStream({ cancel: () => void (canceled = true) });
    await using server = serveHttp(
      background(),
      { ...here, requestTimeout: 1_000 },
      async (ctx) => {
        const response = new Response(body);
        await gate.handler(ctx);
        return response;
      },
    );
    const reply = outcome(get(server));
    await gate.entered;
    time.tick(1_000);
    assertEquals((await reply)[0], 504);
    if (isRead) body.getReader();
    gate.open();
    assertEquals((await server.shutdown()).forced, 0);
    assertEquals(canceled, !isRead);
  });
}

Deno.test("requestTimeout answers 504 and reports nothing if the handler rejects with it", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const entered = Promise.withResolvers<void>();
  await using server = serveHttp(
    background(),
    { ...here, requestTimeout: 10, onError: (error) => errors.push(error) },
    async (ctx) => {
      entered.resolve();
      await ctx.done;
      throw ctx.err;
    },
  );
  const reply = outcome(get(server));
  await entered.promise;
  time.tick(10);
  assertEquals((await reply)[0], 504);
  assertEquals(errors, []);
});

Deno.test("maxInFlight answers 503 beyond it", async () => {
  const gate = new Gate();
  await using server = serveHttp(
    background(),
    { ...here, maxInFlight: 1 },
    gate.handler,
  );
  const first = outcome(get(server));
  await gate.entered;
  const second = await get(server);
  assertEquals(second.status, 503);
  assertEquals(second.headers.get("retry-after"), "1");
  await second.body?.cancel();
  gate.open();
  assertEquals((await first)[0], 200);
});

for (
  const [name, handler] of [
    ["throws", () => {
      throw new Error("no");
    }],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["returns no response", () => "no" as unknown as Response],
    ["returns no real promise, which rejects", () =>
      ({
        then: (_resolve: unknown, reject: (reason: Error) => void) =>
          reject(new Error("no")),
      }) as unknown as Promise<Response>],
    ["returns no real promise, which throws", () =>
      ({
        then() {
          throw new Error("no");
        },
      }) as unknown as Promise<Response>],
    ["returns something whose then throws", () =>
      ({
        get then() {
          throw new Error("no");
        },
      }) as unknown as Promise<Response>],
  ] as [string, () => Response | Promise<Response>][]
) {
  Deno.test(`serveHttp() answers 500 and reports once if a handler ${name}`, async () => {
    const errors: unknown[] = [];
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      (_ctx, request) =>
        request.url.endsWith("/bad") ? handler() : new Response("good"),
    );
    const [status, body] = await outcome(get(server, "/bad"));
    assertEquals([status, body], [500, "Internal Server Error\n"]);
    assertEquals(await outcome(get(server, "/")), [200, "good"]);
    assertEquals(errors.length, 1);
    assert(
      String(errors[0]).includes(name.endsWith("response") ? "string" : "no"),
    );
    assertEquals((await server.shutdown({ grace: 1_000 })).forced, 0);
  });
}

Deno.test("onError may throw", async () => {
  const { error } = console;
  let lines = 0;
  console.error = () => void lines++;
  try {
    await using server = serveHttp(
      background(),
      {
        ...here,
        onError: () => {
          throw new Error("onError too");
        },
      },
      () => {
        throw new Error("no");
      },
    );
    assertEquals((await outcome(get(server)))[0], 500);
    assertEquals((await outcome(get(server)))[0], 500);
    assertEquals(lines, 2);
  } finally {
    console.error = error;
  }
});

Deno.test("requestContext() returns the ctx of a request, and throws for any other", async () => {
  const same: boolean[] = [];
  await using server = serveHttp(background(), here, (ctx, request) => {
    same.push(requestContext(request) === ctx);
    return new Response();
  });
  await outcome(get(server));
  assertEquals(same, [true]);
  assertThrows(
    () => requestContext(new Request("http://localhost/")),
    TypeError,
    "requestContext: expected the request that serveHttp passed",
  );
});

Deno.test("onRequest derives the ctx of each request", async () => {
  const pathKey = createKey<string>("path");
  await using server = serveHttp(background(), {
    ...here,
    onRequest: (ctx, request) =>
      withValue(ctx, pathKey, new URL(request.url).pathname),
  }, (ctx, request) =>
    Response.json([
      ctx.value(pathKey),
      requestContext(request) === ctx,
    ]));
  assertEquals(await outcome(get(server, "/a")), [200, '["/a",true]']);
});

Deno.test("onRequest costs its request, 500, if it throws", async () => {
  const errors: unknown[] = [];
  await using server = serveHttp(background(), {
    ...here,
    onError: (error) => errors.push(error),
    onRequest: () => {
      throw "no";
    },
  }, () => new Response());
  assertEquals((await outcome(get(server)))[0], 500);
  assertEquals(errors, ["no"]);
});

Deno.test("onRequest costs its request, 500, if it returns no context", async () => {
  const errors: unknown[] = [];
  await using server = serveHttp(background(), {
    ...here,
    onError: (error) => errors.push(String(error)),
    onRequest: (() => {}) as unknown as (ctx: Context) => Context,
  }, () => new Response());
  assertEquals((await outcome(get(server)))[0], 500);
  assertEquals(errors, [
    "TypeError: serveHttp: onRequest: expected a context, got undefined: " +
    "pass the ctx you were given, or background() at the top",
  ]);
});

const chunked = "Transfer-Encoding: chunked\r\n\r\n";
for (
  const [name, head, body, status] of [
    ["a declared body at the limit", "Content-Length: 4\r\n\r\n", "1234", 200],
    ["a declared body beyond it", "Content-Length: 5\r\n\r\n", "1", 413],
    ["chunks up to the limit", chunked, "4\r\n1234\r\n0\r\n\r\n", 200],
    ["chunks beyond it", chunked, "4\r\n1234\r\n1\r\n5\r\n", 413],
    ["no body", "\r\n", "", 200],
  ] as const
) {
  Deno.test(`maxBodyBytes answers ${name} with ${status}`, async () => {
    const errors: unknown[] = [];
    await using server = serveHttp(background(), {
      ...here,
      maxBodyBytes: 4,
      onError: (error) => errors.push(error),
    }, async (_ctx, request) => new Response(`got ${await request.text()}\n`));
    using client = await TcpClient.connect(server.addr);
    await client.write(`POST / HTTP/1.1\r\nHost: test\r\n${head}${body}`);
    const reply = await client.readUntil(status === 200 ? "got " : "Large\n");
    assert(reply.startsWith(`HTTP/1.1 ${status}`), reply);
    assertEquals(errors, []);
  });
}

Deno.test("draining(ctx) lets an event stream say goodbye", async () => {
  const ctx = withCancel(background());
  const server = serveHttp(ctx, here, (requestCtx) => {
    const events = new ReadableStream<string>({
      async start(controller) {
        controller.enqueue("data: hello\n\n");
        await draining(requestCtx).done;
        controller.enqueue(`data: ${requestCtx.err ?? "goodbye"}\n\n`);
        controller.close();
      },
    });
    return new Response(events.pipeThrough(new TextEncoderStream()), {
      headers: { "content-type": "text/event-stream" },
    });
  });
  const reply = await get(server);
  ctx.cancel();
  assertEquals(await reply.text(), "data: hello\n\ndata: goodbye\n\n");
  assertEquals((await server.finished).forced, 0);
});

Deno.test("draining(ctx) leaves nothing on the server after its request", async () => {
  const ctx = withCancel(background());
  const waits: Promise<void>[] = [];
  const server = serveHttp(ctx, here, (requestCtx) => {
    // deno-lint-ignore curfew/lost-cancel -- ends with the request
    const child = withCancel(requestCtx);
    waits.push(draining(requestCtx).done, draining(child).done);
    return new Response("x");
  });
  await outcome(get(server));
  await Promise.all(waits);
  const [serving] = snapshot(ctx).children;
  assertEquals(serving?.afterFuncs, 0);
  await server.shutdown();
});

// Mistakes

Deno.test("serveHttp() names the port that is in use and leaves its ctx alone", () => {
  using taken = Deno.listen(here);
  const { port } = taken.addr as Deno.NetAddr;
  const ctx = withCancel(background());
  assertThrows(
    () => serveHttp(ctx, { ...here, port }, () => new Response()),
    Deno.errors.AddrInUse,
    `serveHttp: port ${port} is already in use`,
  );
  assertEquals(ctx.err, undefined);
  assertEquals(snapshot(ctx).children, []);
});

for (
  const options of [
    { grace: -1 },
    { lameDuck: NaN },
    { grace: "5" as unknown as number },
    { requestTimeout: 0 },
    { maxInFlight: -1 },
    { maxBodyBytes: NaN },
  ]
) {
  const [key, value] = Object.entries(options)[0]!;
  Deno.test(`serveHttp() throws a RangeError for ${key} ${value}`, () => {
    assertThrows(
      () =>
        serveHttp(background(), { ...here, ...options }, () => new Response()),
      RangeError,
      `serveHttp: ${key} must be`,
    );
  });
}

Deno.test("serveHttp() throws a TypeError without a context or a handler", () => {
  assertThrows(
    () => serveHttp(null as unknown as Context, here, () => new Response()),
    TypeError,
    "serveHttp: expected a context, got null",
  );
  assertThrows(
    () => serveHttp(background(), here, undefined as unknown as () => Response),
    TypeError,
    "serveHttp: the third argument must be a function",
  );
});
