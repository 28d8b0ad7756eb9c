import {
  background,
  cause,
  type Context,
  createKey,
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
import { RecordingOwner } from "../context/recording_owner.ts";
import { realTimers } from "../../net/real_timers.ts";
import { ServerBase } from "../../net/server_base.ts";
import type { ServerOptions } from "../../net/server.ts";
import { ServerLifetime, type ServerWork } from "../../net/server_lifetime.ts";

const addr: Deno.NetAddr = {
  transport: "tcp",
  hostname: "127.0.0.1",
  port: 8000,
};

/** A server whose work ends when the test says so. */
class TestServer extends ServerBase<Deno.NetAddr, string> {
  readonly lifetime: ServerLifetime<Deno.NetAddr, string>;
  readonly work = new TestWork();
  readonly errors: unknown[] = [];

  constructor(
    ctx: Context,
    options: ServerOptions & { onError?: () => void } = {},
  ) {
    const errors: unknown[] = [];
    const lifetime = new ServerLifetime<Deno.NetAddr, string>(
      "serveTest",
      ctx,
      addr,
      options,
      (error) => errors.push(error),
    );
    super(lifetime);
    this.errors = errors;
    this.lifetime = lifetime;
    lifetime.start(this.work);
  }
}

class TestWork implements ServerWork<string> {
  readonly log: string[] = [];
  readonly drained: PromiseWithResolvers<void> = Promise.withResolvers();

  drain(): Promise<void> {
    this.log.push("drain");
    return this.drained.promise;
  }

  cut(): void {
    this.log.push("cut");
  }

  report(): string {
    return this.log.join(", ");
  }

  inFlight(): string | undefined {
    return "2 things in flight";
  }
}

/** Lets everything run that waits for no timer. */
function turn(): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve));
}

/** Moves the fake clock, and lets everything run that waited for it. */
async function pass(time: FakeTime, ms: number): Promise<void> {
  await time.tickAsync(ms);
  await turn();
}

Deno.test("a server drains when its ctx is done, and is closed once its work has ended", async () => {
  const ctx = withCancel(background());
  const states: string[] = [];
  const server = new TestServer(ctx, {
    onStateChange: (state) => states.push(state),
  });
  assertEquals([server.state, server.ready], ["serving", true]);
  ctx.cancel("deploy");
  assertEquals([server.state, server.ready], ["draining", false]);
  await turn();
  assertEquals(server.work.log, ["drain"]);
  assertEquals(cause(server.lifetime.draining), "deploy");
  assertEquals(server.lifetime.handlers.err, undefined);
  server.work.drained.resolve();
  assertEquals(await server.finished, "drain");
  assertEquals(server.state, "closed");
  assertEquals(states, ["draining", "closed"]);
});

Deno.test("once a server is closed, the contexts of handlers are done, and not because of the grace period", async () => {
  const server = new TestServer(background());
  const { handlers } = server.lifetime;
  server.work.drained.resolve();
  await server.shutdown();
  assert(handlers.err !== undefined);
  assertStrictEquals(cause(handlers), handlers.err);
});

Deno.test("a server takes new work during the lame duck, in which its draining ctx is open", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const states: string[] = [];
  const server = new TestServer(ctx, {
    lameDuck: 500,
    onStateChange: (state) => states.push(state),
  });
  ctx.cancel("deploy");
  assertEquals([server.state, server.ready], ["lame-duck", false]);
  await pass(time, 499);
  assertEquals(server.work.log, []);
  assertEquals(server.lifetime.draining.err, undefined);
  await pass(time, 1);
  assertEquals(cause(server.lifetime.draining), "deploy");
  assertEquals(server.state, "draining");
  server.work.drained.resolve();
  assertEquals(await server.finished, "drain");
  assertEquals(states, ["lame-duck", "draining", "closed"]);
});

Deno.test("a server cuts its work when the grace period is over, after it has canceled it", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = new TestServer(ctx, { lameDuck: 500, grace: 1_000 });
  const { handlers } = server.lifetime;
  ctx.cancel("deploy");
  await pass(time, 500);
  await pass(time, 999);
  assertEquals(handlers.err, undefined);
  await pass(time, 1);
  const why = cause(handlers) as Error;
  assertEquals(
    [why.message, why.cause],
    ["serveTest: the grace period of 1000 ms is over", "deploy"],
  );
  assertEquals(server.work.log, ["drain", "cut"]);
  assertEquals(await server.finished, "drain, cut");
});

Deno.test("shutdown() without a grace period keeps the lame duck", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const server = new TestServer(ctx, { lameDuck: 500 });
  const ended = server.shutdown({ cause: "deploy" });
  assertEquals(server.state, "lame-duck");
  await pass(time, 500);
  assertEquals(server.state, "draining");
  assertEquals(server.lifetime.cause, "deploy");
  server.work.drained.resolve();
  assertEquals(await ended, "drain");
  assertEquals(ctx.err, undefined);
});

Deno.test("shutdown() with a grace period ends the lame duck", async () => {
  using time = new FakeTime();
  const server = new TestServer(background(), { lameDuck: 500 });
  server.shutdown({ cause: "deploy" });
  await pass(time, 100);
  server.shutdown({ cause: "hurry", grace: 200 });
  assertEquals(server.state, "draining");
  assertEquals(cause(server.lifetime.draining), "deploy");
  await pass(time, 199);
  assertEquals(server.work.log, ["drain"]);
  await pass(time, 1);
  assertEquals(await server.finished, "drain, cut");
});

Deno.test("shutdown() shortens the grace period and never extends it", async () => {
  using time = new FakeTime();
  const server = new TestServer(background(), { grace: 1_000 });
  server.shutdown({ grace: 5_000 });
  server.shutdown({ grace: 600 });
  server.shutdown({ grace: 700 });
  await pass(time, 599);
  assertEquals(server.work.log, ["drain"]);
  await pass(time, 1);
  assertEquals(server.work.log, ["drain", "cut"]);
  await server.finished;
});

Deno.test("shutdown() with a grace period of 0 cancels the work before it returns", async () => {
  const server = new TestServer(background());
  server.shutdown({ grace: 0 });
  assert(server.lifetime.isCut);
  assertEquals(await server.finished, "drain, cut");
});

Deno.test("shutdown() returns the same promise every time", async () => {
  const server = new TestServer(background());
  server.work.drained.resolve();
  const ended = server.shutdown();
  assertStrictEquals(server.shutdown({ cause: "again" }), ended);
  assertStrictEquals(server.finished, ended);
  await ended;
  assertStrictEquals(server.shutdown({ grace: 0 }), ended);
});

for (
  const [given, shown] of [
    [new Error("deploy"), "an Error"],
    ["deploy", "string"],
    [null, "object"],
  ]
) {
  Deno.test(`shutdown() throws if it is given ${shown} instead of options`, async () => {
    await using server = new TestServer(background());
    server.work.drained.resolve();
    assertThrows(
      () => server.shutdown(given as never),
      TypeError,
      "serveTest: shutdown() expects options such as { cause, grace }, got " +
        shown,
    );
    assert(server.ready);
  });
}

for (const grace of [-1, NaN, "5"]) {
  Deno.test(`shutdown() throws if the grace period is ${Deno.inspect(grace)}`, async () => {
    await using server = new TestServer(background());
    server.work.drained.resolve();
    assertThrows(
      () => server.shutdown({ grace: grace as number }),
      RangeError,
      "serveTest: grace must be a number",
    );
    assert(server.ready);
  });
}

Deno.test("onShutdown() hooks run one after another, the last one first, and finished waits for them", async () => {
  const server = new TestServer(background());
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  server.onShutdown(() => log.push("first"));
  server.onShutdown(async (ctx) => {
    log.push(`last, ${server.ready}, ${ctx.err}`);
    await gate.promise;
  });
  server.work.drained.resolve();
  let isFinished = false;
  const finished = server.shutdown().then(() => isFinished = true);
  await turn();
  assertEquals(log, ["last, false, undefined"]);
  assertEquals(isFinished, false);
  gate.resolve();
  await finished;
  assertEquals(log, ["last, false, undefined", "first"]);
});

Deno.test("onShutdown() calls the hook at once when the shutdown has begun", async () => {
  const server = new TestServer(background());
  server.shutdown();
  let calls = 0;
  server.onShutdown(() => calls++);
  assertEquals(calls, 1);
  server.work.drained.resolve();
  await server.finished;
  assertEquals(calls, 1);
});

Deno.test("finished waits for a hook that is registered during the drain", async () => {
  const server = new TestServer(background());
  server.shutdown();
  await turn();
  const hook = Promise.withResolvers<void>();
  server.onShutdown(() => hook.promise);
  server.work.drained.resolve();
  await turn();
  assertEquals(server.state, "draining");
  hook.resolve();
  await server.finished;
  assertEquals(server.work.log, ["drain"]);
});

Deno.test("a hook that throws is reported and keeps no other from running", async () => {
  const server = new TestServer(background());
  let calls = 0;
  server.onShutdown(() => calls++);
  server.onShutdown(() => {
    throw "no registry";
  });
  server.work.drained.resolve();
  await server.shutdown();
  assertEquals([calls, server.errors], [1, ["no registry"]]);
});

Deno.test("onShutdown() throws if it is not given a function", async () => {
  await using server = new TestServer(background());
  server.work.drained.resolve();
  assertThrows(
    () => server.onShutdown(undefined as never),
    TypeError,
    "serveTest: onShutdown() expects a function",
  );
});

Deno.test("an onStateChange that throws is reported and changes nothing else", async () => {
  const server = new TestServer(background(), {
    onStateChange: (state) => {
      throw state;
    },
  });
  server.work.drained.resolve();
  await server.shutdown();
  assertEquals(server.errors, ["draining", "closed"]);
});

Deno.test("a hook cannot hold up finished beyond the grace period", async () => {
  using time = new FakeTime();
  const server = new TestServer(background(), { grace: 100 });
  let why: unknown;
  server.onShutdown(async (ctx) => {
    await ctx.done;
    why = cause(ctx);
    await new Promise(() => {});
  });
  server.work.drained.resolve();
  server.shutdown();
  await pass(time, 100);
  await server.finished;
  assertInstanceOf(why, Error);
});

Deno.test("fail() reports the failure, drains, and rejects finished with its cause", async () => {
  const ctx = withCancel(background());
  const server = new TestServer(ctx, { lameDuck: 60_000 });
  const socketError = new Error("bad file descriptor");
  server.lifetime.fail(socketError, "listener");
  server.lifetime.fail(new Error("a second one"), "listener");
  assertEquals(server.state, "draining");
  assertEquals(server.errors.length, 1);
  server.work.drained.resolve();
  const error = await assertRejects(
    () => server.finished,
    Error,
    "serveTest: the listener at 127.0.0.1:8000 failed: bad file descriptor",
  );
  assertStrictEquals(error.cause, socketError);
  assertStrictEquals(error, server.errors[0]);
  assertStrictEquals(error, server.lifetime.cause);
  assertEquals([server.state, ctx.err], ["closed", undefined]);
});

Deno.test("fail() tells the program at once, which prints the failure if there is no onError", async () => {
  const owner = new RecordingOwner();
  const server = new TestServer(owner.ctx);
  server.lifetime.fail("gone", "listener");
  assertEquals(owner.failures, [server.lifetime.cause]);
  assertEquals(server.errors, []);
  assertEquals(owner.works.size, 1);
  server.work.drained.resolve();
  await assertRejects(() => server.finished);
  assertEquals(owner.works.size, 0);
});

Deno.test("fail() tells onError as well as the program", async () => {
  const owner = new RecordingOwner();
  const server = new TestServer(owner.ctx, { onError: () => {} });
  server.lifetime.fail("gone", "listener");
  assertEquals(server.errors, owner.failures);
  server.work.drained.resolve();
  await assertRejects(() => server.finished);
});

Deno.test("a failure that nobody awaits is no unhandled rejection", async () => {
  const unhandled: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listener);
  const server = new TestServer(background());
  server.work.drained.resolve();
  server.lifetime.fail("gone", "socket");
  while (server.state !== "closed") await turn();
  await turn();
  globalThis.removeEventListener("unhandledrejection", listener);
  assertEquals(unhandled, []);
});

Deno.test("a failure during the drain rejects finished too", async () => {
  const server = new TestServer(background());
  server.shutdown({ cause: "deploy" });
  await turn();
  server.lifetime.fail("gone", "socket");
  assertEquals(server.lifetime.cause, "deploy");
  server.work.drained.resolve();
  await assertRejects(() => server.finished, Error, "the socket at 127.0.0.1");
});

Deno.test("start() throws what onListen throws, and leaves nothing behind", () => {
  const owner = new RecordingOwner();
  using ctx = withCancel(owner.ctx);
  const log: unknown[] = [];
  const failure = new Error("no listener today");
  const lifetime = new ServerLifetime<Deno.NetAddr, string>(
    "serveTest",
    ctx,
    addr,
    {
      lameDuck: 1_000,
      onListen: (addr) => {
        log.push(addr);
        throw failure;
      },
    },
    () => {},
  );
  const work = new TestWork();
  const error = assertThrows(() => lifetime.start(work));
  assertStrictEquals(error, failure);
  assertEquals([log, work.log], [[addr], ["cut"]]);
  assert(lifetime.draining.err !== undefined, "draining is left behind");
  assertEquals(snapshot(ctx).children.length, 0);
  assertEquals(owner.running, []);
});

Deno.test("the contexts of handlers are done once the server is closed", async () => {
  const server = new TestServer(background());
  const { handlers } = server.lifetime;
  server.work.drained.resolve();
  await server.shutdown();
  assertInstanceOf(handlers.err, DOMException);
});

Deno.test("a grace period of 0 cuts as soon as the server drains", async () => {
  // A default grace period would never be over.
  using _time = new FakeTime();
  const server = new TestServer(background(), { grace: 0 });
  server.shutdown();
  assertEquals(await server.finished, "drain, cut");
});

Deno.test("finished waits no longer once the work has ended after the cut", async () => {
  const server = new TestServer(background());
  const { work } = server;
  const { cut } = work;
  work.cut = () => {
    cut.call(work);
    work.drained.resolve();
  };
  // A timer that goes on would fail the test.
  assertEquals(await server.shutdown({ grace: 0 }), "drain, cut");
});

Deno.test("a closed server holds no process", async () => {
  const script = new URL("testdata/closed_server.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", script],
    stderr: "inherit",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "closed\n");
});

Deno.test("graceLeft counts down from the start of the drain", async () => {
  using time = new FakeTime();
  const server = new TestServer(background(), { lameDuck: 10, grace: 1_000 });
  const { lifetime } = server;
  server.shutdown();
  assertEquals([lifetime.graceLeft, lifetime.isCut], [Infinity, false]);
  await pass(time, 10);
  assertEquals(lifetime.graceLeft, 1_000);
  await pass(time, 300);
  assertEquals(lifetime.graceLeft, 700);
  server.shutdown({ grace: 100 });
  assertEquals(lifetime.graceLeft, 100);
  await pass(time, 100);
  assertEquals([lifetime.graceLeft, lifetime.isCut], [0, true]);
  await server.finished;
});

Deno.test("duration counts from the beginning of the shutdown", async () => {
  const server = new TestServer(background());
  await turn();
  const before = performance.now();
  server.shutdown();
  await turn();
  const { duration } = server.lifetime;
  assert(duration > 0 && duration <= performance.now() - before);
  server.work.drained.resolve();
  await server.finished;
});

Deno.test("a failure of work that its caller awaits is neither reported nor the program's", async () => {
  const owner = new RecordingOwner();
  const errors: unknown[] = [];
  const lifetime = new ServerLifetime<Deno.NetAddr, string>(
    "serveTest",
    owner.ctx,
    addr,
    { onError: () => {} },
    (error) => errors.push(error),
  );
  const work = new TestWork();
  lifetime.start(work, true);
  lifetime.fail("gone", "socket");
  work.drained.resolve();
  await assertRejects(() => lifetime.finished);
  await turn();
  assertEquals([errors, owner.failures, owner.works.size], [[], [], 0]);
});

Deno.test("a server describes itself without work in flight by its address", async () => {
  const owner = new RecordingOwner();
  const server = new TestServer(owner.ctx);
  server.work.inFlight = () => undefined;
  assertEquals(owner.running, ["serveTest 127.0.0.1:8000"]);
  server.work.drained.resolve();
  await server.shutdown();
});

for (
  const [error, how] of [
    [new Error("no such device"), "failed: no such device"],
    ["no such device", "failed"],
    [new Deno.errors.BadResource("closed"), "was closed by other code"],
    [new Deno.errors.Interrupted("canceled"), "was closed by other code"],
  ] as const
) {
  Deno.test(`fail() says that the socket ${how} if it gets ${Deno.inspect(error).split("\n")[0]}`, async () => {
    const server = new TestServer(background());
    server.lifetime.fail(error, "socket");
    server.work.drained.resolve();
    const { message } = await assertRejects(() => server.finished, Error);
    assertEquals(message, `serveTest: the socket at 127.0.0.1:8000 ${how}`);
  });
}

Deno.test("fail() does nothing once the server is closed", async () => {
  const server = new TestServer(background());
  server.work.drained.resolve();
  await server.shutdown();
  server.lifetime.fail("late", "socket");
  assertEquals(server.errors, []);
});

Deno.test("a server's handlers have the values of its ctx", async () => {
  const key = createKey<string>("name");
  await using server = new TestServer(withValue(background(), key, "dns"));
  server.work.drained.resolve();
  assertEquals(server.lifetime.handlers.value(key), "dns");
});

Deno.test("a server says where it listens and what it holds until it is closed, and leaves nothing on ctx", async () => {
  const owner = new RecordingOwner();
  using ctx = withCancel(owner.ctx);
  const server = new TestServer(ctx, { lameDuck: 10_000 });
  assertEquals(
    owner.running,
    ["serveTest 127.0.0.1:8000 with 2 things in flight"],
  );
  server.shutdown({ grace: 10_000 });
  server.work.drained.resolve();
  await server.finished;
  assertEquals(owner.running, []);
  assertEquals(snapshot(ctx).children.length, 0);
});
