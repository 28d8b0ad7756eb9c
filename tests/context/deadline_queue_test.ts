import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  cause,
  remaining,
  withTimeout,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { ChildProcess } from "./child_process.ts";
import { Random } from "./random.ts";

/** The order in which contexts with these timeouts fire, by timeout. */
function firing(timeouts: number[], time: FakeTime): number[] {
  const order: number[] = [];
  for (const ms of timeouts) {
    withTimeout(background(), ms).signal
      .addEventListener("abort", () => order.push(ms));
  }
  time.tick(Math.max(...timeouts));
  return order;
}

Deno.test("deadlines fire in order of time, in whatever order they were made", () => {
  using time = new FakeTime();
  const timeouts = Array.from({ length: 500 }, (_, i) => 1 + (i * 181) % 500);
  assertEquals(firing(timeouts, time), timeouts.toSorted((a, b) => a - b));
});

Deno.test("each deadline fires when it is due, not with the one before", () => {
  using time = new FakeTime();
  const contexts = [300, 100, 200].map((ms) => withTimeout(background(), ms));
  const signals = contexts.map((ctx) => ctx.signal);
  const seen: boolean[][] = [];
  for (let i = 0; i < 3; i++) {
    time.tick(100);
    seen.push(signals.map((signal) => signal.aborted));
  }
  assertEquals(seen, [
    [false, true, false],
    [false, true, true],
    [true, true, true],
  ]);
});

Deno.test("deadlines that are canceled are taken out, the others stay in order", () => {
  using time = new FakeTime();
  const order: number[] = [];
  const contexts = Array.from({ length: 200 }, (_, i) => {
    const ctx = withTimeout(background(), 1 + (i * 37) % 200);
    ctx.signal.addEventListener("abort", () => {
      if (ctx.err?.name === "TimeoutError") order.push(i);
    });
    return ctx;
  });
  contexts.forEach((ctx, i) => i % 3 === 0 && ctx.cancel());
  time.tick(200);
  const expected = contexts.map((_, i) => i).filter((i) => i % 3 !== 0)
    .sort((a, b) => (a * 37) % 200 - (b * 37) % 200);
  assertEquals(order, expected);
});

Deno.test("an earlier deadline that is made later fires first", () => {
  using time = new FakeTime();
  using late = withTimeout(background(), 1000);
  const { signal } = late;
  using early = withTimeout(background(), 10);
  const { signal: earlySignal } = early;
  time.tick(10);
  assertEquals([signal.aborted, earlySignal.aborted], [false, true]);
});

Deno.test("a later deadline fires though the earlier one was canceled", () => {
  using time = new FakeTime();
  const early = withTimeout(background(), 10);
  early.signal.addEventListener("abort", () => {});
  using late = withTimeout(background(), 1000);
  const { signal } = late;
  early.cancel();
  time.tick(1000);
  assertEquals(signal.aborted, true);
});

Deno.test("a deadline fires for a listener that comes long after it was made", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  time.tick(999);
  const { signal } = ctx;
  time.tick(1);
  assertEquals(signal.aborted, true);
});

Deno.test("a deadline fires for a second listener when the first has gone", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  const stop = afterFunc(ctx, () => {});
  stop();
  await time.runMicrotasks();
  const { signal } = ctx;
  time.tick(1000);
  assertEquals(signal.aborted, true);
});

Deno.test("a deadline that an alarm went off for unheard does not stop later ones", async () => {
  using time = new FakeTime();
  const early = withTimeout(background(), 10);
  const stop = afterFunc(early, () => {});
  stop(); // nobody listens any more when the alarm for it rings
  await time.runMicrotasks();
  time.tick(10);
  using ctx = withTimeout(background(), 1000);
  const { signal } = ctx;
  time.tick(1000);
  assertEquals(signal.aborted, true);
});

Deno.test("a deadline that is made in the listener of another fires too", () => {
  using time = new FakeTime();
  const first = withTimeout(background(), 10);
  let second: AbortSignal | undefined;
  first.signal.addEventListener("abort", () => {
    second = withTimeout(background(), 10).signal;
  });
  time.tick(20);
  assertEquals(second?.aborted, true);
});

Deno.test("a tick aborts a signal taken earlier before it returns", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  const { signal } = ctx;
  time.tick(1000);
  assertEquals(signal.aborted, true);
});

Deno.test("a tick of the fake clock resolves done and runs afterFuncs", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  const { promise, resolve } = Promise.withResolvers<void>();
  afterFunc(ctx, resolve);
  time.tick(1000);
  await ctx.done;
  await promise;
});

Deno.test("a clock that is set on is seen by a context that nobody listens to", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  time.now += 1000;
  assertDone(ctx, "TimeoutError");
});

Deno.test("cancel() after the clock was set on leaves DeadlineExceeded", () => {
  using time = new FakeTime();
  const ctx = withTimeout(background(), 1000, { cause: "late" });
  time.now += 1000;
  ctx.cancel("too late");
  assertEquals(cause(ctx), "late");
});

Deno.test("a real deadline, pending when a fake clock is installed, moves with that", () => {
  using ctx = withTimeout(background(), 3_600_000);
  using time = new FakeTime();
  assertOpen(ctx);
  time.tick(remaining(ctx) - 1);
  assertOpen(ctx);
  time.tick(1);
  assertDone(ctx, "TimeoutError");
});

Deno.test("a real deadline with a listener, pending when a fake clock is installed, fires with a tick of that", () => {
  using ctx = withTimeout(background(), 3_600_000);
  const { signal } = ctx;
  using time = new FakeTime();
  assertEquals(ctx.err, undefined);
  time.now = ctx.deadline!.getTime();
  assertEquals(signal.aborted, true);
});

Deno.test("a real deadline with a listener fires with the fake clock when another is made there", () => {
  using ctx = withTimeout(background(), 3_600_000);
  const { signal } = ctx;
  using time = new FakeTime();
  using _another = withTimeout(background(), 7_200_000);
  time.now = ctx.deadline!.getTime();
  assertEquals(signal.aborted, true);
});

Deno.test("a deadline made under a fake clock fires when the real one is back", async () => {
  const time = new FakeTime();
  using ctx = withTimeout(background(), 20);
  const { done } = ctx;
  time.restore();
  await done;
  assertDone(ctx, "TimeoutError");
});

Deno.test("a deadline made under a fake clock keeps its time left when the real one is back and past it", () => {
  const time = new FakeTime(Date.now() - 3_600_000);
  using ctx = withTimeout(background(), 1_000_000);
  const { signal } = ctx;
  time.tick(400_000);
  assertOpen(ctx); // the last look before the clock is removed
  time.restore();
  assertEquals(ctx.err, undefined);
  assertEquals(Math.round(remaining(ctx) / 10_000), 60);
  assertEquals(signal.aborted, false);
});

Deno.test("a deadline made under a fake clock is open when the real one is back and before it", async () => {
  const time = new FakeTime(Date.now() + 3_600_000);
  using ctx = withTimeout(background(), 1000);
  const { signal } = ctx;
  time.tick(999);
  time.restore();
  using sooner = withTimeout(background(), 1);
  await sooner.done;
  assertEquals(signal.aborted, false);
  assertOpen(ctx);
});

Deno.test("a real deadline that was pending under a fake clock fires when the real one is back", async () => {
  using ctx = withTimeout(background(), 20);
  const { done } = ctx;
  const time = new FakeTime();
  void ctx.err; // a look, which takes it to the clock that is there now
  time.restore();
  await done;
});

Deno.test("a context that was canceled under one fake clock leaves the next one right", () => {
  {
    using _time = new FakeTime();
    using ctx = withTimeout(background(), 1000);
    assertOpen(ctx);
  }
  using time = new FakeTime();
  using ctx = withTimeout(background(), 2000);
  const { signal } = ctx;
  time.tick(2000);
  assertEquals(signal.aborted, true);
});

Deno.test("a context that was left open under one fake clock leaves the next one right", () => {
  const first = new FakeTime();
  using left = withTimeout(background(), 1000);
  const { signal: leftSignal } = left;
  first.restore();
  using time = new FakeTime();
  using ctx = withTimeout(background(), 2000);
  const { signal } = ctx;
  time.tick(2000);
  assertEquals([leftSignal.aborted, signal.aborted], [true, true]);
});

Deno.test("a context that was left open under one fake clock fires with the next once it is looked at", () => {
  const first = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  const { signal } = ctx;
  first.restore();
  using time = new FakeTime(first.start + 500);
  assertOpen(ctx);
  time.tick(999);
  assertOpen(ctx);
  time.tick(1);
  assertEquals(signal.aborted, true);
});

Deno.test("the deadlines of a test's clock do not end those of the process", () => {
  using real = withTimeout(background(), 3_600_000);
  const { signal } = real;
  {
    using time = new FakeTime();
    using ctx = withTimeout(background(), 1000);
    const taken = ctx.signal;
    time.tick(1000);
    assertEquals(taken.aborted, true);
  }
  assertEquals(signal.aborted, false);
  assertOpen(real);
});

Deno.test("100,000 deadlines under a fake clock end in one tick", () => {
  using time = new FakeTime();
  const signals = Array.from(
    { length: 100_000 },
    (_, i) => withTimeout(background(), 1 + (i * 7919) % 1000).signal,
  );
  time.tick(500);
  assertEquals(
    signals.findIndex((signal, i) =>
      signal.aborted !== (1 + (i * 7919) % 1000 <= 500)
    ),
    -1,
  );
  time.tick(500);
  assertEquals(signals.every((signal) => signal.aborted), true);
});

// Programs print the err of their context as they end, which tells whether the
// process has lived until the deadline.
const lives: [program: string, err: string][] = [
  ["signal asked for", "TimeoutError"],
  ["listener added", "TimeoutError"],
  ["done asked for", "TimeoutError"],
  ["signal of a descendant asked for", "TimeoutError"],
  ["signal of a value context asked for", "TimeoutError"],
  ["signal through a wrapper asked for", "TimeoutError"],
  ["afterFunc registered", "TimeoutError"],
  ["afterFunc on a descendant registered", "TimeoutError"],
  ["one of two listened to", "TimeoutError"],
  ["nobody listens", "open"],
  ["nobody listens to a descendant", "open"],
  ["listened to without a deadline", "open"],
  ["canceled after the signal was asked for", "AbortError"],
  ["canceled by its parent", "AbortError"],
  ["the listened descendant was canceled", "open"],
  ["afterFunc stopped", "open"],
  ["withoutCancel under it is listened to", "open"],
];
for (const [program, err] of lives) {
  const verb = err === "TimeoutError"
    ? "lives until the deadline"
    : "ends at once";
  Deno.test(`a process ${verb}: ${program}`, async () => {
    const { code, stdout, stderr } = await new ChildProcess(
      "lifetime.ts",
      program,
    )
      .end();
    assertEquals(stderr, "");
    assertEquals(stdout, `${err}\n`);
    assertEquals(code, 0);
  });
}

Deno.test("what is due at the same time ends in the order in which it was made", () => {
  using time = new FakeTime();
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const ended: number[] = [];
  const made = Array.from({ length: 300 }, (_, n) => {
    const ms = 10 * (1 + random.below(3));
    const ctx = withTimeout(background(), ms);
    ctx.signal.addEventListener("abort", () => ended.push(n));
    return { n, ms, ctx };
  });
  // Those that are taken out leave the others in their order.
  const left = made.filter(({ ctx }) => {
    if (random.below(4) > 0) return true;
    ctx.cancel();
    return false;
  });
  ended.length = 0;
  time.tick(100);
  // The sort of an array is stable.
  const expected = left.toSorted((a, b) => a.ms - b.ms).map(({ n }) => n);
  assertEquals(ended, expected, `seed ${seed}`);
});

// An alarm cannot be cleared: each that is set for later stays until then.
for (
  const program of [
    "sleeps under a deadline that is listened to",
    "sleeps under a deadline that nobody listens to",
  ]
) {
  Deno.test(`one alarm is set for a deadline far off, whatever is due before: ${program}`, async () => {
    const { stdout, stderr } = await new ChildProcess("alarms.ts", program)
      .end();
    assertEquals(stderr, "");
    assertEquals(stdout, "1\n");
  });
}
