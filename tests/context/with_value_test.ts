import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  afterFunc,
  background,
  cause,
  type Context,
  createKey,
  type Key,
  snapshot,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";

const userKey = createKey<string | undefined>("user");
const traceKey = createKey<number>("trace");

Deno.test("value() is undefined if nothing is stored", () => {
  assertEquals(
    withValue(background(), userKey, "ada").value(traceKey),
    undefined,
  );
});

Deno.test("value() finds the nearest", () => {
  const outer = withValue(background(), userKey, "ada");
  const inner = withValue(outer, userKey, "grace");
  assertEquals(inner.value(userKey), "grace");
});

Deno.test("withValue() leaves its parent untouched", () => {
  const outer = withValue(background(), userKey, "ada");
  withValue(outer, userKey, "grace");
  assertEquals(outer.value(userKey), "ada");
});

Deno.test("values of a chain add up", () => {
  const ctx = withValue(withValue(background(), userKey, "ada"), traceKey, 7);
  assertEquals([ctx.value(userKey), ctx.value(traceKey)], ["ada", 7]);
});

Deno.test("values are found from below cancels and timeouts", () => {
  using cancel = withCancel(withValue(background(), userKey, "ada"));
  using timeout = withTimeout(withValue(cancel, traceKey, 7), 1000);
  assertEquals([timeout.value(userKey), timeout.value(traceKey)], ["ada", 7]);
  assertEquals([cancel.value(userKey), cancel.value(traceKey)], [
    "ada",
    undefined,
  ]);
});

Deno.test("values of siblings do not meet", () => {
  using parent = withCancel(background());
  const left = withValue(parent, userKey, "ada");
  const right = withValue(parent, userKey, "grace");
  assertEquals([left, right].map((ctx) => ctx.value(userKey)), [
    "ada",
    "grace",
  ]);
  assertEquals(parent.value(userKey), undefined);
});

Deno.test("a stored undefined hides what the parent has", () => {
  const outer = withValue(background(), userKey, "ada");
  assertEquals(withValue(outer, userKey, undefined).value(userKey), undefined);
});

for (const value of [null, 0, "", false, NaN]) {
  Deno.test(`${JSON.stringify(value)} (${typeof value}) is stored as it is`, () => {
    const key = createKey<unknown>("key");
    const outer = withValue(background(), key, "outer");
    assertStrictEquals(withValue(outer, key, value).value(key), value);
  });
}

Deno.test("a stored object is the same object", () => {
  const key = createKey<{ name: string }>("key");
  const value = { name: "ada" };
  assertStrictEquals(withValue(background(), key, value).value(key), value);
});

Deno.test("values survive cancel", () => {
  const ctx = withCancel(withValue(background(), userKey, "ada"));
  ctx.cancel();
  assertEquals(ctx.value(userKey), "ada");
  assertEquals(withValue(ctx, traceKey, 7).value(userKey), "ada");
});

Deno.test("values survive a timeout", () => {
  const ctx = withTimeout(withValue(background(), userKey, "ada"), 0);
  assertDone(ctx, "TimeoutError");
  assertEquals(ctx.value(userKey), "ada");
});

Deno.test("withValue() has the err, the cause, the signal, done and the deadline of its parent", () => {
  const parent = withTimeout(background(), 3_600_000);
  const ctx = withValue(withValue(parent, userKey, "ada"), traceKey, 7);
  assertOpen(ctx);
  assertStrictEquals(ctx.signal, parent.signal);
  assertStrictEquals(ctx.done, parent.done);
  assertEquals(ctx.deadline, parent.deadline);
  parent.cancel("why");
  assertStrictEquals(assertDone(ctx), parent.err);
  assertEquals(cause(ctx), "why");
});

Deno.test("withValue() carries an afterFunc of the context it is based on", () => {
  using parent = withCancel(background());
  const stop = afterFunc(withValue(parent, userKey, "ada"), () => {});
  assertEquals(snapshot(parent).afterFuncs, 1);
  assertEquals(stop(), true);
  assertEquals(snapshot(parent).afterFuncs, 0);
});

const wrongKeys: { [what: string]: unknown } = {
  "a string": "user",
  "a symbol": Symbol("user"),
  "an object": { name: "user" },
  "undefined": undefined,
  "null": null,
};
for (const [what, wrong] of Object.entries(wrongKeys)) {
  const key = wrong as Key<string>;

  Deno.test(`withValue() by ${what} is a TypeError`, () => {
    assertThrows(
      () => withValue(background(), key, ""),
      TypeError,
      "createKey()",
    );
  });

  Deno.test(`value() of ${what} is a TypeError, on every kind of context`, () => {
    using cancel = withCancel(background());
    const value = withValue(cancel, userKey, "ada");
    for (const ctx of [background(), cancel, value, withCancel(value)]) {
      assertThrows(() => ctx.value(key), TypeError, "createKey()");
    }
  });
}

for (const parent of [null, undefined]) {
  Deno.test(`withValue() on ${parent} is a TypeError that says so`, () => {
    assertThrows(
      () => withValue(parent as unknown as Context, userKey, "ada"),
      TypeError,
      "expected a context, got ",
    );
  });
}

Deno.test("a chain of 100,000 values is built and read", () => {
  const bottom = createKey<string>("bottom");
  let ctx = withValue(background(), bottom, "found");
  for (let i = 0; i < 100_000; i++) ctx = withValue(ctx, traceKey, i);
  assertEquals(ctx.value(bottom), "found");
  assertEquals(ctx.value(traceKey), 99_999);
  assertOpen(ctx);
  assertEquals(
    String(ctx),
    "background.withValue(bottom)" + ".withValue(trace)".repeat(100_000),
  );
});
