import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  Canceled,
  type Context,
  DeadlineExceeded,
  sleep,
  snapshot,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { ChildProcess, test } from "./child_process.ts";
import { OwnSignal, Wrapper } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";

const hour = 3_600_000;

for (
  const ms of [1, 1000, hour, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 40]
) {
  Deno.test(`sleep() of ${ms} ms resolves after that and not before`, async () => {
    using time = new FakeTime();
    const slept = outcomeOf(sleep(background(), ms));
    await time.tickAsync(ms - 1);
    await time.runMicrotasks();
    assertEquals(slept.state, "pending");
    time.tick(1);
    await time.runMicrotasks();
    assertEquals(slept, { state: "resolved", value: undefined });
  });
}

for (const ms of [0, -0, -1, -hour, -Infinity]) {
  Deno.test(`sleep() of ${ms} ms waits for the event loop to turn, and no longer`, async () => {
    const slept = outcomeOf(sleep(background(), ms));
    for (let i = 0; i < 100; i++) await undefined;
    assertEquals(slept.state, "pending");
    await sleep(background(), ms);
    assertEquals(slept.state, "resolved");
  });

  Deno.test(`sleep() of ${ms} ms waits for the event loop to turn, even if something reads the clock before`, async () => {
    using ctx = withTimeout(background(), hour);
    const slept = outcomeOf(sleep(ctx, ms));
    const other = outcomeOf(sleep(ctx, ms));
    for (let i = 0; i < 100; i++) {
      withTimeout(ctx, hour).cancel();
      assertEquals(ctx.err, undefined);
      await undefined;
    }
    assertEquals(slept.state, "pending");
    await sleep(ctx, ms);
    assertEquals([slept.state, other.state], ["resolved", "resolved"]);
  });

  Deno.test(`sleep() of ${ms} ms ends early with ctx, and leaves nothing`, async () => {
    using parent = withCancel(background());
    const ctx = withCancel(parent);
    const slept = sleep(ctx, ms);
    const longer = outcomeOf(sleep(parent, ms));
    ctx.cancel();
    assertStrictEquals(await assertRejects(() => slept), ctx.err);
    assertEquals(snapshot(parent).afterFuncs, 1);
    assertEquals(longer.state, "pending");
    await turn();
    await sleep(parent, ms);
    assertEquals(longer.state, "resolved");
  });

  Deno.test(`sleep() of ${ms} ms needs no time to pass`, async () => {
    using time = new FakeTime();
    const slept = outcomeOf(sleep(background(), ms));
    time.tick(0);
    await time.runMicrotasks();
    assertEquals(slept.state, "resolved");
    assertEquals(time.now, time.start);
  });
}

Deno.test("sleep() of Infinity waits for the end of ctx where a timer has gone off before", async () => {
  await sleep(background(), 0);
  const ctx = withCancel(background());
  const slept = assertRejects(() => sleep(ctx, Infinity), Canceled);
  ctx.cancel();
  await slept;
});

Deno.test("sleep() of Infinity waits for the end of ctx", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const slept = outcomeOf(sleep(ctx, Infinity));
  await time.tickAsync(2 ** 40);
  await time.runMicrotasks();
  assertEquals(slept.state, "pending");
  ctx.cancel();
  await time.runMicrotasks();
  assertStrictEquals(slept.error, ctx.err);
});

Deno.test("sleep() of several at once: each for its time, in order", async () => {
  using time = new FakeTime();
  const order: number[][] = [];
  for (const ms of [30, 10, 20, 10, 2 ** 31]) {
    sleep(background(), ms).then(() => order.push([ms, time.now - time.start]));
  }
  for (let i = 0; i < 5; i++) await time.tickAsync(10);
  await time.tickAsync(2 ** 31 - 50);
  await time.runMicrotasks();
  assertEquals(order, [[10, 10], [10, 10], [20, 20], [30, 30], [
    2 ** 31,
    2 ** 31,
  ]]);
});

Deno.test("sleep() of nothing takes its turn among the others", async () => {
  using time = new FakeTime();
  const order: string[] = [];
  const start = (name: string, ms: number) =>
    sleep(background(), ms).then(() => order.push(name));
  start("due at 10", 10);
  start("due at 11", 11);
  time.now += 9;
  start("due at 9, first", 0);
  start("due at 9, second", -5);
  time.tick(1);
  start("due at 10, as well", -Infinity);
  start("due at 11, as well", 1);
  time.tick(1);
  await time.runMicrotasks();
  assertEquals(order, [
    "due at 9, first",
    "due at 9, second",
    "due at 10",
    "due at 10, as well",
    "due at 11",
    "due at 11, as well",
  ]);
});

Deno.test("sleep() of nothing that began on a fake clock ends on the real one, and ends no other", async () => {
  using ctx = withTimeout(background(), hour);
  const { signal } = ctx;
  const time = new FakeTime(Date.now() + 2 * hour);
  const slept = sleep(background(), 0);
  time.restore();
  await slept;
  assertEquals(signal.aborted, false);
});

Deno.test("sleep() really sleeps", async () => {
  const start = Date.now();
  await sleep(background(), 5);
  assertEquals(Date.now() - start >= 5, true);
});

// Who may end a sleep before its time.
const ends: [how: string, make: () => [Context, end: () => void]][] = [
  ["canceled", () => {
    const ctx = withCancel(background());
    return [ctx, () => ctx.cancel("closing time")];
  }],
  ["canceled above", () => {
    const parent = withCancel(background());
    return [withTimeout(withCancel(parent), hour), parent.cancel];
  }],
  ["canceled within a wrapper", () => {
    const inner = withCancel(background());
    return [new Wrapper(inner), inner.cancel];
  }],
  ["a custom one that ends", () => {
    const ctx = new OwnSignal(background());
    return [ctx, () => ctx.end()];
  }],
  ["a custom one that ends with an err of its own", () => {
    const ctx = new OwnSignal(background());
    return [ctx, () => ctx.end(new DOMException("over", "AbortError"))];
  }],
];
for (const [how, make] of ends) {
  Deno.test(`sleep() rejects with ctx.err itself: ${how}`, async () => {
    const [ctx, end] = make();
    const slept = sleep(ctx, hour);
    end();
    assertStrictEquals(await assertRejects(() => slept), ctx.err);
  });

  for (const ms of [hour, 0, -1, Infinity]) {
    Deno.test(`sleep() of ${ms} ms on a ctx that is done rejects with ctx.err itself: ${how}`, async () => {
      const [ctx, end] = make();
      end();
      assertStrictEquals(await assertRejects(() => sleep(ctx, ms)), ctx.err);
    });
  }
}

Deno.test("sleep() rejects with ctx.err when the time of ctx is over first", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 10);
  const slept = outcomeOf(sleep(ctx, 11));
  time.tick(10);
  await time.runMicrotasks();
  assertInstanceOf(slept.error, DeadlineExceeded);
  assertStrictEquals(slept.error, ctx.err);
});

Deno.test("sleep() resolves when its time is over before that of ctx", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 11);
  const slept = outcomeOf(sleep(ctx, 10));
  time.tick(10);
  await time.runMicrotasks();
  assertEquals(slept.state, "resolved");
});

Deno.test("sleep() is not undone by a ctx that ends later", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const slept = outcomeOf(sleep(ctx, 10));
  time.tick(10);
  ctx.cancel();
  await time.runMicrotasks();
  assertEquals(slept.state, "resolved");
});

Deno.test("sleep() leaves nothing on ctx, whichever is first", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const child = withCancel(ctx);
  const slept = [sleep(ctx, 10), sleep(child, 10)].map(outcomeOf);
  assertEquals(snapshot(ctx).afterFuncs, 1);
  assertEquals(snapshot(child).afterFuncs, 1);
  child.cancel();
  time.tick(10);
  await time.runMicrotasks();
  assertEquals(slept.map(({ state }) => state), ["resolved", "rejected"]);
  assertEquals(snapshot(ctx).afterFuncs, 0);
  assertEquals(snapshot(ctx).children, []);
});

Deno.test("sleep() that is due together with its ctx, whose listener cancels another, wakes nobody else up less", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 10);
  const other = withCancel(background());
  ctx.signal.addEventListener("abort", other.cancel);
  const longer = outcomeOf(sleep(background(), 20));
  const slept = outcomeOf(sleep(ctx, 10));
  time.tick(10);
  await time.runMicrotasks();
  assertStrictEquals(slept.error, ctx.err);
  time.tick(10);
  await time.runMicrotasks();
  assertEquals(longer.state, "resolved");
});

Deno.test("sleep() that finds the time of its ctx over, whose listener cancels another, rejects with ctx.err", async () => {
  // Real time: a deadline that has passed unseen, for the event loop was busy.
  using ctx = withTimeout(background(), 1);
  const other = withCancel(background());
  ctx.signal.addEventListener("abort", other.cancel);
  const { deadline } = ctx;
  while (Date.now() <= deadline!.getTime());
  const error = await assertRejects(() => sleep(ctx, 0));
  assertStrictEquals(error, ctx.err);
  // And those that come after it are woken up as before.
  await sleep(background(), 1);
  await turn();
});

// What holds the process, seen from outside: each program of testdata/sleep.ts
// with what it prints.
const lives: [program: string, stdout: string][] = [
  ["sleeps", "slept\n"],
  ["sleeps without being waited for", "started\nslept\n"],
  ["is canceled", "context canceled\n"],
  ["is canceled one of two", "context canceled\nslept\n"],
  ["has a done ctx", "context canceled\n"],
];
for (const [program, stdout] of lives) {
  Deno.test(`sleep() keeps the process alive for as long as it lasts: ${program}`, async () => {
    const ended = await new ChildProcess("sleep.ts", program).end();
    assertEquals(ended, { code: 0, signal: null, stdout, stderr: "" });
  });
}

test("sleep() of Infinity keeps the process alive until ctx ends", async () => {
  const child = new ChildProcess("sleep.ts", "sleeps for ever");
  assertEquals(await child.line(), "ready");
  child.kill("SIGTERM");
  assertEquals(await child.line(), "context canceled");
  assertEquals((await child.end()).code, 0);
});

Deno.test("sleep() of NaN is a RangeError", () => {
  assertThrows(() => sleep(background(), NaN), RangeError, "sleep: ");
});

for (const wrong of [undefined, null, "1000", {}]) {
  Deno.test(`sleep() of ${JSON.stringify(wrong)} is a TypeError`, () => {
    assertThrows(
      () => sleep(background(), wrong as number),
      TypeError,
      "sleep: expected milliseconds, got ",
    );
  });
}

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`sleep(${JSON.stringify(wrong)}) is a TypeError`, () => {
    assertThrows(
      () => sleep(wrong as Context, 1),
      TypeError,
      "sleep: expected a context",
    );
  });
}
