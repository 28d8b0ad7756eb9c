import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  cause,
  type Context,
  createKey,
  remaining,
  snapshot,
  withCancel,
  withoutCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { Wrapper } from "./custom_context.ts";

const key = createKey<string>("key");

Deno.test("withoutCancel() is open when its parent is canceled", () => {
  const parent = withCancel(background());
  const ctx = withoutCancel(parent);
  parent.cancel();
  assertOpen(ctx);
});

Deno.test("withoutCancel() on a parent that is done is open", () => {
  const parent = withCancel(background());
  parent.cancel();
  assertOpen(withoutCancel(parent));
});

Deno.test("withoutCancel() has no deadline and all the time there is", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 1000);
  const ctx = withoutCancel(parent);
  assertEquals(ctx.deadline, undefined);
  assertEquals(remaining(ctx), Infinity);
  time.tick(1000);
  assertDone(parent, "TimeoutError");
  assertOpen(ctx);
});

Deno.test("withoutCancel() keeps the values", () => {
  const parent = withCancel(withValue(background(), key, "value"));
  const ctx = withoutCancel(withValue(parent, createKey("other"), 7));
  assertEquals(ctx.value(key), "value");
  parent.cancel();
  assertEquals(ctx.value(key), "value");
});

Deno.test("withoutCancel() keeps the values of a custom context", () => {
  const ctx = withoutCancel(new Wrapper(withValue(background(), key, "value")));
  assertEquals(ctx.value(key), "value");
});

Deno.test("withoutCancel() lets through no cancel to what is under it", () => {
  const parent = withCancel(background());
  using child = withCancel(withValue(withoutCancel(parent), key, "value"));
  parent.cancel();
  assertOpen(child);
});

Deno.test("withoutCancel() has children that end by themselves", () => {
  using parent = withCancel(background());
  const child = withCancel(withoutCancel(parent));
  child.cancel("own");
  assertDone(child);
  assertEquals(cause(child), "own");
  assertOpen(parent);
});

Deno.test("withoutCancel() has children with deadlines of their own", () => {
  using time = new FakeTime();
  using parent = withTimeout(background(), 10);
  using child = withTimeout(withoutCancel(parent), 1000);
  assertEquals(child.deadline, new Date(time.now + 1000));
  time.tick(1000);
  assertDone(child, "TimeoutError");
});

Deno.test("withoutCancel() registers nothing on its parent", () => {
  using parent = withCancel(background());
  using _child = withCancel(withoutCancel(parent));
  assertEquals(snapshot(parent).children, []);
});

Deno.test("withoutCancel() has one signal, and done never resolves", async () => {
  const parent = withCancel(background());
  const ctx = withoutCancel(parent);
  assertStrictEquals(ctx.signal, ctx.signal);
  let settled = false;
  ctx.done.then(() => settled = true);
  afterFunc(ctx, () => settled = true);
  parent.cancel();
  await parent.done;
  assertEquals(settled, false);
});

Deno.test("withoutCancel() 100,000 times over is built and read", () => {
  let ctx = withValue(background(), key, "value");
  for (let i = 0; i < 100_000; i++) ctx = withoutCancel(ctx);
  assertEquals(ctx.value(key), "value");
  assertEquals(
    String(ctx),
    "background.withValue(key)" + ".withoutCancel".repeat(100_000),
  );
});

for (const parent of [null, undefined]) {
  Deno.test(`withoutCancel(${parent}) is a TypeError that says so`, () => {
    assertThrows(
      () => withoutCancel(parent as unknown as Context),
      TypeError,
      "expected a context, got ",
    );
  });
}
