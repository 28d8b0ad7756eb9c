// Work that finishes what it has begun: withGrace() and draining().

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  cause,
  type Context,
  createKey,
  draining,
  snapshot,
  withCancel,
  withDeadline,
  withGrace,
  withoutCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { Wrapper } from "./custom_context.ts";

const parents: { [name: string]: (ctx: Context) => Context } = {
  "a context": (ctx) => ctx,
  "a child of a context": (ctx) => withCancel(ctx),
  "a value of a context": (ctx) => withValue(ctx, createKey("key"), 1),
  "a custom context": (ctx) => new Wrapper(ctx),
};
for (const [name, derive] of Object.entries(parents)) {
  Deno.test(`withGrace() ends ms after ${name}, with its cause`, () => {
    using time = new FakeTime();
    const service = withCancel(background());
    const work = withGrace(derive(service), 500);
    const { signal } = work;
    assertOpen(work);
    service.cancel("deployment");
    assertOpen(work);
    time.tick(499);
    assertOpen(work);
    time.tick(1);
    assertEquals(signal.aborted, true);
    assertDone(work, "AbortError");
    assertEquals(cause(work), "deployment");
  });

  Deno.test(`draining() of withGrace() ends together with ${name}`, () => {
    const service = withCancel(background());
    using work = withGrace(derive(service), 500);
    const drain = draining(withCancel(work));
    const { signal } = drain;
    assertOpen(drain);
    service.cancel("deployment");
    assertEquals(signal.aborted, true);
    assertDone(drain, "AbortError");
    assertEquals(cause(drain), "deployment");
  });
}

Deno.test("err of withGrace() shows its end although nothing waits for it", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  const work = withGrace(service, 500);
  service.cancel();
  time.tick(500);
  assertDone(work, "AbortError");
});

Deno.test("withGrace() on a context that is done ends ms later", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  service.cancel("early");
  const work = withGrace(service, 500);
  assertOpen(work);
  time.tick(500);
  assertDone(work, "AbortError");
  assertEquals(cause(work), "early");
});

Deno.test("withGrace() of 0 ms ends within the cancellation of its parent", () => {
  const service = withCancel(background());
  const work = withGrace(service, 0);
  service.cancel("now");
  assertEquals(cause(work), "now");
});

Deno.test("withGrace() of 0 ms has ended when a listener of its parent looks at it", () => {
  const service = withCancel(background());
  let seen: unknown;
  service.signal.addEventListener("abort", () => seen = work.err?.name);
  const work = withGrace(service, 0);
  service.cancel();
  assertEquals(seen, "AbortError");
});

Deno.test("withGrace() of 0 ms has ended when a listener of draining() looks at it", () => {
  const service = withCancel(background());
  const work = withGrace(service, 0);
  const drain = draining(work);
  const seen: unknown[] = [];
  // This look is what notifies the listener of the drain.
  service.signal.addEventListener("abort", () => void drain.err);
  drain.signal.addEventListener("abort", () => seen.push(work.err));
  service.cancel();
  assertEquals(seen, [work.err]);
});

Deno.test("withGrace(Infinity) waits until it is canceled", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  const work = withGrace(service, Infinity);
  service.cancel();
  time.tick(1e12);
  assertOpen(work);
  assertEquals(work.deadline, undefined);
  work.cancel("finished");
  assertEquals(cause(work), "finished");
});

Deno.test("withGrace() can be canceled before its parent, and leaves nothing on it", () => {
  const service = withCancel(background());
  const work = withGrace(service, 500);
  draining(work);
  assertEquals(snapshot(service).afterFuncs, 2);
  work.cancel();
  assertEquals(snapshot(service).afterFuncs, 0);
  assertOpen(service);
});

Deno.test("withGrace() has the values of its parent", () => {
  const key = createKey<string>("key");
  using work = withGrace(withValue(background(), key, "value"), 500);
  assertEquals(work.value(key), "value");
});

Deno.test("withGrace() reads as the call that made it", () => {
  using work = withGrace(withCancel(background()), 500);
  assertEquals(String(work), "background.withCancel.withGrace(500ms)");
});

Deno.test("deadline of withGrace() is that of its parent plus ms", () => {
  using time = new FakeTime();
  using service = withTimeout(background(), 1_000);
  using work = withGrace(service, 500);
  assertEquals(work.deadline, new Date(time.now + 1_500));
  assertEquals(withCancel(work).deadline, new Date(time.now + 1_500));
});

Deno.test("deadline of withGrace() beyond all Dates is the last Date", () => {
  using service = withDeadline(background(), 8.64e15);
  using work = withGrace(service, 500);
  assertEquals(work.deadline, new Date(8.64e15));
});

Deno.test("deadline of withGrace() moves to an earlier time when its parent ends", () => {
  using time = new FakeTime();
  const service = withTimeout(background(), 1_000);
  using work = withGrace(service, 500);
  using step = withTimeout(work, 800);
  service.cancel();
  assertEquals(work.deadline, new Date(time.now + 500));
  assertEquals(step.deadline, new Date(time.now + 500));
});

Deno.test("withGrace() under a deadline ends ms after it, with DeadlineExceeded as its cause", () => {
  using time = new FakeTime();
  const service = withTimeout(background(), 1_000);
  const work = withGrace(service, 500);
  const { signal } = work;
  time.tick(1_499);
  assertOpen(work);
  assertDone(service, "TimeoutError");
  time.tick(1);
  assertEquals(signal.aborted, true);
  assertDone(work, "AbortError");
  assertStrictEquals(cause(work), service.err);
});

Deno.test("withGrace() under an unnoticed deadline ends ms after it", () => {
  using time = new FakeTime();
  const service = withTimeout(background(), 1_000);
  const work = withGrace(service, 500);
  time.tick(1_500);
  assertDone(work, "AbortError");
  assertStrictEquals(cause(work), service.err);
});

Deno.test("withGrace() within withGrace() ends ms after the outer one, and drains with it", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  const outer = withGrace(service, 500);
  const inner = withGrace(outer, 200);
  const drain = draining(inner);
  const { signal } = inner;
  service.cancel("deployment");
  assertEquals(inner.deadline, new Date(time.now + 700));
  time.tick(499);
  assertOpen(drain);
  time.tick(1);
  assertDone(outer, "AbortError");
  assertDone(drain, "AbortError");
  assertOpen(inner);
  time.tick(199);
  assertOpen(inner);
  time.tick(1);
  assertEquals(signal.aborted, true);
  assertEquals(cause(inner), "deployment");
});

Deno.test("draining() ends with its ctx if that ends first", () => {
  const service = withCancel(background());
  const work = withGrace(service, 500);
  const drain = draining(work);
  work.cancel("finished");
  assertStrictEquals(drain.err, work.err);
  assertEquals(cause(drain), "finished");
});

Deno.test("deadline of draining() is that of the context whose end begins the drain", () => {
  using _time = new FakeTime(0);
  using service = withTimeout(background(), 1000);
  using work = withGrace(service, 500);
  assertEquals(draining(work).deadline, new Date(1000));
});

Deno.test("deadline of draining() is that of its ctx if that is earlier", () => {
  using _time = new FakeTime(0);
  using service = withTimeout(background(), 1000);
  using step = withTimeout(withGrace(service, 500), 100);
  assertEquals(draining(step).deadline, new Date(100));
});

Deno.test("deadline of draining() moves with that of the context whose end begins the drain", () => {
  using _time = new FakeTime(0);
  const service = withCancel(background());
  using outer = withGrace(service, 500);
  using step = withTimeout(withGrace(outer, 200), 600);
  const drain = draining(step);
  assertEquals(drain.deadline, new Date(600));
  service.cancel();
  assertEquals(drain.deadline, new Date(500));
});

Deno.test("draining() shares its err with the context whose end begins the drain", () => {
  const service = withCancel(background());
  using work = withGrace(service, 500);
  const drain = draining(work);
  service.cancel();
  assertStrictEquals(drain.err, service.err);
});

Deno.test("draining() without a grace period above is done when its ctx is", () => {
  const ctx = withCancel(background());
  const drain = draining(ctx);
  assertOpen(drain);
  ctx.cancel("over");
  assertEquals(cause(drain), "over");
});

Deno.test("draining() of a ctx whose drain has begun is done from the start", () => {
  const service = withCancel(background());
  using work = withGrace(service, 500);
  service.cancel("deployment");
  assertEquals(cause(draining(work)), "deployment");
});

Deno.test("draining() is the same for the same ctx, and adds to the tree once", () => {
  const service = withCancel(background());
  using work = withGrace(service, 500);
  const drain = draining(work);
  for (let i = 0; i < 1_000; i++) assertStrictEquals(draining(work), drain);
  assertEquals(snapshot(work).children.length, 1);
});

Deno.test("draining() keeps values, and goes on below withoutCancel()", () => {
  const key = createKey<string>("key");
  const service = withCancel(background());
  using work = withGrace(service, 500);
  const detached = withoutCancel(withValue(work, key, "value"));
  const drain = draining(detached);
  assertEquals(drain.value(key), "value");
  service.cancel();
  assertDone(drain, "AbortError");
});

Deno.test("a listener of the parent sees withGrace() open and draining() done", () => {
  const service = withCancel(background());
  const seen: (string | undefined)[] = [];
  service.signal.addEventListener("abort", () => {
    seen.push(work.err?.name, draining(work).err?.name);
  });
  using work = withGrace(service, 500);
  draining(work);
  service.cancel();
  assertEquals(seen, [undefined, "AbortError"]);
});

for (const ms of [-1, NaN, -Infinity]) {
  Deno.test(`withGrace() of ${ms} ms is a RangeError`, () => {
    assertThrows(
      () => withGrace(background(), ms),
      RangeError,
      `withGrace: expected milliseconds >= 0, got ${ms}`,
    );
  });
}

Deno.test("withGrace() of no number is a TypeError", () => {
  assertThrows(
    () => withGrace(background(), "1" as unknown as number),
    TypeError,
    'withGrace: expected milliseconds >= 0, got "1"',
  );
});

Deno.test("withGrace() of no context is a TypeError", () => {
  assertThrows(
    () => withGrace(undefined as unknown as Context, 500),
    TypeError,
    "withGrace: expected a context, got undefined",
  );
});

Deno.test("a look long after the end of the parent does not extend withGrace()", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  const work = withGrace(service, 500);
  service.cancel();
  for (let i = 0; i < 4; i++) {
    time.tick(100);
    assertOpen(work);
  }
  time.tick(100);
  assertDone(work, "AbortError");
});

Deno.test("a look long after the end of the outer withGrace() does not extend the inner one", () => {
  using time = new FakeTime();
  const service = withCancel(background());
  const inner = withGrace(withGrace(service, 500), 200);
  service.cancel();
  time.tick(700);
  assertDone(inner, "AbortError");
});

Deno.test("draining() of no context is a TypeError", () => {
  assertThrows(
    () => draining(undefined as unknown as Context),
    TypeError,
    "draining: expected a context, got undefined",
  );
});
