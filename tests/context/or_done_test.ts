import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  orDone,
  snapshot,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { OwnSignal, Wrapper } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");
const key = createKey<number>("key");

Deno.test("orDone() resolves as the promise does", async () => {
  using ctx = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<number>();
  const result = outcomeOf(orDone(ctx, promise));
  await turn();
  assertEquals(result.state, "pending");
  resolve(7);
  await turn();
  assertEquals(result, { state: "resolved", value: 7 });
});

Deno.test("orDone() rejects as the promise does", async () => {
  using ctx = withCancel(background());
  const error = await assertRejects(() => orDone(ctx, Promise.reject(broken)));
  assertStrictEquals(error, broken);
  assertEquals(ctx.err, undefined);
});

Deno.test("orDone() rejects with ctx.err when that is cancelled first", async () => {
  const ctx = withCancel(background());
  const result = orDone(ctx, new Promise(() => {}));
  ctx.cancel("closing time");
  const error = await assertRejects(() => result);
  assertStrictEquals(error, ctx.err);
  assertEquals(cause(ctx), "closing time");
});

Deno.test("orDone() rejects with ctx.err when its time is over", async () => {
  using ctx = withTimeout(background(), 1);
  const error = await assertRejects(() => orDone(ctx, new Promise(() => {})));
  assertInstanceOf(error, DeadlineExceeded);
  assertStrictEquals(error, ctx.err);
});

Deno.test("orDone() rejects with ctx.err when an ancestor ends", async () => {
  const parent = withCancel(background());
  const ctx = withValue(withCancel(parent), key, 7);
  const result = orDone(ctx, new Promise(() => {}));
  parent.cancel();
  assertStrictEquals(await assertRejects(() => result), ctx.err);
});

Deno.test("orDone() goes by the first of the two, whatever comes later", async () => {
  const ctx = withCancel(background());
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const resolved = outcomeOf(orDone(ctx, Promise.resolve(7)));
  const rejected = outcomeOf(orDone(ctx, promise));
  await turn();
  ctx.cancel();
  resolve(8);
  reject(broken);
  await turn();
  assertEquals(resolved, { state: "resolved", value: 7 });
  assertStrictEquals(rejected.error, ctx.err);
});

// What is no promise that would have to be waited for.
const settled: [name: string, make: () => unknown][] = [
  ["a resolved promise", () => Promise.resolve(7)],
  ["a rejected promise", () => Promise.reject(broken)],
  ["a value", () => 7],
  ["undefined", () => undefined],
];
for (const [name, make] of settled) {
  Deno.test(`orDone() on a done ctx rejects with ctx.err, also for ${name}`, async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    const reasons = await unhandledIn(async () => {
      const error = await assertRejects(() => orDone(ctx, make()));
      assertStrictEquals(error, ctx.err);
    });
    assertEquals(reasons, []);
  });
}

Deno.test("orDone() takes a value that is no promise", async () => {
  using ctx = withCancel(background());
  assertEquals(await orDone(ctx, 7), 7);
  assertEquals(await orDone(ctx, undefined), undefined);
  assertEquals(await orDone(background(), "never done"), "never done");
});

Deno.test("orDone() takes any thenable", async () => {
  const thenable: PromiseLike<number> = {
    then: (onResolved) => Promise.resolve(7).then(onResolved),
  };
  assertEquals(await orDone(background(), thenable), 7);
});

Deno.test("orDone() rejects with what a thenable throws, and leaves nothing on ctx", async () => {
  using ctx = withCancel(background());
  const thenable: PromiseLike<number> = {
    then() {
      throw broken;
    },
  };
  assertStrictEquals(await assertRejects(() => orDone(ctx, thenable)), broken);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("orDone() leaves a rejection that comes too late not unhandled", async () => {
  const reasons = await unhandledIn(async () => {
    const ctx = withCancel(background());
    const { promise, reject } = Promise.withResolvers<void>();
    const result = orDone(ctx, promise);
    ctx.cancel();
    await assertRejects(() => result);
    reject(broken);
  });
  assertEquals(reasons, []);
});

Deno.test("orDone() leaves nothing on ctx, whichever is first", async () => {
  using ctx = withCancel(background());
  const child = withCancel(ctx);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const failing = Promise.withResolvers<void>();
  const results = [
    orDone(ctx, promise),
    orDone(ctx, failing.promise),
    orDone(child, new Promise<void>(() => {})),
  ].map(outcomeOf);
  assertEquals(snapshot(ctx).afterFuncs, 2);
  assertEquals(snapshot(child).afterFuncs, 1);
  resolve();
  reject(broken);
  failing.reject(broken);
  child.cancel();
  await turn();
  assertEquals(results.map(({ state }) => state), [
    "resolved",
    "rejected",
    "rejected",
  ]);
  assertEquals(snapshot(ctx).afterFuncs, 0);
  assertEquals(snapshot(ctx).children, []);
});

// Contexts of somebody else's, and what they may end with.
const endings: [name: string, err: DOMException | undefined][] = [
  ["its own", undefined],
  ["a DOMException of its own", new DOMException("over", "AbortError")],
];
for (const [name, err] of endings) {
  Deno.test(`orDone() rejects with the err of a custom context: ${name}`, async () => {
    const ctx = new OwnSignal(background());
    const result = orDone(ctx, new Promise(() => {}));
    ctx.end(err);
    assertStrictEquals(await assertRejects(() => result), ctx.err);
    assertStrictEquals(await assertRejects(() => orDone(ctx, 7)), ctx.err);
  });
}

Deno.test("orDone() under a wrapper ends with what is wrapped", async () => {
  const inner = withCancel(background());
  const result = orDone(new Wrapper(inner), new Promise(() => {}));
  inner.cancel();
  assertStrictEquals(await assertRejects(() => result), inner.err);
});

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`orDone(${JSON.stringify(wrong)}) is a TypeError`, () => {
    assertThrows(
      () => orDone(wrong as Context, 7),
      TypeError,
      "orDone: expected a context",
    );
  });
}
