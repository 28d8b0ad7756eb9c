// The timers and turns of serveHttp, on a platform that the test controls.

import {
  background,
  cause,
  ClientGone,
  type Context,
  type HttpServer,
  serveHttp,
} from "@curfew/context";
import { assertEquals, assertInstanceOf } from "@std/assert";
import { realTimers } from "../../../net/real_timers.ts";
import { FakePlatform } from "./fake_platform.ts";

/** Time in ms between two looks at the requests in flight. */
const look = 25;

/** Pauses in ms of the shutdown. */
const lastArrivals = 3;
const lastAnswers = 10;
const flush = 100;
const lastCall = 50;

function request(path = "/"): Request {
  return new Request(`http://127.0.0.1${path}`);
}

function upload(body: string): Request {
  const headers = { "content-length": String(body.length) };
  return new Request("http://127.0.0.1/", { method: "POST", headers, body });
}

/** Lets all that is ready go on, for one turn of the real event loop. */
const { setTimeout } = realTimers;
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A handler whose requests are all in flight until they are released. */
class Held {
  readonly ctxs: Context[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly release: () => void = this.#released.resolve;

  readonly handler = async (ctx: Context): Promise<Response> => {
    this.ctxs.push(ctx);
    await this.#released.promise;
    return new Response("late");
  };
}

Deno.test("serveHttp() looks at its requests every 25 ms as long as there are any", async () => {
  using platform = new FakePlatform();
  const held = new Held();
  const server = serveHttp(background(), {}, held.handler);
  assertEquals(platform.timers.pending, []);
  const replies = [platform.ask(request()), platform.ask(request())];
  assertEquals(platform.timers.pending, [look]);
  platform.timers.fire(look);
  assertEquals(platform.timers.pending, [look]);
  held.release();
  await Promise.all(replies);
  await turn();
  assertEquals([server.inFlight, platform.timers.pending], [0, [look]]);
  platform.timers.fire(look);
  assertEquals(platform.timers.pending, []);
  await platform.ask(request());
  assertEquals(platform.timers.pending, [look]);
  server.shutdown({ grace: 0 });
  await turn();
  assertEquals(platform.timers.pending, []);
  await server.finished;
});

Deno.test("serveHttp() asks for the signal of a request once, at the second look", async () => {
  using platform = new FakePlatform();
  const held = new Held();
  const server = serveHttp(background(), {}, held.handler);
  const controller = new AbortController();
  let asked = 0;
  const watched = Object.defineProperty(request(), "signal", {
    get: () => (asked++, controller.signal),
  });
  platform.ask(watched);
  for (const expected of [0, 1, 1]) {
    platform.timers.fire(look);
    assertEquals(asked, expected);
  }
  controller.abort();
  await turn();
  assertInstanceOf(cause(held.ctxs[0]!), ClientGone);
  held.release();
  server.shutdown({ grace: 0 });
  await server.finished;
});

for (const looks of [0, 1]) {
  const name = looks === 0
    ? "a request whose client has gone"
    : "GET /forgotten";
  Deno.test(`finished names a request that Deno forgets after ${looks} looks: ${name}`, async () => {
    using platform = new FakePlatform();
    const held = new Held();
    const server = serveHttp(background(), {}, held.handler);
    const forgotten = request("/forgotten");
    platform.ask(forgotten);
    for (let i = 0; i < looks; i++) platform.timers.fire(look);
    Object.defineProperty(forgotten, "url", {
      get() {
        throw new TypeError("request closed");
      },
    });
    server.shutdown();
    await turn();
    const finished = server.shutdown({ grace: 0 });
    await turn();
    platform.timers.fire(lastCall);
    const { forcedRequests, lingering } = await finished;
    assertEquals([forcedRequests, lingering], [[name], [name]]);
    held.release();
    platform.timers.fire(lastArrivals);
    await turn();
  });
}

Deno.test("serveHttp() reports a handler that fails after Deno has forgotten its request", async () => {
  using platform = new FakePlatform();
  const failure = new Error("too late");
  const errors: unknown[] = [];
  const server = serveHttp(
    background(),
    { onError: (error) => errors.push(error) },
    () => {
      throw failure;
    },
  );
  const forgotten = Object.defineProperty(request(), "url", {
    get() {
      throw new TypeError("request closed");
    },
  });
  assertEquals((await platform.ask(forgotten)).status, 500);
  assertEquals(errors, [failure]);
  await server.shutdown({ grace: 0 });
});

Deno.test("serveHttp() looks at no request after the end of the grace period, and leaves no timer", async () => {
  using platform = new FakePlatform();
  const held = new Held();
  const server = serveHttp(background(), {}, held.handler);
  const reply = platform.ask(request());
  server.shutdown();
  await turn();
  assertEquals(platform.timers.pending, [look, lastArrivals]);
  server.shutdown({ grace: 0 });
  await turn();
  assertEquals(platform.timers.pending, [lastArrivals, lastAnswers, lastCall]);
  assertEquals((await reply).status, 503);
  platform.timers.fire(lastCall);
  assertEquals((await server.finished).forcedRequests, ["GET /"]);
  assertEquals(platform.timers.pending, [lastArrivals]);
  held.release();
  platform.timers.fire(lastArrivals);
  await turn();
});

Deno.test("serveHttp() leaves no timer if the grace period ends while it waits for silent clients", async () => {
  using platform = new FakePlatform();
  platform.shutdown = () => new Promise(() => {});
  const server = serveHttp(background(), {}, () => new Response());
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await turn();
  assertEquals(platform.timers.pending, [flush]);
  server.shutdown({ grace: 0 });
  await turn();
  assertEquals(platform.timers.pending, [flush, lastAnswers, lastCall]);
  platform.timers.fire(lastCall);
  const { lingering } = await server.finished;
  assertEquals(lingering, ["a connection"]);
  await turn();
  assertEquals(platform.timers.pending, []);
});

// Deno.upgradeWebSocket() aborts the signal as well, and calls the response sent.

for (const looks of [0, 2]) {
  Deno.test(`serveHttp() does not take a request that Deno takes over after ${looks} looks for one whose client has gone`, async () => {
    using platform = new FakePlatform();
    const held = new Held();
    const server = serveHttp(background(), {}, held.handler);
    const { promise, resolve } = Promise.withResolvers<void>();
    const controller = new AbortController();
    const { signal } = controller;
    const taken = Object.defineProperty(request(), "signal", { value: signal });
    const info = { completed: promise } as Deno.ServeHandlerInfo;
    platform.servers[0]!.handler(taken, info);
    for (let i = 0; i < looks; i++) platform.timers.fire(look);
    resolve();
    controller.abort();
    await turn();
    platform.timers.fire(look);
    platform.timers.fire(look);
    await turn();
    assertEquals(held.ctxs[0]!.err, undefined);
    held.release();
    await server.shutdown({ grace: 0 });
  });
}

Deno.test("a request that Deno has taken over is over when its handler ends after the grace period", async () => {
  using platform = new FakePlatform();
  const held = new Held();
  const server = serveHttp(background(), {}, held.handler);
  const info = { completed: Promise.resolve() } as Deno.ServeHandlerInfo;
  platform.servers[0]!.handler(request(), info);
  server.shutdown();
  await turn();
  server.shutdown({ grace: 0 });
  await turn();
  assertEquals(server.inFlight, 1);
  held.release();
  await turn();
  assertEquals(server.inFlight, 0);
  platform.timers.fire(lastCall);
  assertEquals((await server.finished).forced, 1);
  platform.timers.fire(lastArrivals);
  await turn();
});

// Deno says that an answer has been sent when its client may still be reading it.

for (const looks of [0, 1]) {
  Deno.test(`serveHttp() drains until its connections are closed if it has answered ${looks} looks ago`, async () => {
    using platform = new FakePlatform();
    const { promise, resolve } = Promise.withResolvers<void>();
    platform.shutdown = () => promise;
    const server = serveHttp(background(), {}, () => new Response("read me"));
    await platform.ask(request());
    if (looks === 1) platform.timers.fire(look);
    platform.now += 59_999;
    server.shutdown();
    await turn();
    platform.timers.fire(lastArrivals);
    await turn();
    platform.timers.fire(look);
    assertEquals([server.state, platform.timers.pending], ["draining", []]);
    resolve();
    assertEquals((await server.finished).lingering, []);
  });
}

Deno.test("serveHttp() leaves the client of an answer behind when the grace period is over", async () => {
  using platform = new FakePlatform();
  platform.shutdown = () => new Promise(() => {});
  const server = serveHttp(background(), {}, () => new Response("read me"));
  await platform.ask(request());
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await turn();
  server.shutdown({ grace: 0 });
  await turn();
  platform.timers.fire(lastCall);
  const { forced, lingering } = await server.finished;
  assertEquals([forced, lingering], [0, ["a connection"]]);
  assertEquals(platform.timers.pending, []);
});

Deno.test("serveHttp() waits for its clients for 100 ms if its last answer is a minute old", async () => {
  using platform = new FakePlatform();
  platform.shutdown = () => new Promise(() => {});
  const server = serveHttp(background(), {}, () => new Response());
  await platform.ask(request());
  platform.timers.fire(look);
  platform.now += 60_000;
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await turn();
  assertEquals(platform.timers.pending, [flush]);
  platform.timers.fire(flush);
  assertEquals((await server.finished).lingering, ["a connection"]);
});

// Deno keeps the connection of an upload that is left unread, as it keeps that of a
// client that is still reading.

const uploads: [
  what: string,
  left: boolean,
  handler: (request: Request) => unknown,
][] = [
  ["left unread", true, () => {}],
  ["only looked at", true, (request) => request.body],
  ["canceled", true, (request) => request.body?.cancel()],
  [
    "read in part",
    true,
    async (request) => {
      const reader = request.body!.getReader();
      await reader.read();
      await reader.cancel();
    },
  ],
  ["read by text()", false, (request) => request.text()],
  ["read by the text() of a clone", false, (request) => request.clone().text()],
  [
    "read as a stream",
    false,
    async (request) => {
      for await (const _chunk of request.body!);
    },
  ],
  [
    "read as a stream of text",
    false,
    async (request) => {
      for await (const _chunk of request.textStream());
    },
  ],
  ["sent back", false, (request) => new Response(request.body)],
];

/** Limits in ms for closing the connections, after a shutdown on `platform`. */
async function limitOf(
  platform: FakePlatform,
  server: HttpServer,
): Promise<number[]> {
  platform.timers.fire(look);
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await turn();
  return platform.timers.pending;
}

for (const [what, left, f] of uploads) {
  const does = left ? "waits no longer than 100 ms" : "waits for its clients";
  Deno.test(`serveHttp() ${does} after an upload that was ${what}`, async () => {
    using platform = new FakePlatform();
    const { promise, resolve } = Promise.withResolvers<void>();
    platform.shutdown = () => promise;
    const server = serveHttp(background(), {}, async (_ctx, request) => {
      const result = await f(request);
      return result instanceof Response ? result : new Response();
    });
    await platform.ask(upload("some text"));
    assertEquals(await limitOf(platform, server), left ? [flush] : []);
    resolve();
    await server.finished;
  });
}

Deno.test("serveHttp() waits no longer than 100 ms after an upload that is left unread while it waits for its clients", async () => {
  using platform = new FakePlatform();
  platform.shutdown = () => new Promise(() => {});
  const server = serveHttp(background(), {}, () => new Response());
  await platform.ask(request());
  assertEquals(await limitOf(platform, server), []);
  // Deno breaks its body, since the server is closing.
  await platform.ask(upload("late"));
  await turn();
  assertEquals(platform.timers.pending, [look, flush]);
  platform.timers.fire(flush);
  assertEquals((await server.finished).lingering, ["a connection"]);
});

Deno.test("serveHttp() waits no longer than 100 ms after an upload that was declared too long", async () => {
  using platform = new FakePlatform();
  const { promise, resolve } = Promise.withResolvers<void>();
  platform.shutdown = () => promise;
  const options = { maxBodyBytes: 3 };
  const server = serveHttp(background(), options, () => new Response());
  assertEquals((await platform.ask(upload("too long"))).status, 413);
  assertEquals(await limitOf(platform, server), [flush]);
  resolve();
  await server.finished;
});

Deno.test("serveHttp() waits for its clients a minute after an upload that was left unread", async () => {
  using platform = new FakePlatform();
  const { promise, resolve } = Promise.withResolvers<void>();
  platform.shutdown = () => promise;
  const server = serveHttp(background(), {}, () => new Response());
  await platform.ask(upload("unread"));
  platform.now += 60_000;
  await platform.ask(request());
  assertEquals(await limitOf(platform, server), []);
  resolve();
  await server.finished;
});

for (const isForced of [false, true]) {
  const when = isForced ? "of the grace period" : "of the drain";
  Deno.test(`serveHttp() answers 503 without calling the handler after the end ${when}`, async () => {
    using platform = new FakePlatform();
    const held = new Held();
    const server = serveHttp(background(), {}, held.handler);
    const first = platform.ask(request());
    server.shutdown();
    await turn();
    if (isForced) {
      server.shutdown({ grace: 0 });
      await turn();
    } else {
      held.release();
      await first;
      platform.timers.fire(lastArrivals);
      await server.finished;
    }
    const reply = await platform.ask(request());
    assertEquals([reply.status, reply.headers.get("connection")], [
      503,
      "close",
    ]);
    assertEquals(held.ctxs.length, 1);
    if (isForced) platform.timers.fire(lastCall);
    // The handler has ended too late to be counted among the drained.
    held.release();
    await turn();
    const { refused, drained } = await server.finished;
    assertEquals([refused, drained], isForced ? [1, 0] : [0, 1]);
    if (isForced) platform.timers.fire(lastArrivals);
    await turn();
  });
}

Deno.test("serveHttp() waits for handlers that react to the end of the grace period, and counts none as drained", async () => {
  using platform = new FakePlatform();
  const held = new Held();
  const server = serveHttp(background(), {}, held.handler);
  platform.ask(request());
  server.shutdown();
  await turn();
  server.shutdown({ grace: 0 });
  await turn();
  held.release();
  await turn();
  assertEquals(server.inFlight, 0);
  for (const ms of [lastArrivals, lastAnswers]) platform.timers.fire(ms);
  const { drained, forced } = await server.finished;
  assertEquals([drained, forced], [0, 1]);
});

/**
 * Turns of the event loop that a drain waits for. `turns` are the times in ms that
 * they take, or "request" if one arrives in that turn; 0 ms after the last one.
 */
async function turnsOf(
  turns: readonly (number | "request")[],
): Promise<number> {
  using platform = new FakePlatform();
  const server = serveHttp(background(), {}, () => new Response());
  let count = 0;
  platform.onTurn = () => {
    const each = turns[count++] ?? 0;
    if (each === "request") platform.ask(request());
    else platform.now += each;
  };
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await server.finished;
  assertEquals(platform.servers[0]!.shutdowns, 1);
  return count;
}

for (
  const [what, turns, expected] of [
    ["after 4 quiet turns", [], 4],
    ["only after 4 in a row", [0, 0, 0, 1], 8],
    ["after turns of less than 1 ms", [0.9, 0.9, 0.9, 0.9], 4],
    ["only after 4 turns without a request", [0, 0, "request"], 7],
    ["after 60 turns at most", new Array(100).fill(1), 60],
  ] as [string, (number | "request")[], number][]
) {
  Deno.test(`serveHttp() stops listening ${what}`, async () => {
    assertEquals(await turnsOf(turns), expected);
  });
}

Deno.test("serveHttp() waits for no further turn once the grace period is over", async () => {
  using platform = new FakePlatform();
  const server = serveHttp(background(), {}, () => new Response());
  let count = 0;
  platform.onTurn = () => {
    count++;
    server.shutdown({ grace: 0 });
  };
  server.shutdown();
  await turn();
  platform.timers.fire(lastArrivals);
  await turn();
  assertEquals(count, 1);
  platform.timers.fire(lastAnswers);
  await server.finished;
});

Deno.test("maxInFlight of 0 refuses every request", async () => {
  using platform = new FakePlatform();
  const server = serveHttp(
    background(),
    { maxInFlight: 0 },
    () => new Response(),
  );
  assertEquals((await platform.ask(request())).status, 503);
  await server.shutdown({ grace: 0 });
});

Deno.test("maxBodyBytes of 0 refuses every body", async () => {
  using platform = new FakePlatform();
  const server = serveHttp(
    background(),
    { maxBodyBytes: 0 },
    async (_ctx, request) => new Response(await request.text()),
  );
  const post = { method: "POST", body: "x" };
  const reply = await platform.ask(new Request(request(), post));
  assertEquals(reply.status, 413);
  await server.shutdown({ grace: 0 });
});
