import { AsyncLocalStorage } from "node:async_hooks";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  Canceled,
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

Deno.test("orDone() resolves with the value of the promise", async () => {
  using ctx = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<number>();
  const result = outcomeOf(orDone(ctx, promise));
  await turn();
  assertEquals(result.state, "pending");
  resolve(7);
  await turn();
  assertEquals(result, { state: "resolved", value: 7 });
});

Deno.test("orDone() rejects with the error of the promise", async () => {
  using ctx = withCancel(background());
  const error = await assertRejects(() => orDone(ctx, Promise.reject(broken)));
  assertStrictEquals(error, broken);
  assertEquals(ctx.err, undefined);
});

Deno.test("orDone() rejects with ctx.err when ctx is canceled first", async () => {
  const ctx = withCancel(background());
  const result = orDone(ctx, new Promise(() => {}));
  ctx.cancel("closing time");
  const error = await assertRejects(() => result);
  assertStrictEquals(error, ctx.err);
  assertEquals(cause(ctx), "closing time");
});

Deno.test("orDone() rejects with ctx.err at the deadline of ctx", async () => {
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

Deno.test("orDone() settles with the first of the two and ignores the other", async () => {
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

// Promises that have settled, and plain values.
const settled: [name: string, make: () => unknown][] = [
  ["a resolved promise", () => Promise.resolve(7)],
  ["a rejected promise", () => Promise.reject(broken)],
  ["a value", () => 7],
  ["undefined", () => undefined],
];
for (const [name, make] of settled) {
  Deno.test(`orDone() on a done ctx rejects with ctx.err, even for ${name}`, async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    const reasons = await unhandledIn(async () => {
      const error = await assertRejects(() => orDone(ctx, make()));
      assertStrictEquals(error, ctx.err);
    });
    assertEquals(reasons, []);
  });
}

Deno.test("orDone() accepts a value that is not a promise", async () => {
  using ctx = withCancel(background());
  assertEquals(await orDone(ctx, 7), 7);
  assertEquals(await orDone(ctx, undefined), undefined);
  assertEquals(await orDone(background(), "never done"), "never done");
});

Deno.test("orDone() accepts any thenable", async () => {
  const thenable: PromiseLike<number> = {
    then: (onResolved) => Promise.resolve(7).then(onResolved),
  };
  assertEquals(await orDone(background(), thenable), 7);
});

Deno.test("orDone() rejects with the error of a thenable that throws, and leaves nothing on ctx", async () => {
  using ctx = withCancel(background());
  const thenable: PromiseLike<number> = {
    then() {
      throw broken;
    },
  };
  assertStrictEquals(await assertRejects(() => orDone(ctx, thenable)), broken);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("orDone() drops a late rejection, which is not unhandled", async () => {
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

Deno.test("orDone() leaves nothing on ctx, whichever of the two is first", async () => {
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

// The errors that a custom context may end with.
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

Deno.test("orDone() on a wrapper ends with the wrapped context", async () => {
  const inner = withCancel(background());
  const result = orDone(new Wrapper(inner), new Promise(() => {}));
  inner.cancel();
  assertStrictEquals(await assertRejects(() => result), inner.err);
});

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`orDone(${JSON.stringify(wrong)}) throws a TypeError`, () => {
    assertThrows(
      () => orDone(wrong as Context, 7),
      TypeError,
      "orDone: expected a context",
    );
  });
}

// Values that arrive too late.
const lates: [
  name: string,
  make: (late: (value: number) => void) => unknown,
][] = [
  ["a promise that resolves after the end of ctx", async (late) => {
    const ctx = withCancel(background());
    const { promise, resolve } = Promise.withResolvers<number>();
    const result = orDone(ctx, promise, { late });
    ctx.cancel();
    resolve(7);
    await assertRejects(() => result, Canceled);
  }],
  [
    "a promise that has resolved when ctx ends in the same turn",
    async (late) => {
      const ctx = withCancel(background());
      const result = orDone(ctx, Promise.resolve(7), { late });
      ctx.cancel();
      await assertRejects(() => result, Canceled);
    },
  ],
  ["a promise given on a done ctx", async (late) => {
    const ctx = withCancel(background());
    ctx.cancel();
    const result = orDone(ctx, Promise.resolve(7), { late });
    await assertRejects(() => result, Canceled);
  }],
  ["a value given on a done ctx", async (late) => {
    const ctx = withCancel(background());
    ctx.cancel();
    await assertRejects(() => orDone(ctx, 7, { late }), Canceled);
  }],
  ["a promise on a ctx whose deadline no timer has reported", async (late) => {
    const ctx = withTimeout(background(), 1);
    for (const start = Date.now(); Date.now() < start + 3;);
    const result = orDone(ctx, Promise.resolve(7), { late });
    await assertRejects(() => result, DeadlineExceeded);
  }],
];
for (const [name, make] of lates) {
  Deno.test(`orDone() hands a late value to \`late\`, once: ${name}`, async () => {
    const values: number[] = [];
    await make((value) => values.push(value));
    await turn();
    assertEquals(values, [7]);
  });
}

Deno.test("orDone() does not call `late` for a value in time, nor for an error", async () => {
  const late = () => assert(false);
  const reasons = await unhandledIn(async () => {
    const ctx = withCancel(background());
    assertEquals(await orDone(ctx, Promise.resolve(7), { late }), 7);
    const inTime = orDone(ctx, Promise.reject(broken), { late });
    assertStrictEquals(await assertRejects(() => inTime), broken);
    const { promise, reject } = Promise.withResolvers<number>();
    const tooLate = orDone(ctx, promise, { late });
    ctx.cancel();
    await assertRejects(() => tooLate, Canceled);
    reject(broken);
  });
  assertEquals(reasons, []);
});

// Failures of `late`.
const failing: [how: string, late: () => unknown][] = [
  ["throws", () => {
    throw broken;
  }],
  ["rejects", () => Promise.reject(broken)],
];
for (const [how, late] of failing) {
  Deno.test(`orDone() does not swallow the error when \`late\` ${how}`, async () => {
    const reasons = await unhandledIn(async () => {
      const ctx = withCancel(background());
      const result = orDone(ctx, Promise.resolve(7), { late });
      ctx.cancel();
      await assertRejects(() => result, Canceled);
    });
    assertEquals(reasons.length, 1);
    assertStrictEquals(reasons[0], broken);
  });
}

Deno.test("orDone() runs `late` in the async context of its caller", async () => {
  const id = new AsyncLocalStorage<string>();
  const ctx = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<void>();
  const seen: unknown[] = [];
  id.run("caller", () => {
    orDone(ctx, promise, { late: () => seen.push(id.getStore()) })
      .catch(() => {});
  });
  id.run("canceler", ctx.cancel);
  id.run("resolver", resolve);
  await turn();
  assertEquals(seen, ["caller"]);
});

Deno.test("orDone() of a function throws a TypeError that says to call it", () => {
  assertThrows(
    () => orDone(background(), () => Promise.resolve(7)),
    TypeError,
    "orDone: expected a promise, got a function: call it",
  );
});

Deno.test("orDone() accepts a function that is a thenable", async () => {
  const thenable = Object.assign(() => {}, {
    then: (onResolved: (value: number) => void) => onResolved(7),
  });
  assertEquals(
    await orDone(background(), thenable as unknown as PromiseLike<number>),
    7,
  );
});

for (
  const [wrong, given] of [
    [null, "null"],
    [7, "7"],
    [{}, "object"],
    ["close", '"close"'],
  ] as const
) {
  Deno.test(`orDone() with ${Deno.inspect(wrong)} as \`late\` throws a TypeError`, () => {
    using ctx = withCancel(background());
    assertThrows(
      () => orDone(ctx, 7, { late: wrong as unknown as () => void }),
      TypeError,
      `orDone: expected late to be a function, got ${given}`,
    );
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}
