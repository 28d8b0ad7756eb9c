import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  remaining,
  snapshot,
  withCancel,
  withDeadline,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { Due } from "./custom_context.ts";

const key = createKey<string>("key");

/** Keeps the event loop busy, so that no timer can fire, until it is `at`. */
function stayBusyUntil(at: number): void {
  while (Date.now() <= at);
}

Deno.test("withDeadline() is open before its time and done from then on", () => {
  using time = new FakeTime();
  using ctx = withDeadline(background(), time.now + 1000);
  time.tick(999);
  assertOpen(ctx);
  time.tick(1);
  assertInstanceOf(assertDone(ctx, "TimeoutError"), DeadlineExceeded);
});

Deno.test("withTimeout() is open before its time and done from then on", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  time.tick(999);
  assertOpen(ctx);
  time.tick(1);
  assertInstanceOf(assertDone(ctx, "TimeoutError"), DeadlineExceeded);
});

Deno.test("withDeadline() takes a Date", () => {
  using time = new FakeTime();
  const at = new Date(time.now + 1000);
  using ctx = withDeadline(background(), at);
  assertEquals(ctx.deadline, at);
  at.setTime(0);
  assertOpen(ctx);
});

Deno.test("deadline is a copy: to change it moves nothing", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  ctx.deadline!.setTime(0);
  assertEquals(ctx.deadline, new Date(time.now + 1000));
  assertOpen(ctx);
});

Deno.test("withTimeout() is done in real time too", async () => {
  using ctx = withTimeout(background(), 1);
  await ctx.done;
  assertDone(ctx, "TimeoutError");
});

for (
  const [name, ms] of [["past", -1], ["now", 0], [
    "infinitely long past",
    -Infinity,
  ]] as const
) {
  Deno.test(`withDeadline() at a time that is ${name} is done at construction`, () => {
    using time = new FakeTime();
    assertDone(withDeadline(background(), time.now + ms), "TimeoutError");
  });

  Deno.test(`withTimeout() of a time that is ${name} is done at construction`, () => {
    using _time = new FakeTime();
    assertDone(withTimeout(background(), ms), "TimeoutError");
  });
}

Deno.test("withTimeout(0) makes no timer", () => {
  using time = new FakeTime();
  const ctx = withTimeout(background(), 0);
  assertDone(ctx, "TimeoutError");
  assertEquals(time.next(), false);
});

Deno.test("withTimeout(0) registers nothing on its parent", () => {
  using parent = withCancel(background());
  withTimeout(parent, 0);
  assertEquals(snapshot(parent).children, []);
});

Deno.test("cancel() after withTimeout(0) changes nothing", () => {
  const ctx = withTimeout(background(), 0);
  const { err } = ctx;
  ctx.cancel("late");
  assertStrictEquals(assertDone(ctx, "TimeoutError"), err);
  assertStrictEquals(cause(ctx), err);
});

Deno.test("withDeadline() under a strictly earlier one is a plain withCancel", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 1000);
  using ctx = withTimeout(parent, 2000, { cause: "never" });
  assertEquals(ctx.deadline, parent.deadline);
  assertEquals(String(ctx), `${parent}.withCancel`);
  time.tick(2000);
  assertStrictEquals(assertDone(ctx, "TimeoutError"), parent.err);
  assertStrictEquals(cause(ctx), ctx.err);
});

Deno.test("withDeadline() under one at the same time is a deadline of its own", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 1000);
  using ctx = withDeadline(parent, parent.deadline!);
  assertEquals(String(ctx).startsWith(`${parent}.withDeadline(`), true);
  time.tick(1000);
  assertDone(ctx, "TimeoutError");
});

Deno.test("withDeadline() under a later one ends alone", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 2000);
  using ctx = withTimeout(parent, 1000, { cause: "mine" });
  time.tick(1000);
  assertDone(ctx, "TimeoutError");
  assertEquals(cause(ctx), "mine");
  assertOpen(parent);
});

Deno.test("withDeadline() under a custom context with an earlier one is a plain withCancel", () => {
  using time = new FakeTime();
  const parent = new Due(background(), time.now + 1000);
  using ctx = withTimeout(parent, 2000);
  assertEquals(ctx.deadline, parent.deadline);
  assertEquals(String(ctx), "Due.withCancel");
});

Deno.test("deadline is the nearest that applies, through values and cancels", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  using plain = withCancel(withValue(ctx, key, "value"));
  using sooner = withTimeout(plain, 500);
  assertEquals(plain.deadline, new Date(time.now + 1000));
  assertEquals(withValue(plain, key, "").deadline, new Date(time.now + 1000));
  assertEquals(withCancel(sooner).deadline, new Date(time.now + 500));
});

Deno.test("deadline is undefined without one", () => {
  using ctx = withCancel(withValue(background(), key, "value"));
  assertEquals(ctx.deadline, undefined);
});

Deno.test("deadline can still be read when the context is done", () => {
  using time = new FakeTime();
  const ctx = withTimeout(background(), 1000);
  ctx.cancel();
  assertEquals(ctx.deadline, new Date(time.now + 1000));
});

Deno.test("cancel() before the time ends at once with Canceled", () => {
  using time = new FakeTime();
  const ctx = withTimeout(background(), 1000, { cause: "timeout" });
  ctx.cancel("early");
  const err = assertDone(ctx);
  time.tick(1000);
  assertStrictEquals(assertDone(ctx), err);
  assertEquals(cause(ctx), "early");
});

Deno.test("using ends a timeout with its block", () => {
  using time = new FakeTime();
  let kept: Context;
  {
    using step = withTimeout(background(), 1000);
    kept = step;
  }
  time.tick(1000);
  assertDone(kept);
});

Deno.test("withTimeout() on a done parent takes the parent's err and cause", () => {
  using time = new FakeTime();
  const parent = withCancel(background());
  parent.cancel("parent's");
  const ctx = withTimeout(parent, 1000, { cause: "own" });
  assertStrictEquals(assertDone(ctx), parent.err);
  assertEquals(cause(ctx), "parent's");
  assertEquals(time.next(), false);
});

Deno.test("withTimeout(0) on a done parent takes the parent's err and cause", () => {
  const parent = withCancel(background());
  parent.cancel("parent's");
  const ctx = withTimeout(parent, 0, { cause: "own" });
  assertStrictEquals(assertDone(ctx), parent.err);
  assertEquals(cause(ctx), "parent's");
});

Deno.test("withDeadline() on a parent whose time is over takes the parent's cause", () => {
  const parent = withTimeout(background(), 5, { cause: "parent's" });
  stayBusyUntil(parent.deadline!.getTime());
  const ctx = withDeadline(parent, 0, { cause: "own" });
  assertEquals(cause(ctx), "parent's");
  assertStrictEquals(assertDone(ctx, "TimeoutError"), parent.err);
});

Deno.test("withDeadline() in the listener of a foreign signal takes the cause of its parent, which that ends", () => {
  const controller = new AbortController();
  // Before the package's own: the tree has not noticed yet.
  controller.signal.addEventListener("abort", () => {
    child = withTimeout(parent, 0, { cause: "own" });
  });
  const parent = withSignal(background(), controller.signal);
  let child: Context | undefined;
  controller.abort("foreign");
  assertEquals(cause(parent), "foreign");
  assertEquals(cause(child!), "foreign");
});

Deno.test("a deadline ends what is under it, with one err and its cause", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000, { cause: "slow" });
  using child = withTimeout(withValue(withCancel(ctx), key, ""), 5000);
  time.tick(1000);
  assertStrictEquals(assertDone(child, "TimeoutError"), ctx.err);
  assertEquals(cause(child), "slow");
});

for (const given of [0, "", false]) {
  Deno.test(`withTimeout() takes ${JSON.stringify(given)} for a cause`, () => {
    const ctx = withTimeout(background(), 0, { cause: given });
    assertStrictEquals(cause(ctx), given);
    assertStrictEquals(ctx.err?.cause, given);
  });
}

for (const given of [null, undefined]) {
  Deno.test(`withTimeout() takes ${given} for no cause`, () => {
    const ctx = withTimeout(background(), 0, { cause: given });
    assertStrictEquals(cause(ctx), ctx.err);
  });
}

Deno.test("withTimeout(Infinity) has no deadline", () => {
  using ctx = withTimeout(background(), Infinity);
  assertEquals(ctx.deadline, undefined);
  assertEquals(remaining(ctx), Infinity);
  assertEquals(String(ctx), "background.withCancel");
  assertOpen(ctx);
});

Deno.test("withTimeout(Infinity) keeps the deadline of its parent", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 1000);
  using ctx = withTimeout(parent, Infinity);
  time.tick(1000);
  assertDone(ctx, "TimeoutError");
});

Deno.test("withDeadline(Infinity) and what no Date can hold are no deadline", () => {
  assertEquals(withDeadline(background(), Infinity).deadline, undefined);
  assertEquals(withDeadline(background(), 8.64e15 + 1).deadline, undefined);
  assertEquals(withTimeout(background(), Number.MAX_VALUE).deadline, undefined);
});

Deno.test("withDeadline() takes the last moment that a Date can hold", () => {
  using ctx = withDeadline(background(), 8.64e15);
  assertEquals(ctx.deadline, new Date(8.64e15));
  assertOpen(ctx);
});

Deno.test("withTimeout() takes a time up to the last moment that a Date can hold", () => {
  using _time = new FakeTime(1_000_000);
  using ctx = withTimeout(background(), 8.64e15 - 1_000_000);
  assertEquals(ctx.deadline, new Date(8.64e15));
});

Deno.test("withTimeout() beyond the last moment that a Date can hold has no deadline", () => {
  using _time = new FakeTime(1_000_000);
  using ctx = withTimeout(background(), 8.64e15 - 1_000_000 + 1);
  assertEquals(ctx.deadline, undefined);
});

for (const now of [0, -1e15, -8.64e15]) {
  Deno.test(`withTimeout(-Infinity) at the time ${now} shows the first Date as its deadline`, () => {
    using _time = new FakeTime(now);
    const ctx = withTimeout(background(), -Infinity);
    assertEquals(ctx.deadline, new Date(-8.64e15));
    assertStringIncludes(String(ctx), "-271821-04-20T00:00:00.000Z");
  });
}

Deno.test("a deadline beyond all Dates by a test clock installed later shows the last Date", () => {
  using ctx = withDeadline(background(), 8.64e15);
  using _time = new FakeTime(8.64e15);
  assertEquals(ctx.deadline, new Date(8.64e15));
  assertStringIncludes(String(ctx), "+275760-09-13T00:00:00.000Z");
});

Deno.test("withTimeout() takes more than the platform's timers do", () => {
  using time = new FakeTime();
  const ms = 3 * 2 ** 31;
  using ctx = withTimeout(background(), ms);
  const { signal } = ctx;
  time.tick(ms - 1);
  assertEquals(signal.aborted, false);
  time.tick(1);
  assertEquals(signal.aborted, true);
});

Deno.test("withTimeout() of more than the platform's timers take is not over at once", async () => {
  using ctx = withTimeout(background(), 2 ** 31);
  const { signal } = ctx;
  // No deadline of ours, which would take the place of the alarm for this one.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(signal.aborted, false);
  assertOpen(ctx);
});

Deno.test("withTimeout() takes a part of a ms", async () => {
  using ctx = withTimeout(background(), 0.5);
  await ctx.done;
  assertDone(ctx, "TimeoutError");
});

for (
  const [name, time] of [["NaN", NaN], [
    "an invalid Date",
    new Date(NaN),
  ]] as const
) {
  Deno.test(`withDeadline() at ${name} is a RangeError`, () => {
    assertThrows(
      () => withDeadline(background(), time),
      RangeError,
      "withDeadline",
    );
  });
}

Deno.test("withTimeout(NaN) is a RangeError", () => {
  assertThrows(
    () => withTimeout(background(), NaN),
    RangeError,
    "withTimeout: expected milliseconds, got NaN",
  );
});

for (const time of ["1", null, undefined, {}, 1n]) {
  Deno.test(`withDeadline() and withTimeout() of a ${time === null ? "null" : typeof time} are TypeErrors`, () => {
    const wrong = time as unknown as number;
    assertThrows(
      () => withDeadline(background(), wrong),
      TypeError,
      "withDeadline: expected a Date or milliseconds since the epoch, got ",
    );
    assertThrows(
      () => withTimeout(background(), wrong),
      TypeError,
      "withTimeout: expected milliseconds, got ",
    );
  });
}

Deno.test("withTimeout() of a Date is a TypeError", () => {
  assertThrows(
    () => withTimeout(background(), new Date() as unknown as number),
    TypeError,
    "withTimeout: expected milliseconds, got ",
  );
});

for (const parent of [null, undefined]) {
  Deno.test(`withDeadline() and withTimeout() of ${parent} are TypeErrors that say so`, () => {
    const wrong = parent as unknown as Context;
    const message = "expected a context, got ";
    assertThrows(() => withDeadline(wrong, 0), TypeError, message);
    assertThrows(() => withTimeout(wrong, 0), TypeError, message);
  });
}

// A deadline that has passed shows at once: each of these reads it in one way, first
// and without a turn of the event loop.
const looks: { [name: string]: (ctx: Context) => unknown } = {
  "err": (ctx) => ctx.err?.name === "TimeoutError",
  "signal.aborted": (ctx) => ctx.signal.aborted,
  "signal.reason": (ctx) => ctx.signal.reason.name === "TimeoutError",
  "remaining()": (ctx) => remaining(ctx) === 0,
  "cause()": (ctx) => cause(ctx) === "late",
  "the err of a value context on it": (ctx) =>
    withValue(ctx, key, "").err?.name === "TimeoutError",
  "the err of a child made afterwards": (ctx) =>
    withCancel(ctx).err?.name === "TimeoutError",
  "snapshot()": (ctx) => snapshot(ctx).err?.name === "TimeoutError",
};
for (const [name, look] of Object.entries(looks)) {
  Deno.test(`a deadline that has passed is seen at once by ${name}`, () => {
    using ctx = withTimeout(background(), 2, { cause: "late" });
    stayBusyUntil(ctx.deadline!.getTime());
    assert(look(ctx));
  });

  Deno.test(`a deadline that has passed is seen at once, two levels below, by ${name}`, () => {
    using ctx = withTimeout(background(), 2, { cause: "late" });
    using child = withCancel(withValue(withCancel(ctx), key, ""));
    stayBusyUntil(ctx.deadline!.getTime());
    assert(look(child));
  });
}

Deno.test("cancel() after a deadline that has passed leaves DeadlineExceeded", () => {
  const ctx = withTimeout(background(), 2, { cause: "late" });
  stayBusyUntil(ctx.deadline!.getTime());
  ctx.cancel("too late");
  assertDone(ctx, "TimeoutError");
  assertEquals(cause(ctx), "late");
});

Deno.test("using leaves DeadlineExceeded on a context whose signal is in use and whose deadline has passed", () => {
  let kept: Context;
  {
    using ctx = withTimeout(background(), 2, { cause: "late" });
    void ctx.signal;
    kept = ctx;
    stayBusyUntil(ctx.deadline!.getTime());
  }
  assertEquals(cause(kept), "late");
});

Deno.test("cancel() of an ancestor leaves DeadlineExceeded where a deadline has passed", () => {
  const parent = withCancel(background());
  const ctx = withTimeout(parent, 2, { cause: "late" });
  const below = withCancel(ctx);
  stayBusyUntil(ctx.deadline!.getTime());
  parent.cancel("too late");
  assertEquals([parent, ctx, below].map(cause), ["too late", "late", "late"]);
  assertDone(below, "TimeoutError");
});

Deno.test("cancel() of a descendant takes the deadline above it that has passed", () => {
  const ctx = withTimeout(background(), 2, { cause: "late" });
  const below = withCancel(ctx);
  stayBusyUntil(ctx.deadline!.getTime());
  below.cancel("too late");
  assertEquals([ctx, below].map(cause), ["late", "late"]);
});

Deno.test("of two deadlines that have passed the earlier one gives the cause", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 400, { cause: "parent's" });
  using child = withTimeout(parent, 200, { cause: "child's" });
  time.now += 1000;
  parent.cancel("too late");
  assertEquals([parent, child].map(cause), ["parent's", "child's"]);
});

Deno.test("the earlier of two deadlines that have passed gives the cause, whichever is read first", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 400, { cause: "parent's" });
  using child = withTimeout(parent, 200, { cause: "child's" });
  time.now += 1000;
  assertEquals(cause(parent), "parent's");
  assertEquals(cause(child), "child's");
});

Deno.test("a signal taken earlier is aborted by the look that finds the deadline passed", () => {
  using ctx = withTimeout(background(), 2);
  const { signal } = ctx;
  stayBusyUntil(ctx.deadline!.getTime());
  assertEquals(ctx.err?.name, "TimeoutError");
  assertEquals(signal.aborted, true);
  assertStrictEquals(signal.reason, ctx.err);
});

Deno.test("withoutCancel() under a deadline is open when that has passed", () => {
  using ctx = withTimeout(background(), 2);
  using below = withCancel(withoutCancel(ctx));
  stayBusyUntil(ctx.deadline!.getTime());
  assertOpen(below);
});

Deno.test("30 random layers of value, cancel and long timeout: any layer's cancel ends the innermost", () => {
  using time = new FakeTime();
  const names = Array.from({ length: 30 }, (_, i) => createKey<number>(`${i}`));
  for (let layer = 0; layer < 30; layer++) {
    let ctx: Context = background();
    const cancels: ((why: string) => void)[] = [];
    for (let i = 0; i < 30; i++) {
      const kind = (i * 7 + layer * 5) % 3;
      if (kind === 0) ctx = withValue(ctx, names[i]!, i);
      const inner = kind === 1
        ? withCancel(ctx)
        : withTimeout(ctx, 3_600_000 * (1 + (i * 11 + layer) % 13));
      ctx = inner;
      cancels.push(inner.cancel);
    }
    assertOpen(ctx);
    cancels[layer]!("why");
    assertDone(ctx);
    assertEquals(cause(ctx), "why");
    names.forEach((name, i) => {
      const expected = (i * 7 + layer * 5) % 3 === 0 ? i : undefined;
      assertEquals(ctx.value(name), expected);
    });
    cancels.forEach((cancel) => cancel("afterwards"));
  }
  assertEquals(time.now, time.start);
});

Deno.test("30 layers with short timeouts: the innermost is done by itself", async () => {
  let ctx: Context = background();
  for (let i = 0; i < 30; i++) {
    ctx = withTimeout(withValue(withCancel(ctx), key, `${i}`), 1 + (i * 7) % 5);
  }
  await ctx.done;
  assertDone(ctx, "TimeoutError");
  assertEquals(ctx.value(key), "29");
});

Deno.test("a chain of 100,000 timeouts ends by the uppermost", () => {
  using time = new FakeTime();
  let ctx: Context = background();
  for (let i = 0; i < 100_000; i++) ctx = withTimeout(ctx, 1000);
  const { signal } = ctx;
  time.tick(1000);
  assertEquals(signal.aborted, true);
  assertDone(ctx, "TimeoutError");
});
