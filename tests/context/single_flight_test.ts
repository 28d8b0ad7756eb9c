import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type CancelableContext,
  Canceled,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  singleFlight,
  snapshot,
  withCancel,
  withoutCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";
import { type Outcome, outcomeOf, turn } from "./outcome.ts";
import { Random } from "./random.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");
const key = createKey<number>("key");

/** An execution that ends when the test says so. */
interface Execution {
  ctx: Context;
  args: unknown[];
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** A shared function that records its executions. */
function recorded(): {
  executions: Execution[];
  call: (ctx: Context, ...args: unknown[]) => Promise<unknown>;
} {
  const executions: Execution[] = [];
  const call = singleFlight((ctx, ...args: unknown[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    executions.push({ ctx, args, resolve, reject });
    return promise;
  });
  return { executions, call };
}

Deno.test("singleFlight() makes one call of fifty concurrent ones", async () => {
  const { executions, call } = recorded();
  const results = Array.from({ length: 50 }, () => call(background(), "a"));
  assertEquals(executions.map(({ args }) => args), [["a"]]);
  const value = {};
  executions[0]!.resolve(value);
  for (const result of results) assertStrictEquals(await result, value);
});

Deno.test("singleFlight() calls f before it returns", () => {
  let called = false;
  singleFlight(() => called = true)(background());
  assert(called);
});

Deno.test("singleFlight() passes all arguments on", async () => {
  const call = singleFlight((_ctx, ...args: number[]) => args);
  assertEquals(await call(background(), 1, 2, 3), [1, 2, 3]);
});

for (
  const [how, fail] of [
    ["throws", () => {
      throw broken;
    }],
    ["rejects with", () => Promise.reject(broken)],
  ] as const
) {
  Deno.test(`singleFlight() gives all callers the error that f ${how}`, async () => {
    let calls = 0;
    const call = singleFlight(async (_ctx, _key: string) => {
      calls++;
      await turn();
      return fail();
    });
    const results = [call(background(), "a"), call(background(), "a")];
    for (const result of results) {
      assertStrictEquals(await assertRejects(() => result), broken);
    }
    assertEquals(calls, 1);
  });
}

Deno.test("singleFlight() rejects with the error that f throws before it returns", async () => {
  const call = singleFlight(() => {
    throw broken;
  });
  assertStrictEquals(await assertRejects(() => call(background())), broken);
});

Deno.test("singleFlight() calls again after an outcome", async () => {
  const { executions, call } = recorded();
  for (const outcome of ["resolve", "reject"] as const) {
    const result = call(background(), "a");
    executions.at(-1)![outcome](broken);
    await result.catch(() => {});
  }
  call(background(), "a");
  assertEquals(executions.length, 3);
});

// As a Map compares.
const object = {};
const KEYS: [what: string, a: unknown, b: unknown, same: boolean][] = [
  ["equal strings", "a", "a", true],
  ["different strings", "a", "b", false],
  ["a number and its digits", 1, "1", false],
  ["NaN", NaN, NaN, true],
  ["0 and -0", 0, -0, true],
  ["undefined", undefined, undefined, true],
  ["undefined and null", undefined, null, false],
  ["one object", object, object, true],
  ["two equal objects", {}, {}, false],
];

for (const [what, a, b, same] of KEYS) {
  Deno.test(`singleFlight() takes ${what} for ${same ? "one key" : "two keys"}`, () => {
    const { executions, call } = recorded();
    call(background(), a, 1);
    call(background(), b, 2);
    assertEquals(executions.length, same ? 1 : 2);
  });
}

Deno.test("singleFlight() shares calls without arguments", () => {
  const { executions, call } = recorded();
  call(background());
  call(background());
  assertEquals(executions.length, 1);
});

Deno.test("singleFlight() derives the key by the option, from all arguments without ctx", async () => {
  const calls: string[] = [];
  const call = singleFlight(
    (_ctx, name: string, type: string) => {
      calls.push(name + type);
      return turn();
    },
    { key: (name, type) => name.toLowerCase() + type },
  );
  await Promise.all([
    call(background(), "a", "1"),
    call(background(), "A", "1"),
    call(background(), "a", "2"),
  ]);
  assertEquals(calls, ["a1", "a2"]);
});

Deno.test("singleFlight() rejects with the error of key, and calls nothing", async () => {
  let calls = 0;
  const call = singleFlight(() => ++calls, {
    key: () => {
      throw broken;
    },
  });
  assertStrictEquals(await assertRejects(() => call(background())), broken);
  assertEquals(calls, 0);
});

Deno.test("singleFlight() keeps the executions of two functions apart", () => {
  const one = recorded();
  const other = recorded();
  one.call(background(), "a");
  other.call(background(), "a");
  assertEquals([one.executions.length, other.executions.length], [1, 1]);
});

Deno.test("singleFlight() gives f the values of the first caller, and no deadline", () => {
  const { executions, call } = recorded();
  using limited = withTimeout(background(), 60_000);
  outcomeOf(call(withValue(limited, key, 1), "a"));
  outcomeOf(call(withValue(limited, key, 2), "a"));
  const { ctx } = executions[0]!;
  assertEquals([ctx.value(key), ctx.deadline, ctx.err], [
    1,
    undefined,
    undefined,
  ]);
});

Deno.test("singleFlight() ends the ctx of f once there is an outcome", async () => {
  const { executions, call } = recorded();
  const result = call(background(), "a");
  const { ctx, resolve } = executions[0]!;
  resolve(1);
  await result;
  assertInstanceOf(ctx.err, Canceled);
});

Deno.test("singleFlight() goes on when the first caller gives up and another one waits", async () => {
  const { executions, call } = recorded();
  const first = withCancel(background());
  const gone = call(first, "a");
  const waiting = call(background(), "a");
  first.cancel();
  assertStrictEquals(await assertRejects(() => gone), first.err);
  assertEquals(executions[0]!.ctx.err, undefined);
  const joined = call(background(), "a");
  assertEquals(executions.length, 1);
  executions[0]!.resolve(7);
  assertEquals([await waiting, await joined], [7, 7]);
});

Deno.test("singleFlight() cancels the ctx of f with the cause of the last caller that gives up", async () => {
  const { executions, call } = recorded();
  const [first, last] = [withCancel(background()), withCancel(background())];
  const results = [call(first, "a"), call(last, "a")];
  const { ctx } = executions[0]!;
  first.cancel("first");
  assertEquals(ctx.err, undefined);
  last.cancel("last");
  assertInstanceOf(ctx.err, Canceled);
  assertEquals(cause(ctx), "last");
  assertStrictEquals(await assertRejects(() => results[0]!), first.err);
  assertStrictEquals(await assertRejects(() => results[1]!), last.err);
});

Deno.test("singleFlight() rejects a caller at its own deadline", async () => {
  using time = new FakeTime();
  const { executions, call } = recorded();
  using short = withTimeout(background(), 20);
  const early = outcomeOf(call(short, "a"));
  const late = outcomeOf(call(background(), "a"));
  await time.tickAsync(20);
  assertInstanceOf(early.error, DeadlineExceeded);
  assertStrictEquals(early.error, short.err);
  assertEquals([late.state, executions[0]!.ctx.err], ["pending", undefined]);
});

Deno.test("singleFlight() starts a new execution for the next caller after the last one has given up", async () => {
  const { executions, call } = recorded();
  const ctx = withCancel(background());
  const gone = outcomeOf(call(ctx, "a"));
  ctx.cancel();
  // At once: nothing has had the time to notice.
  const next = call(background(), "a");
  assertEquals(executions.length, 2);
  executions[0]!.resolve("old");
  await turn();
  const third = call(background(), "a");
  assertEquals(executions.length, 2);
  executions[1]!.resolve("new");
  assertEquals([await next, await third], ["new", "new"]);
  assertStrictEquals(gone.error, ctx.err);
});

Deno.test("singleFlight() does not call f for a ctx that is done, nor count it as a caller", async () => {
  const { executions, call } = recorded();
  const done = withCancel(background());
  done.cancel();
  assertStrictEquals(await assertRejects(() => call(done, "a")), done.err);
  assertEquals(executions.length, 0);
  const ctx = withCancel(background());
  const waiting = outcomeOf(call(ctx, "a"));
  assertStrictEquals(await assertRejects(() => call(done, "a")), done.err);
  ctx.cancel();
  await turn();
  assertStrictEquals(waiting.error, ctx.err);
  assertInstanceOf(executions[0]!.ctx.err, Canceled);
});

Deno.test("singleFlight() calls nothing if the key ends the only caller", async () => {
  const ctx = withCancel(background());
  let calls = 0;
  const call = singleFlight(() => ++calls, { key: () => ctx.cancel() });
  assertStrictEquals(await assertRejects(() => call(ctx)), ctx.err);
  assertEquals(calls, 0);
  assertEquals(await call(background()), 1);
});

Deno.test("singleFlight() lets f cancel its only caller", async () => {
  const ctx = withCancel(background());
  const call = singleFlight((shared, _key: string) => {
    ctx.cancel("by f");
    return cause(shared);
  });
  assertStrictEquals(await assertRejects(() => call(ctx, "a")), ctx.err);
  assertEquals(await call(background(), "a"), undefined);
});

Deno.test("singleFlight() starts a new execution for a listener that calls while the old one ends", async () => {
  const { executions, call } = recorded();
  const ctx = withCancel(background());
  const gone = outcomeOf(call(ctx, "a"));
  let again: Promise<unknown> | undefined;
  executions[0]!.ctx.signal.addEventListener("abort", () => {
    again = call(background(), "a");
  });
  ctx.cancel();
  assertEquals(executions.length, 2);
  executions[1]!.resolve(2);
  assertEquals(await again, 2);
  assertStrictEquals(gone.error, ctx.err);
});

Deno.test("singleFlight() may be called by f with another key", async () => {
  const sum = singleFlight(async (ctx, n: number): Promise<number> =>
    n === 0 ? 0 : n + await sum(ctx, n - 1)
  );
  assertEquals(await sum(background(), 200), 20_100);
});

Deno.test("singleFlight() shares executions that f asks for more than once", async () => {
  let calls = 0;
  const fibonacci = singleFlight(async (ctx, n: number): Promise<number> => {
    calls++;
    if (n < 2) return n;
    const [a, b] = await Promise.all([
      fibonacci(ctx, n - 1),
      fibonacci(ctx, n - 2),
    ]);
    return a + b;
  });
  assertEquals(await fibonacci(background(), 50), 12_586_269_025);
  assertEquals(calls, 51);
});

const WAITS_FOR_ITSELF = "singleFlight: the call waits for itself";

Deno.test("singleFlight() rejects a call of f for its own key", async () => {
  const call = singleFlight((ctx, name: string): Promise<string> =>
    call(ctx, name)
  );
  await assertRejects(() => call(background(), "a"), Error, WAITS_FOR_ITSELF);
});

Deno.test("singleFlight() rejects a call that waits for itself through other functions, however it detaches its ctx", async () => {
  const a = singleFlight((ctx): Promise<string> => b(withoutCancel(ctx)));
  const b = singleFlight((ctx): Promise<string> => c(ctx));
  const c = singleFlight((ctx): Promise<string> => a(new Wrapper(ctx)));
  await assertRejects(() => a(background()), Error, WAITS_FOR_ITSELF);
});

Deno.test("singleFlight() rejects the second of two executions that would wait for each other", async () => {
  const go = Promise.withResolvers<void>();
  const call = singleFlight(async (ctx, name: "a" | "b"): Promise<string> => {
    await go.promise;
    return await call(ctx, name === "a" ? "b" : "a");
  });
  const [a, b] = [call(background(), "a"), call(background(), "b")];
  go.resolve();
  await assertRejects(() => a, Error, WAITS_FOR_ITSELF);
  await assertRejects(() => b, Error, WAITS_FOR_ITSELF);
});

Deno.test("singleFlight() lets f wait for one execution several times, one after the other", async () => {
  const inner = recorded();
  const outer = singleFlight(async (ctx, _key: string) => {
    const one = withCancel(ctx);
    const first = inner.call(one, "i");
    const second = inner.call(ctx, "i");
    one.cancel();
    await first.catch(() => {});
    const result = await second;
    // The edge between the two has gone; the other direction is free.
    return result;
  });
  const result = outer(background(), "o");
  const { ctx, resolve } = inner.executions[0]!;
  await turn();
  // It still waits for the second call.
  await assertRejects(() => outer(ctx, "o"), Error, WAITS_FOR_ITSELF);
  resolve(7);
  assertEquals(await result, 7);
});

Deno.test("singleFlight() lets an execution call one that no longer waits for it", async () => {
  const inner = recorded();
  const release = Promise.withResolvers<void>();
  const outer = singleFlight(async (ctx, _key: string) => {
    const child = withCancel(ctx);
    const call = inner.call(child, "i");
    child.cancel();
    await call.catch(() => {});
    await release.promise;
    return "outer";
  });
  const waiting = inner.call(background(), "i");
  const result = outer(background(), "o");
  await turn();
  const joined = outer(inner.executions[0]!.ctx, "o");
  release.resolve();
  assertEquals([await result, await joined], ["outer", "outer"]);
  inner.executions[0]!.resolve(1);
  assertEquals(await waiting, 1);
});

Deno.test("singleFlight() lets what f has left behind call for the same key", async () => {
  let calls = 0;
  let left: Context | undefined;
  const call = singleFlight((ctx, _key: string) => {
    left = withoutCancel(ctx);
    return ++calls;
  });
  assertEquals(await call(background(), "a"), 1);
  assertEquals(await call(left!, "a"), 2);
});

Deno.test("singleFlight() lets what a finished execution has left behind join the one that waited for it", async () => {
  const release = Promise.withResolvers<void>();
  let left: Context | undefined;
  const inner = singleFlight((ctx, _key: string) => {
    left = withoutCancel(ctx);
  });
  const outer = singleFlight(async (ctx, _key: string) => {
    await inner(ctx, "i");
    await release.promise;
    return "outer";
  });
  const result = outer(background(), "o");
  await turn();
  const joined = outer(left!, "o");
  release.resolve();
  assertEquals([await result, await joined], ["outer", "outer"]);
});

Deno.test("singleFlight() works under a custom context", async () => {
  const { executions, call } = recorded();
  const inner = withCancel(background());
  const result = outcomeOf(call(new Wrapper(inner), "a"));
  inner.cancel("closed");
  await turn();
  assertStrictEquals(result.error, inner.err);
  assertEquals(cause(executions[0]!.ctx), "closed");
});

Deno.test("singleFlight() leaves no unhandled rejection, even if f fails after all callers have given up", async () => {
  const reasons = await unhandledIn(async () => {
    const { executions, call } = recorded();
    const ctx = withCancel(background());
    const result = outcomeOf(call(ctx, "a"));
    ctx.cancel();
    executions[0]!.reject(broken);
    await turn();
    assertStrictEquals(result.error, ctx.err);
  });
  assertEquals(reasons, []);
});

Deno.test("singleFlight() leaves nothing on the contexts of its callers", async () => {
  const { executions, call } = recorded();
  const ctx = withCancel(background());
  const other = withCancel(background());
  const child = withCancel(other);
  const results = [call(ctx, "a"), call(ctx, "a"), call(child, "a")];
  assertEquals(snapshot(ctx).afterFuncs, 2);
  child.cancel();
  await assertRejects(() => results[2]!);
  assertEquals(snapshot(other).children, []);
  executions[0]!.resolve(1);
  await results[0];
  const { children, afterFuncs } = snapshot(ctx);
  assertEquals([children, afterFuncs], [[], 0]);
});

Deno.test("singleFlight() serves 100,000 callers, half of which give up", async () => {
  const { executions, call } = recorded();
  const patient = withCancel(background());
  const impatient = withCancel(background());
  const counts = { resolved: 0, gone: 0 };
  const all = Array.from(
    { length: 100_000 },
    (_, i) =>
      call(i % 2 === 0 ? patient : impatient, "a").then(
        () => counts.resolved++,
        () => counts.gone++,
      ),
  );
  impatient.cancel();
  executions[0]!.resolve(1);
  await Promise.all(all);
  assertEquals(counts, { resolved: 50_000, gone: 50_000 });
  assertEquals(executions.length, 1);
  assertEquals(snapshot(patient).afterFuncs, 0);
});

/** A call of the model, and the execution that it waits for. */
interface ModelCall {
  id: number;
  key: number;
  ctx: CancelableContext;
  outcome: Outcome<unknown>;
  expected: Outcome<unknown>;
  execution: number;
}

/** More microtasks than an outcome needs to reach its callers. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

Deno.test("singleFlight() follows a model through random calls, cancellations and outcomes", async () => {
  const seed = Number(
    Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  );
  console.log(`SEED=${seed}`);
  const random = new Random(seed);
  for (let run = 0; run < 300; run++) {
    const { executions, call } = recorded();
    const calls: ModelCall[] = [];
    const running = new Map<number, number>();
    let started = 0;
    const waiting = () =>
      calls.filter(({ expected }) => expected.state === "pending");
    for (let step = 0; step < 40; step++) {
      const kind = random.below(10);
      if (kind < 5 || waiting().length === 0) {
        const key = random.below(3);
        const ctx = withCancel(background());
        if (!running.has(key)) running.set(key, started++);
        calls.push({
          ...{ id: calls.length, key, ctx },
          outcome: outcomeOf(call(ctx, key)),
          expected: { state: "pending" },
          execution: running.get(key)!,
        });
      } else if (kind < 8) {
        const gone = random.of(waiting());
        gone.ctx.cancel();
        gone.expected = { state: "rejected", error: gone.ctx.err };
        const others = waiting().some(({ execution }) =>
          execution === gone.execution
        );
        if (!others) running.delete(gone.key);
      } else {
        const { execution, key } = random.of(waiting());
        const fails = random.below(2) === 0;
        const error = new Error(`failure of ${execution}`);
        const { resolve, reject } = executions[execution]!;
        if (fails) reject(error);
        else resolve(execution);
        await microtasks();
        for (const each of waiting()) {
          if (each.execution !== execution) continue;
          each.expected = fails
            ? { state: "rejected", error }
            : { state: "resolved", value: execution };
        }
        running.delete(key);
      }
      assertEquals(executions.length, started, `run ${run}, step ${step}`);
      executions.forEach(({ ctx }, i) => {
        const open = [...running.values()].includes(i);
        assertEquals(ctx.err === undefined, open, `run ${run}, step ${step}`);
      });
    }
    await microtasks();
    for (const { id, outcome, expected } of calls) {
      assertEquals(outcome, expected, `run ${run}, call ${id}`);
    }
    for (const { ctx } of calls) ctx.cancel();
    await microtasks();
  }
});

Deno.test("singleFlight() throws a TypeError for arguments of the wrong type", () => {
  const not = <T>(value: unknown) => value as T;
  assertThrows(
    () => singleFlight(not<() => 1>("f")),
    TypeError,
    'singleFlight: expected f to be a function, got "f"',
  );
  assertThrows(
    () => singleFlight(() => 1, { key: not<() => 1>("name") }),
    TypeError,
    'singleFlight: expected key to be a function, got "name"',
  );
  const call = singleFlight(() => 1, { key: undefined });
  assertThrows(
    () => call(not<Context>("name")),
    TypeError,
    "singleFlight: expected a context, got string",
  );
});
