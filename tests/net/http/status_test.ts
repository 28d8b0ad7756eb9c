// The status of a request whose handler fails, and the calls of onError.

import {
  background,
  type Context,
  type HttpHandler,
  IdleTimeout,
  orDone,
  remaining,
  serveHttp,
  type ServeHttpOptions,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

/** The status of a request, and the errors that went to onError. */
async function outcome(
  handler: HttpHandler,
  options: ServeHttpOptions = {},
  host = "test",
): Promise<[number, string[]]> {
  const errors: string[] = [];
  await using server = serveHttp(background(), {
    ...here,
    ...options,
    onError: (error) => errors.push((error as Error).name),
  }, handler);
  using client = await TcpClient.connect(server.addr);
  await client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const head = await client.readUntil("\r\n\r\n");
  return [Number(head.slice(9, 12)), errors];
}

/** A step of the handler's own, whose deadline has passed. */
function expired(ctx: Context): Context {
  return withTimeout(ctx, 0, { cause: new Error("the lookup took too long") });
}

const table: [string, HttpHandler, [number, string[]]][] = [
  ["the deadline of a step of its own", async (ctx) => {
    await sleep(expired(ctx), 1_000);
    return new Response();
  }, [504, ["TimeoutError"]]],
  ["a timeout of the platform", () => {
    throw new DOMException("too slow", "TimeoutError");
  }, [504, ["TimeoutError"]]],
  ["an error because of a deadline of its own", (ctx) => {
    throw new Error("no lookup", { cause: expired(ctx).err });
  }, [500, ["Error"]]],
  ["the cancellation of a step of its own", (ctx) => {
    const step = withCancel(ctx);
    step.cancel();
    throw step.err;
  }, [500, ["AbortError"]]],
  ["a bug", () => {
    throw new TypeError("a bug");
  }, [500, ["TypeError"]]],
];
for (const [what, handler, expected] of table) {
  Deno.test(`serveHttp() answers ${expected[0]} and reports it if a handler fails with ${what}`, async () => {
    assertEquals(await outcome(handler), expected);
  });
}

for (const host of ["a<b", "[1:2", "x:99999"]) {
  Deno.test(`serveHttp() answers 400 to the Host ${host} that a handler cannot parse`, async () => {
    const handler: HttpHandler = (_ctx, request) =>
      new Response(new URL(request.url).pathname);
    assertEquals(await outcome(handler, {}, host), [400, []]);
  });
}

Deno.test("serveHttp() lets a handler answer that does not look at a malformed Host", async () => {
  assertEquals(await outcome(() => new Response(), {}, "a<b"), [200, []]);
});

for (
  const [what, head, failure] of [
    [
      "a POST without a body",
      "POST / HTTP/1.1\r\n",
      new Deno.errors.BadResource("no such file"),
    ],
    [
      "a GET with a body",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\n",
      new Deno.errors.BadResource("no such file"),
    ],
    ["a POST", "POST / HTTP/1.1\r\n", undefined],
  ] as const
) {
  const error = failure === undefined ? "undefined" : failure.name;
  Deno.test(`serveHttp() answers 500 and reports it if the handler of ${what} fails with ${error}`, async () => {
    const errors: unknown[] = [];
    await using server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(error) },
      () => {
        throw failure;
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(`${head}Host: test\r\n\r\n`);
    const reply = await client.readUntil("\r\n");
    assertEquals([reply.slice(9, 12), errors], ["500", [failure]]);
  });
}

// requestTimeout

Deno.test("serveHttp() answers 504 and reports nothing if a handler wraps its requestTimeout", async () => {
  using time = new FakeTime();
  const entered = Promise.withResolvers<void>();
  const result = outcome(async (ctx) => {
    entered.resolve();
    await ctx.done;
    throw new Error("no lookup", { cause: ctx.err });
  }, { requestTimeout: 1_000 });
  await entered.promise;
  time.tick(1_000);
  assertEquals(await result, [504, []]);
});

Deno.test("serveHttp() answers 504 and reports nothing if a synchronous handler fails with its deadline", async () => {
  using time = new FakeTime();
  const result = await outcome((ctx) => {
    time.tick(1_000);
    throw ctx.err;
  }, { requestTimeout: 1_000 });
  assertEquals(result, [504, []]);
});

Deno.test("requestTimeout can be a function of the request", async () => {
  using _time = new FakeTime();
  const left: Record<string, number> = {};
  await using server = serveHttp(
    background(),
    {
      ...here,
      requestTimeout: ({ url }) => url.endsWith("/events") ? Infinity : 200,
    },
    (ctx, { url }) => {
      left[new URL(url).pathname] = remaining(ctx);
      return new Response();
    },
  );
  for (const path of ["/events", "/quick"]) {
    const url = `http://127.0.0.1:${server.addr.port}${path}`;
    await (await fetch(url)).body?.cancel();
  }
  assertEquals(left, { "/events": Infinity, "/quick": 200 });
});

for (const ms of [0, NaN, "5"]) {
  Deno.test(`requestTimeout costs its request, 500, if the function returns ${ms}`, async () => {
    const requestTimeout = () => ms as number;
    const handler = () => new Response();
    const expected = [500, ["RangeError"]];
    assertEquals(await outcome(handler, { requestTimeout }), expected);
  });
}

Deno.test("requestTimeout costs its request, 500, if the function throws", async () => {
  const requestTimeout = () => {
    throw new TypeError("no");
  };
  const handler = () => new Response();
  const expected = [500, ["TypeError"]];
  assertEquals(await outcome(handler, { requestTimeout }), expected);
});

for (
  const [what, failure] of [
    ["BadResource", new Deno.errors.BadResource("no such file")],
    ["a bug", new TypeError("a bug")],
  ] as const
) {
  Deno.test(`serveHttp() survives a handler that fails with ${what} after its 504 was sent`, async () => {
    using time = new FakeTime();
    const entered = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const errors: unknown[] = [];
    const server = serveHttp(background(), {
      ...here,
      requestTimeout: 1_000,
      onError: (error) => errors.push(error),
    }, async (_ctx, _request) => {
      entered.resolve();
      await gate.promise;
      throw failure;
    });
    using client = await TcpClient.connect(server.addr);
    await client.write(
      "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
    );
    await entered.promise;
    time.tick(1_000);
    await client.readUntil("Timeout\n");
    // Deno forgets the request.
    await FakeTime.restoreFor(() => new Promise((f) => setTimeout(f, 20)));
    gate.resolve();
    await server.shutdown();
    assertEquals(errors, [failure]);
  });
}

Deno.test("serveHttp() reports an IdleTimeout that is not of the request's body", async () => {
  const errors: unknown[] = [];
  const failure = new IdleTimeout(5);
  await using server = serveHttp(
    background(),
    { ...here, onError: (error) => errors.push(error) },
    () => {
      throw failure;
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const reply = await fetch(url, { method: "POST", body: "x" });
  await reply.body?.cancel();
  assertEquals([reply.status, errors], [500, [failure]]);
});

// The end of the grace period

Deno.test("serveHttp() reports nothing if a handler fails with the end of the grace period", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(
    background(),
    { ...here, grace: 1_000, onError: (error) => errors.push(error) },
    async (ctx) => {
      entered.resolve();
      return await orDone(ctx, new Promise<Response>(() => {}));
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  const finished = server.shutdown();
  await time.tickAsync(1_000);
  const reply = await client.readToEnd();
  assert(reply.startsWith("HTTP/1.1 503"), reply);
  assertEquals((await finished).forcedRequests, ["GET /"]);
  assertEquals(errors, []);
});

Deno.test("serveHttp() cancels the source of a stream that it cuts, and reports nothing", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const canceled = Promise.withResolvers<unknown>();
  let ctx: Context | undefined;
  const server = serveHttp(
    background(),
    { ...here, grace: 1_000, onError: (error) => errors.push(error) },
    (requestCtx) => {
      ctx = requestCtx;
      return new Response(
        new ReadableStream({
          start: (controller) =>
            controller.enqueue(new TextEncoder().encode("first")),
          cancel: canceled.resolve,
        }),
      );
    },
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await client.readUntil("first");
  const finished = server.shutdown();
  await time.tickAsync(1_000);
  assertEquals(await canceled.promise, ctx?.err);
  // No terminating chunk: the client can tell that the response is incomplete.
  assertEquals((await client.readToEnd()).includes("0\r\n\r\n"), false);
  assertEquals((await finished).forcedRequests, ["GET /"]);
  assertEquals(errors, []);
});

Deno.test("serveHttp() does not report a stream that fails with the end of its ctx", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  const server = serveHttp(
    background(),
    { ...here, requestTimeout: 1_000, onError: (error) => errors.push(error) },
    (ctx) =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode("first"));
            ctx.done.then(() => controller.error(ctx.err));
          },
        }),
      ),
  );
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await client.readUntil("first");
  await time.tickAsync(1_000);
  await client.readToEnd();
  await server.shutdown();
  assertEquals(errors, []);
});
