import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  every,
  snapshot,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { assertNoLeaks } from "@curfew/context/testing";
import { OwnSignal } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";

/** The number of a tick and the time at which it came. */
type Tick = [number: number, at: number];

/** Collects ticks until they end; `body` runs at each. */
async function take(
  time: FakeTime,
  ticks: AsyncIterable<number>,
  into: Tick[],
  body?: (tick: number) => unknown,
): Promise<void> {
  for await (const tick of ticks) {
    into.push([tick, time.now - time.start]);
    await body?.(tick);
  }
}

/** Advances the clock by `ms`, one by one, and runs the microtasks in between. */
async function pass(time: FakeTime, ms: number): Promise<void> {
  for (let i = 0; i < ms; i++) {
    // A timer that is due now fires before the next step.
    await time.tickAsync(0);
    await time.tickAsync(1);
  }
  await time.runMicrotasks();
}

Deno.test("every() yields n for the n-th tick, at n x ms from the start", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = take(time, every(ctx, 10), ticks);
  await pass(time, 9);
  assertEquals(ticks, []);
  await pass(time, 26);
  assertEquals(ticks, [[1, 10], [2, 20], [3, 30]]);
  ctx.cancel();
  await taken;
});

Deno.test("every() accepts a time that is not whole", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = take(time, every(ctx, 2.5), ticks);
  await pass(time, 10);
  assertEquals(ticks, [[1, 3], [2, 5], [3, 8], [4, 10]]);
  ctx.cancel();
  await taken;
});

for (const ms of [2 ** 31 - 1, 2 ** 31, 2 ** 33]) {
  Deno.test(`every() accepts a time of ${ms} ms`, async () => {
    using time = new FakeTime();
    const ctx = withCancel(background());
    const ticks: Tick[] = [];
    const taken = take(time, every(ctx, ms), ticks);
    await time.tickAsync(ms - 1);
    await time.runMicrotasks();
    assertEquals(ticks, []);
    await time.tickAsync(1);
    await time.tickAsync(ms);
    await time.runMicrotasks();
    assertEquals(ticks, [[1, ms], [2, 2 * ms]]);
    ctx.cancel();
    await taken;
  });
}

Deno.test("every() of Infinity waits for the end of ctx", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = outcomeOf(take(time, every(ctx, Infinity), ticks));
  await time.tickAsync(2 ** 33);
  await time.runMicrotasks();
  assertEquals(taken.state, "pending");
  ctx.cancel();
  await time.runMicrotasks();
  assertEquals([taken.state, ticks], ["resolved", []]);
});

Deno.test("every() does not drift when the loop body takes time", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = take(time, every(ctx, 10), ticks, () => {
    time.tick(7);
    if (ticks.length === 4) ctx.cancel();
  });
  await pass(time, 40);
  await taken;
  assertEquals(ticks, [[1, 10], [2, 20], [3, 30], [4, 40]]);
});

// Time that the loop body takes at the first tick, which comes after 10 ms, and
// the ticks that follow.
const busy: [ms: number, next: Tick[]][] = [
  [9, [[2, 20], [3, 30]]],
  // The tick of this very moment is not missed.
  [10, [[2, 20], [3, 30]]],
  [11, [[3, 30], [4, 40]]],
  [35, [[5, 50], [6, 60]]],
  [40, [[5, 50], [6, 60]]],
  [1_000_001, [[100_002, 1_000_020], [100_003, 1_000_030]]],
];
for (const [ms, next] of busy) {
  Deno.test(`every() skips missed ticks: a body that takes ${ms} ms, ticks of 10 ms`, async () => {
    using time = new FakeTime();
    const ctx = withCancel(background());
    const ticks: Tick[] = [];
    const taken = take(time, every(ctx, 10), ticks, (tick) => {
      if (tick === 1) time.tick(ms);
      if (ticks.length === 3) ctx.cancel();
    });
    await pass(time, 31);
    await taken;
    assertEquals(ticks, [[1, 10], ...next]);
  });
}

Deno.test("every() counts from the call, not from the first next()", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const later = every(ctx, 10);
  time.tick(25);
  const taken = take(time, later, ticks);
  await pass(time, 15);
  assertEquals(ticks, [[3, 30], [4, 40]]);
  ctx.cancel();
  await taken;
});

Deno.test("every() called twice on one ctx counts each on its own", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const fast: Tick[] = [];
  const slow: Tick[] = [];
  const taken = [
    take(time, every(ctx, 10), fast),
    take(time, every(ctx, 15), slow),
  ];
  await pass(time, 30);
  assertEquals(fast, [[1, 10], [2, 20], [3, 30]]);
  assertEquals(slow, [[1, 15], [2, 30]]);
  ctx.cancel();
  await Promise.all(taken);
});

Deno.test("every() ends quietly as soon as ctx is done", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = outcomeOf(take(time, every(ctx, 10), ticks));
  await pass(time, 15);
  ctx.cancel(new Error("broken"));
  await time.runMicrotasks();
  assertEquals(taken.state, "resolved");
  assertEquals(ticks, [[1, 10]]);
});

Deno.test("every() ends quietly at the deadline of ctx", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 25);
  const ticks: Tick[] = [];
  const taken = outcomeOf(take(time, every(ctx, 10), ticks));
  await pass(time, 25);
  assertEquals([taken.state, ticks], ["resolved", [[1, 10], [2, 20]]]);
});

Deno.test("every() ends quietly with a custom context, whatever its err is", async () => {
  using time = new FakeTime();
  for (const err of [undefined, new DOMException("over", "AbortError")]) {
    const ctx = new OwnSignal(background());
    const taken = outcomeOf(take(time, every(ctx, 10), []));
    ctx.end(err);
    await time.runMicrotasks();
    assertEquals(taken.state, "resolved");
  }
});

Deno.test("every() ends after a loop body that cancels ctx", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const ticks: Tick[] = [];
  const taken = outcomeOf(take(time, every(ctx, 10), ticks, ctx.cancel));
  await pass(time, 30);
  assertEquals([taken.state, ticks], ["resolved", [[1, 10]]]);
});

Deno.test("every() on a done ctx never ticks", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  for await (const tick of every(ctx, 1)) throw new Error(`tick ${tick}`);
});

Deno.test("every() does not hold back an error of the loop body", async () => {
  const broken = new Error("broken");
  using ctx = withCancel(background());
  const taken = outcomeOf((async () => {
    for await (const _ of every(ctx, 1)) throw broken;
  })());
  while (taken.state === "pending") await turn();
  assertStrictEquals(taken.error, broken);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("every() leaves nothing on ctx after a break", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const taken = outcomeOf((async () => {
    for await (const _ of every(ctx, 10)) break;
  })());
  await time.runMicrotasks();
  assertEquals(snapshot(ctx).afterFuncs, 1);
  await pass(time, 10);
  assertEquals(taken.state, "resolved");
  assertEquals(snapshot(ctx).afterFuncs, 0);
  assertEquals(snapshot(ctx).children, []);
});

Deno.test("every() registers nothing on ctx before the first next()", () => {
  using ctx = withCancel(background());
  every(ctx, 10);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("every() stops waiting at return(), with the loop body still ahead", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const ticks = every(ctx, 10);
  const next = ticks.next();
  await ticks.return();
  assertEquals(await next, { done: true, value: undefined });
  await pass(time, 20);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("every() ends if return() is called between the end of its wait and the tick", async () => {
  using time = new FakeTime();
  using first = withTimeout(background(), 10);
  const ticks = every(background(), 10);
  const next = ticks.next();
  first.signal.addEventListener("abort", () => ticks.return());
  await time.tickAsync(10);
  assertEquals(await next, { done: true, value: undefined });
});

Deno.test("every() stops the right wait after a tick that was over as it began", async () => {
  const { now } = Date;
  let [time, jump] = [0, 0];
  Date.now = () => time;
  using _restore = { [Symbol.dispose]: () => void (Date.now = now) };
  // Its signal is read while a wait begins, and time passes meanwhile.
  class Slow extends OwnSignal {
    override get signal(): AbortSignal {
      time += jump;
      jump = 0;
      return super.signal;
    }
  }
  await assertNoLeaks(async () => {
    const ticks = every(new Slow(background()), 1);
    const pending = [ticks.next(), ticks.next(), ticks.next()];
    jump = 5;
    assertEquals((await pending[1])?.done, false);
    await ticks.return();
    assertEquals((await pending[2])?.done, true);
  });
});

Deno.test("every() gives each of several pending next() a tick of its own, in order", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const ticks = every(ctx, 10);
  const came: Tick[] = [];
  for (let i = 0; i < 3; i++) {
    ticks.next().then(({ value }) =>
      came.push([value!, time.now - time.start])
    );
  }
  await pass(time, 25);
  assertEquals(came, [[1, 10], [2, 20]]);
  await pass(time, 5);
  assertEquals(came, [[1, 10], [2, 20], [3, 30]]);
  await pass(time, 30);
  ticks.next().then(({ value }) => came.push([value!, time.now - time.start]));
  await pass(time, 10);
  assertEquals(came.at(-1), [6, 60]);
});

Deno.test("every() skips missed ticks between several pending next()", async () => {
  using ctx = withCancel(background());
  const ticks = every(ctx, 5);
  const asked = [ticks.next(), ticks.next(), ticks.next()];
  // Keeps the event loop busy for six ticks.
  for (const start = Date.now(); Date.now() < start + 31;);
  const [first, second, third] = (await Promise.all(asked)).map(({ value }) =>
    value as number
  );
  assertEquals(first, 1);
  assert(second! > 5, `${second}`);
  assert(third! > second!, `${third}`);
});

for (const wrong of [0, -0, -1, -Infinity, NaN, undefined, null, "5"]) {
  Deno.test(`every() of ${Deno.inspect(wrong)} ms throws a RangeError`, () => {
    assertThrows(
      () => every(background(), wrong as number),
      RangeError,
      `every: expected milliseconds > 0, got ${wrong === "5" ? '"5"' : wrong}`,
    );
  });
}

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`every(${JSON.stringify(wrong)}) throws a TypeError`, () => {
    assertThrows(
      () => every(wrong as Context, 1),
      TypeError,
      "every: expected a context",
    );
  });
}
