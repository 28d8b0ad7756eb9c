// The listener by itself: Deno.serve, the timers and the clock are replaced.

import { assertEquals, assertThrows } from "@std/assert";
import {
  HttpListener,
  type HttpListenOptions,
} from "../../../net/http/http_listener.ts";
import { FakePlatform } from "./fake_platform.ts";

/** A listener, and the errors that it has told of. */
function listen(options: HttpListenOptions = { port: 0 }): {
  listener: HttpListener;
  interruptions: unknown[];
  failures: unknown[];
} {
  const interruptions: unknown[] = [];
  const failures: unknown[] = [];
  const listener = new HttpListener(options, {
    serve: () => new Response(),
    sendFailed: () => new Response(),
    interrupted: (error) => interruptions.push(error),
    failed: (error) => failures.push(error),
  });
  return { listener, interruptions, failures };
}

/** Ends the pause before the listener listens again. */
function endPause({ timers }: FakePlatform): void {
  timers.fire(timers.pending[0]!);
}

const taken = () => new Deno.errors.AddrInUse("taken");
const exhausted = () =>
  Object.assign(new Error("too many open files"), { code: "EMFILE" });

for (
  const [name, options, expected] of [
    ["no options", {}, {}],
    ["a port", { port: 0 }, { port: 0 }],
    ["everything for TCP", {
      port: 80,
      hostname: "::1",
      reusePort: false,
      tls: { cert: "C", key: "K" },
    }, {
      port: 80,
      hostname: "::1",
      reusePort: false,
      cert: "C",
      key: "K",
    }],
    ["a path", { path: "/no/such.sock" }, { path: "/no/such.sock" }],
  ] as [string, HttpListenOptions, Record<string, unknown>][]
) {
  Deno.test(`HttpListener passes Deno only what it was given: ${name}`, async () => {
    using platform = new FakePlatform();
    const { listener } = listen(options);
    const { signal: _s, onListen: _l, onError: _e, ...given } =
      platform.servers[0]!.options;
    assertEquals(given, expected);
    await listener.close();
  });
}

for (const [options, port] of [[{}, 8_000], [{ port: 0 }, 0]] as const) {
  Deno.test(`HttpListener names port ${port} in its error for the options ${JSON.stringify(options)}`, () => {
    using platform = new FakePlatform();
    platform.failure = taken;
    assertThrows(
      () => listen(options),
      Deno.errors.AddrInUse,
      `serveHttp: port ${port} is already in use`,
    );
  });
}

Deno.test("HttpListener listens again at the port it was given first", async () => {
  using platform = new FakePlatform();
  const { listener, interruptions } = listen({ port: 0 });
  const error = new Error("no more");
  await platform.servers[0]!.end(error);
  assertEquals(interruptions, [error]);
  endPause(platform);
  assertEquals(platform.servers.map(({ options }) => options.port), [0, 4_321]);
  await listener.close();
  assertEquals(platform.servers.map(({ shutdowns }) => shutdowns), [1, 1]);
});

Deno.test("HttpListener pauses for longer and longer, and gives up a taken port after 10 attempts", async () => {
  using platform = new FakePlatform();
  const { failures, interruptions } = listen();
  await platform.servers[0]!.end();
  platform.failure = taken;
  while (platform.timers.pending.length > 0) {
    assertEquals(failures, []);
    endPause(platform);
  }
  assertEquals(
    platform.timers.set,
    [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000],
  );
  assertEquals(interruptions.map(String), [
    "Error: Deno has closed the server",
  ]);
  assertEquals(failures.map(String), [
    "AddrInUse: serveHttp: port 4321 is already in use",
  ]);
});

Deno.test("HttpListener waits without end for file descriptors, and then gives up a taken port at once", async () => {
  using platform = new FakePlatform();
  const { failures } = listen();
  await platform.servers[0]!.end();
  platform.failure = exhausted;
  for (let i = 0; i < 30; i++) endPause(platform);
  assertEquals([failures.length, platform.timers.pending], [0, [1_000]]);
  platform.failure = taken;
  endPause(platform);
  assertEquals([failures.length, platform.timers.pending], [1, []]);
});

for (const [lasted, next] of [[1_000, 10], [1_001, 5]] as const) {
  const isNew = next === 5;
  Deno.test(`HttpListener takes a failure after ${lasted} ms for ${isNew ? "a new one" : "the same one"}`, async () => {
    using platform = new FakePlatform();
    platform.now = 500;
    const { listener, interruptions } = listen();
    await platform.servers[0]!.end();
    platform.now = 600;
    endPause(platform);
    platform.now += lasted;
    await platform.servers[1]!.end();
    assertEquals(platform.timers.set, [5, next]);
    assertEquals(interruptions.length, isNew ? 2 : 1);
    await listener.close();
  });
}

Deno.test("HttpListener.close() shuts the server down once, and says when it is done", async () => {
  using platform = new FakePlatform();
  platform.shutdown = () => Promise.reject(new Error("it fails right now"));
  const { listener, interruptions } = listen();
  assertEquals([listener.isClosing, listener.hasConnections], [false, true]);
  const closing = listener.close();
  assertEquals([listener.isClosing, listener.hasConnections], [true, true]);
  await listener.close();
  await closing;
  await listener.closed;
  assertEquals([listener.isClosing, listener.hasConnections], [true, false]);
  listener.cut();
  const { options, shutdowns, end } = platform.servers[0]!;
  assertEquals([shutdowns, options.signal.aborted], [1, false]);
  await end();
  assertEquals([interruptions, platform.timers.pending], [[], []]);
});

Deno.test("HttpListener.cut() aborts the server, and says at once that it is done", async () => {
  using platform = new FakePlatform();
  const { listener, interruptions } = listen();
  listener.cut();
  assertEquals([listener.isClosing, listener.hasConnections], [true, false]);
  await listener.closed;
  await listener.close();
  const { options, shutdowns, end } = platform.servers[0]!;
  assertEquals([shutdowns, options.signal.aborted], [0, true]);
  await end();
  assertEquals([interruptions, platform.timers.pending], [[], []]);
});

for (const how of ["close", "cut"] as const) {
  Deno.test(`HttpListener.${how}() ends the pause before it would listen again`, async () => {
    using platform = new FakePlatform();
    const { listener } = listen();
    await platform.servers[0]!.end();
    assertEquals(platform.timers.pending, [5]);
    await listener[how]();
    assertEquals(
      [platform.timers.pending.length > 0, platform.servers.length],
      [
        false,
        1,
      ],
    );
  });
}
