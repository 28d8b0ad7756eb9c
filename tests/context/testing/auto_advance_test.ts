// Fake time that passes by itself.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
// deno-lint-ignore no-import-prefix
import { createClock, install } from "npm:@sinonjs/fake-timers@15.5.0";
import {
  background,
  every,
  group,
  orDone,
  retry,
  serveHttp,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";
import {
  autoAdvance,
  type AutoAdvanceOptions,
  type TestClock,
} from "@curfew/context/testing";

/** Fails the test in real time if nothing wakes it. */
function uninstallAfter(clock: { uninstall(): void }): Disposable {
  return { [Symbol.dispose]: () => clock.uninstall() };
}

Deno.test("autoAdvance() lets a poll loop with retries of 30 minutes pass by itself", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  let polls = 0;
  let failures = 0;
  using ctx = withTimeout(background(), 30 * 60_000);
  for await (const _ of every(ctx, 10_000)) {
    await retry(ctx, () => {
      if (++failures % 2 === 1) throw new Error("unreachable");
    });
    polls++;
  }
  assertEquals(polls, 179);
  assertEquals(clock.elapsed, 30 * 60_000);
});

Deno.test("autoAdvance() moves sinon's clock", async () => {
  const time = install();
  using _restore = uninstallAfter(time);
  using clock = autoAdvance(time);
  await sleep(background(), 60_000);
  assertEquals(clock.elapsed, 60_000);
});

Deno.test("autoAdvance() moves vitest's vi, by its shape", async () => {
  const time = install();
  using _restore = uninstallAfter(time);
  const vi = {
    advanceTimersToNextTimer: () => void time.next(),
    getTimerCount: () => time.countTimers(),
  };
  using clock = autoAdvance(vi);
  await sleep(background(), 60_000);
  assertEquals(clock.elapsed, 60_000);
});

Deno.test("autoAdvance() moves timers that are not ours", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
  assertEquals(clock.elapsed, 60_000);
});

Deno.test("autoAdvance() fires timers due at the same time in order of creation", async () => {
  using time = new FakeTime();
  using _clock = autoAdvance(time);
  const order: string[] = [];
  const waits = [
    new Promise((resolve) => setTimeout(resolve, 100)).then(() =>
      order.push("timer")
    ),
    sleep(background(), 100).then(() => order.push("sleep")),
    sleep(background(), 100).then(() => order.push("second sleep")),
  ];
  await Promise.all(waits);
  assertEquals(order, ["timer", "sleep", "second sleep"]);
});

Deno.test("autoAdvance() waits for microtasks before it moves", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  using ctx = withTimeout(background(), 1_000);
  for (let i = 0; i < 10_000; i++) await undefined;
  assertEquals(ctx.err, undefined);
  assertEquals(clock.elapsed, 0);
});

Deno.test("autoAdvance() stops for real() until the promise has settled", async () => {
  const { setTimeout } = globalThis;
  using time = new FakeTime();
  using clock = autoAdvance(time);
  using ctx = withTimeout(background(), 5_000);
  const reply = clock.real(
    new Promise<string>((resolve) => setTimeout(resolve, 30, "reply")),
  );
  assertEquals(await orDone(ctx, reply), "reply");
  assertEquals(ctx.err, undefined);
  const failed = clock.real(Promise.reject(new Error("refused")));
  await assertRejects(() => failed, Error, "refused");
  await ctx.done;
  assertEquals(clock.elapsed, 5_000);
});

Deno.test("autoAdvance() with quiet leaves a real server the time to answer", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time, { quiet: 20 });
  await using server = serveHttp(
    background(),
    { hostname: "127.0.0.1", port: 0 },
    async (ctx) => {
      using step = withTimeout(ctx, 5_000);
      await step.done;
      return new Response(step.err?.name);
    },
  );
  using ctx = withTimeout(background(), 60_000);
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const reply = await fetch(url, { signal: ctx.signal });
  assertEquals(await reply.text(), "TimeoutError");
  assert(clock.elapsed < 60_000);
});

Deno.test("idle() resolves when no timer is left", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  const done: number[] = [];
  const tasks = group(background());
  for (const minutes of [1, 2, 3]) {
    tasks.go(async (ctx) => {
      await sleep(ctx, minutes * 60_000);
      done.push(minutes);
    });
  }
  await clock.idle();
  assertEquals(done, [1, 2, 3]);
  assertEquals(clock.elapsed, 180_000);
  await tasks.wait();
});

Deno.test("idle() rejects at a deadlock, and names what waits with its line", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  using ctx = withCancel(background());
  const never = sleep(ctx, Infinity).catch(() => {});
  const other = orDone(ctx, new Promise(() => {})).catch(() => {});
  const error = await assertRejects(() => clock.idle(), Error, "deadlock");
  const [, ...lines] = error.message.split("\n");
  assertEquals(lines.length, 2);
  assert(
    /^ {2}sleep\(Infinity\) at .*auto_advance_test\.ts:\d+:\d+$/.test(
      lines[0]!,
    ),
    lines[0],
  );
  assert(
    /^ {2}orDone at .*auto_advance_test\.ts:\d+:\d+$/.test(lines[1]!),
    lines[1],
  );
  ctx.cancel();
  await Promise.all([never, other]);
});

Deno.test("idle() rejects with what a timer throws", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  setTimeout(() => {
    throw new Error("out of paper");
  }, 1_000);
  await assertRejects(() => clock.idle(), Error, "out of paper");
});

Deno.test("autoAdvance() leaves what a timer throws unhandled if nothing waits in idle()", async () => {
  const unhandled = Promise.withResolvers<PromiseRejectionEvent>();
  addEventListener("unhandledrejection", unhandled.resolve);
  using stack = new DisposableStack();
  stack.defer(() =>
    removeEventListener("unhandledrejection", unhandled.resolve)
  );
  addEventListener("unhandledrejection", (event) => event.preventDefault(), {
    once: true,
  });
  using time = new FakeTime();
  using _clock = autoAdvance(time);
  setTimeout(() => {
    throw new Error("out of paper");
  }, 1_000);
  const { reason } = await unhandled.promise;
  assertEquals(reason.message, "out of paper");
});

Deno.test("idle() rejects at a deadlock in a task of a group", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  await using tasks = group(background());
  tasks.go((ctx) => sleep(ctx, Infinity));
  await assertRejects(() => clock.idle(), Error, "sleep(Infinity) at ");
});

Deno.test("idle() does not take a server that waits for requests for a deadlock", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time);
  await using _server = serveHttp(
    background(),
    { hostname: "127.0.0.1", port: 0 },
    () => new Response(),
  );
  await clock.idle();
});

Deno.test("idle() does not take a request whose client can leave for a deadlock", async () => {
  using time = new FakeTime();
  using clock = autoAdvance(time, { quiet: 20 });
  const arrived = Promise.withResolvers<void>();
  await using server = serveHttp(
    background(),
    { hostname: "127.0.0.1", port: 0, grace: 0 },
    async (ctx) => {
      arrived.resolve();
      await sleep(ctx, Infinity);
      return new Response();
    },
  );
  const reply = fetch(`http://127.0.0.1:${server.addr.port}/`)
    .then((reply) => reply.body?.cancel(), () => {});
  await arrived.promise;
  await clock.idle();
  await server.shutdown();
  await reply;
});

Deno.test("idle() waits for what real() waits for", async () => {
  const { setTimeout } = globalThis;
  using time = new FakeTime();
  using clock = autoAdvance(time);
  let isOver = false;
  const real = clock.real(new Promise((resolve) => setTimeout(resolve, 50)))
    .then(() => isOver = true);
  await clock.idle();
  assertEquals(isOver, true);
  await real;
});

Deno.test("idle() waits for all timers of sinon's clock", async () => {
  const time = install();
  using _restore = uninstallAfter(time);
  using clock = autoAdvance(time);
  let fired = 0;
  for (let i = 1; i <= 20; i++) setTimeout(() => fired++, i * 1_000);
  await clock.idle();
  assertEquals([fired, clock.elapsed], [20, 20_000]);
});

Deno.test("idle() resolves once the clock is disposed of", async () => {
  using time = new FakeTime();
  const clock = autoAdvance(time);
  clock[Symbol.dispose]();
  await clock.idle();
});

Deno.test("elapsed keeps its value once the clock is disposed of and removed", async () => {
  const time = new FakeTime(0);
  const clock = autoAdvance(time);
  await sleep(background(), 60_000);
  clock[Symbol.dispose]();
  time.restore();
  assertEquals(clock.elapsed, 60_000);
});

Deno.test("autoAdvance() leaves the clock alone once it is disposed of", async () => {
  const { setTimeout } = globalThis;
  using time = new FakeTime();
  const clock = autoAdvance(time);
  const idle = clock.idle();
  clock[Symbol.dispose]();
  clock[Symbol.dispose]();
  await idle;
  using ctx = withTimeout(background(), 1_000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals([ctx.err, clock.elapsed], [undefined, 0]);
});

for (
  const wrong of [
    undefined,
    null,
    5,
    {},
    { advanceTimersToNextTimer: 1 },
    createClock,
  ]
) {
  Deno.test(`autoAdvance(${typeof wrong === "function" ? "a function" : JSON.stringify(wrong)}) is a TypeError`, () => {
    assertThrows(
      () => autoAdvance(wrong as unknown as TestClock),
      TypeError,
      "autoAdvance: expected a FakeTime",
    );
  });
}

for (const quiet of [-1, NaN, "1"]) {
  Deno.test(`autoAdvance() with quiet ${quiet} is a RangeError`, () => {
    using time = new FakeTime();
    assertThrows(
      () => autoAdvance(time, { quiet: quiet as number }),
      RangeError,
      "autoAdvance: expected quiet in milliseconds >= 0",
    );
  });
}

Deno.test("autoAdvance() with a number instead of options is a TypeError", () => {
  using time = new FakeTime();
  assertThrows(
    () => autoAdvance(time, 20 as AutoAdvanceOptions),
    TypeError,
    "autoAdvance: expected an object with options, got 20",
  );
});
