import { assertEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  createKey,
  remaining,
  withCancel,
  withoutCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Due, Wrapper } from "./custom_context.ts";

Deno.test("remaining() is Infinity without a deadline", () => {
  using ctx = withCancel(background());
  assertEquals(remaining(ctx), Infinity);
});

Deno.test("remaining() is the time to the deadline, and moves with the clock", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  assertEquals(remaining(ctx), 1000);
  time.tick(400);
  assertEquals(remaining(ctx), 600);
});

Deno.test("remaining() counts to the earliest deadline that applies", () => {
  using _time = new FakeTime();
  using outer = withTimeout(background(), 1000);
  using inner = withTimeout(outer, 300);
  assertEquals(remaining(withValue(inner, createKey("key"), 7)), 300);
  assertEquals(remaining(withTimeout(inner, 500)), 300);
  assertEquals(remaining(outer), 1000);
});

Deno.test("remaining() is 0 once the time is over", () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  time.tick(5000);
  assertEquals(remaining(ctx), 0);
});

Deno.test("remaining() is 0 once ctx was canceled, with a deadline or without", () => {
  for (
    const ctx of [withCancel(background()), withTimeout(background(), 1000)]
  ) {
    ctx.cancel();
    assertEquals(remaining(ctx), 0);
  }
});

Deno.test("remaining() is Infinity under withoutCancel()", () => {
  using ctx = withTimeout(background(), 1000);
  assertEquals(remaining(withoutCancel(ctx)), Infinity);
});

Deno.test("remaining() of more than the platform's timers take", () => {
  using _time = new FakeTime();
  using ctx = withTimeout(background(), 2 ** 40);
  assertEquals(remaining(ctx), 2 ** 40);
});

Deno.test("remaining() of a custom context goes by its deadline", () => {
  using time = new FakeTime();
  const ctx = new Due(background(), time.now + 700);
  assertEquals(remaining(ctx), 700);
  assertEquals(remaining(withCancel(ctx)), 700);
  assertEquals(remaining(withValue(ctx, createKey("key"), 7)), 700);
  time.tick(1000);
  assertEquals(remaining(ctx), 0);
});

Deno.test("remaining() of a custom context that is done is 0", () => {
  const ctx = withCancel(background());
  ctx.cancel();
  assertEquals(remaining(new Wrapper(ctx)), 0);
});

for (const wrong of [null, undefined, {}, 7]) {
  Deno.test(`remaining(${wrong}) is a TypeError`, () => {
    assertThrows(() => remaining(wrong as Context), TypeError, "remaining");
  });
}
