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
  Canceled,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  retry,
  type RetryOptions,
  sleep,
  snapshot,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");
const key = createKey<number>("key");

/** Fails `failures` times, then returns the number of the attempt. */
function failing(failures: number): (ctx: Context, attempt: number) => number {
  return (_ctx, attempt) => {
    if (attempt <= failures) throw new Error(`failure ${attempt}`);
    return attempt;
  };
}

/** Options without waits. */
const AT_ONCE: RetryOptions = { backoff: { first: 0 } };

/** Replaces Math.random by one fraction until it is disposed. */
function withRandom(fraction: number): Disposable {
  const { random } = Math;
  Math.random = () => fraction;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** Moves fake time on to each timer in turn until `promise` settles. */
async function settle(time: FakeTime, promise: Promise<unknown>) {
  const outcome = outcomeOf(promise);
  for (;;) {
    await turn();
    if (outcome.state !== "pending") return;
    await time.nextAsync();
  }
}

Deno.test("retry() resolves with the first result and does not call again", async () => {
  let calls = 0;
  assertEquals(await retry(background(), () => ++calls), 1);
  assertEquals(calls, 1);
});

for (
  const [how, fail] of [
    ["throws", () => {
      throw broken;
    }],
    ["rejects", () => Promise.reject(broken)],
  ] as const
) {
  Deno.test(`retry() calls again after f ${how}`, async () => {
    const calls: number[] = [];
    const result = await retry(background(), (_ctx, attempt) => {
      calls.push(attempt);
      return attempt < 3 ? fail() : "done";
    }, AT_ONCE);
    assertEquals([result, calls], ["done", [1, 2, 3]]);
  });
}

Deno.test("retry() makes five attempts by default and rejects with the last error", async () => {
  const error = await assertRejects(() =>
    retry(background(), failing(9), AT_ONCE)
  );
  assertEquals((error as Error).message, "failure 5");
});

for (const attempts of [1, 2, 7]) {
  Deno.test(`retry() makes no more than ${attempts} attempts if told so`, async () => {
    const options = { ...AT_ONCE, attempts };
    const error = await assertRejects(() =>
      retry(background(), failing(9), options)
    );
    assertEquals((error as Error).message, `failure ${attempts}`);
    const last = await retry(background(), failing(attempts - 1), options);
    assertEquals(last, attempts);
  });
}

Deno.test("retry() with attempts: Infinity calls until it succeeds", async () => {
  const options = { ...AT_ONCE, attempts: Infinity };
  assertEquals(await retry(background(), failing(1_200), options), 1_201);
});

Deno.test("retry() passes on the values of ctx", async () => {
  const ctx = withValue(background(), key, 7);
  assertEquals(await retry(ctx, (ctx) => ctx.value(key)), 7);
});

Deno.test("retry() gives each attempt a ctx of its own that ends with the attempt", async () => {
  using ctx = withCancel(background());
  const seen: Context[] = [];
  await retry(ctx, (ctx, attempt) => {
    assertEquals(seen.map(({ err }) => err instanceof Canceled), [
      ...Array(attempt - 1).fill(true),
    ]);
    seen.push(ctx);
    assertEquals(ctx.err, undefined);
    return failing(2)(ctx, attempt);
  }, AT_ONCE);
  assertEquals(new Set(seen).size, 3);
  assertInstanceOf(seen[2]!.err, Canceled);
  assertEquals(ctx.err, undefined);
});

// The waits are drawn from 0 to a limit, of which the fraction says how much.
const WAITS: [
  what: string,
  options: RetryOptions,
  fraction: number,
  waits: number[],
][] = [
  ["grow from 100 ms by 2", {}, 1, [100, 200, 400, 800, 1_600]],
  ["stop growing at 10 s", {}, 1, [
    ...[100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000],
  ]],
  ["are a random part of the limit", {}, 0.5, [50, 100, 200, 400]],
  ["may be 0", {}, 0, [0, 0, 0, 0]],
  ["begin with backoff.first", { backoff: { first: 7 } }, 1, [7, 14, 28]],
  ["grow by backoff.factor", { backoff: { factor: 3 } }, 1, [100, 300, 900]],
  ["may stay the same", { backoff: { factor: 1 } }, 1, [100, 100, 100]],
  ["stop growing at backoff.max", { backoff: { max: 150 } }, 1, [
    ...[100, 150, 150],
  ]],
  ["begin with backoff.max if it is less", { backoff: { max: 30 } }, 1, [
    ...[30, 30, 30],
  ]],
  ["are as long as retryIf says", { retryIf: () => 5 }, 1, [5, 5, 5]],
  ["do not exist if retryIf says 0 or less", { retryIf: () => -5 }, 1, [0, 0]],
];

for (const [what, options, fraction, waits] of WAITS) {
  Deno.test(`retry() waits between attempts that ${what}`, async () => {
    using time = new FakeTime(0);
    using _random = withRandom(fraction);
    const times: number[] = [];
    const result = retry(background(), (ctx, attempt) => {
      times.push(Date.now());
      return failing(waits.length)(ctx, attempt);
    }, { ...options, attempts: Infinity });
    await settle(time, result);
    const between = times.slice(1).map((at, i) => at - times[i]!);
    assertEquals(between, waits);
  });
}

Deno.test("retry() counts the limit of a wait by attempts, also after waits that retryIf chose", async () => {
  using time = new FakeTime(0);
  using _random = withRandom(1);
  const times: number[] = [];
  const result = retry(background(), (ctx, attempt) => {
    times.push(Date.now());
    return failing(3)(ctx, attempt);
  }, { retryIf: () => times.length === 2 ? 7 : true });
  await settle(time, result);
  assertEquals(times, [0, 100, 107, 507]);
});

Deno.test("retry() draws a new random part for each wait", async () => {
  using time = new FakeTime(0);
  const times: number[] = [];
  const result = retry(background(), (ctx, attempt) => {
    times.push(Date.now());
    return failing(20)(ctx, attempt);
  }, {
    attempts: 21,
    backoff: { first: 1_000_000, factor: 1, max: 1_000_000 },
  });
  await settle(time, result);
  const waits = times.slice(1).map((at, i) => at - times[i]!);
  assert(new Set(waits).size > 10, `${waits}`);
  assert(waits.every((wait) => wait <= 1_000_001), `${waits}`);
});

Deno.test("retry() gives up with the error if retryIf returns false", async () => {
  const seen: unknown[] = [];
  const error = await assertRejects(() =>
    retry(background(), failing(9), {
      ...AT_ONCE,
      retryIf(error) {
        seen.push(error);
        return seen.length < 2;
      },
    })
  );
  assertEquals((error as Error).message, "failure 2");
  assertStrictEquals(seen[1], error);
});

Deno.test("retry() does not ask retryIf after the last attempt", async () => {
  let asked = 0;
  await assertRejects(() =>
    retry(background(), failing(9), {
      ...AT_ONCE,
      attempts: 3,
      retryIf: () => ++asked > 0,
    })
  );
  assertEquals(asked, 2);
});

Deno.test("retry() rejects with what retryIf throws", async () => {
  const result = retry(background(), failing(1), {
    retryIf: () => {
      throw broken;
    },
  });
  assertStrictEquals(await assertRejects(() => result), broken);
});

for (const decision of [NaN, undefined, "5", null, Symbol("s")]) {
  Deno.test(`retry() rejects with a RangeError if retryIf returns ${Deno.inspect(decision)}`, async () => {
    const retryIf = () => decision as number;
    const error = await assertRejects(
      () => retry(background(), failing(1), { retryIf }),
      RangeError,
      `from retryIf, got ${Deno.inspect(decision)}`,
    );
    assertEquals((error.cause as Error).message, "failure 1");
  });
}

Deno.test("retry() cuts an attempt off at attemptTimeout and calls again", async () => {
  using time = new FakeTime(0);
  const contexts: Context[] = [];
  const result = retry(background(), (ctx, attempt) => {
    contexts.push(ctx);
    return attempt < 3 ? new Promise<number>(() => {}) : attempt;
  }, { ...AT_ONCE, attemptTimeout: 500 });
  await settle(time, result);
  assertEquals([await result, Date.now()], [3, 1_000]);
  assertInstanceOf(contexts[0]!.err, DeadlineExceeded);
  assertEquals(contexts[1]!.deadline, new Date(1_000));
});

Deno.test("retry() rejects with DeadlineExceeded if the last attempt takes too long", async () => {
  using time = new FakeTime(0);
  const result = retry(
    background(),
    (ctx) => sleep(ctx, 60_000),
    { ...AT_ONCE, attempts: 2, attemptTimeout: 500 },
  );
  await settle(time, result);
  await assertRejects(() => result, DeadlineExceeded);
  assertEquals(Date.now(), 1_000);
});

Deno.test("retry() gives up at once with the last error if the wait would reach the deadline", async () => {
  using time = new FakeTime(0);
  for (const [wait, attempts] of [[999, 2], [1_000, 1], [Infinity, 1]]) {
    using ctx = withTimeout(background(), 1_000);
    let calls = 0;
    const start = Date.now();
    const result = retry(ctx, (ctx, attempt) => {
      calls++;
      return failing(9)(ctx, attempt);
    }, { attempts: 2, retryIf: () => wait! });
    await settle(time, result);
    const error = await assertRejects(() => result);
    assertEquals((error as Error).message, `failure ${attempts}`);
    assertEquals(calls, attempts);
    assertEquals(Date.now() - start, attempts === 1 ? 0 : 999);
  }
});

Deno.test("retry() does not wait forever, even without a deadline", async () => {
  const error = await assertRejects(() =>
    retry(background(), failing(1), { retryIf: () => Infinity })
  );
  assertEquals((error as Error).message, "failure 1");
});

Deno.test("retry() on a done ctx rejects with ctx.err and never calls f", async () => {
  const ctx = withCancel(background());
  ctx.cancel("closed");
  let calls = 0;
  const error = await assertRejects(() => retry(ctx, () => ++calls));
  assertStrictEquals(error, ctx.err);
  assertEquals([calls, cause(ctx)], [0, "closed"]);
});

Deno.test("retry() rejects with ctx.err when ctx ends during a wait", async () => {
  const ctx = withCancel(background());
  let calls = 0;
  const result = outcomeOf(retry(ctx, () => {
    calls++;
    throw broken;
  }, { retryIf: () => 60_000 }));
  await turn();
  ctx.cancel();
  await turn();
  assertStrictEquals(result.error, ctx.err);
  assertEquals(calls, 1);
});

Deno.test("retry() rejects with ctx.err when ctx ends during an attempt that ignores it", async () => {
  const ctx = withCancel(background());
  const late = Promise.withResolvers<number>();
  const reasons = await unhandledIn(async () => {
    const result = outcomeOf(retry(ctx, () => late.promise));
    await turn();
    ctx.cancel();
    await turn();
    assertStrictEquals(result.error, ctx.err);
    late.reject(broken);
  });
  assertEquals(reasons, []);
});

Deno.test("retry() rejects with ctx.err if the attempt fails after it has canceled ctx", async () => {
  const ctx = withCancel(background());
  let calls = 0;
  const error = await assertRejects(() =>
    retry(ctx, () => {
      calls++;
      ctx.cancel();
      throw broken;
    }, AT_ONCE)
  );
  assertStrictEquals(error, ctx.err);
  assertEquals(calls, 1);
});

Deno.test("retry() makes no attempt if ctx ends in the moment in which the wait does", async () => {
  using time = new FakeTime(0);
  const ctx = withCancel(background());
  let calls = 0;
  const result = retry(ctx, () => {
    calls++;
    throw broken;
  }, { retryIf: () => 10 });
  await turn();
  setTimeout(ctx.cancel, 10);
  await settle(time, result);
  assertStrictEquals(await assertRejects(() => result), ctx.err);
  assertEquals(calls, 1);
});

Deno.test("retry() tells the end of an attempt from the end of ctx, also with equal deadlines", async () => {
  using time = new FakeTime(0);
  using ctx = withTimeout(background(), 500);
  const result = retry(
    ctx,
    (ctx) => sleep(ctx, 60_000),
    { ...AT_ONCE, attemptTimeout: 500 },
  );
  await settle(time, result);
  assertStrictEquals(await assertRejects(() => result), ctx.err);
});

Deno.test("retry() retries an AbortError that has nothing to do with ctx", async () => {
  using ctx = withCancel(background());
  const foreign = new DOMException("aborted", "AbortError");
  const result = await retry(ctx, (_ctx, attempt) => {
    if (attempt === 1) throw foreign;
    return attempt;
  }, AT_ONCE);
  assertEquals(result, 2);
});

Deno.test("retry() works under a custom context", async () => {
  const inner = withCancel(background());
  const result = outcomeOf(
    retry(new Wrapper(inner), () => {
      throw broken;
    }, { retryIf: () => 60_000 }),
  );
  await turn();
  inner.cancel();
  await turn();
  assertStrictEquals(result.error, inner.err);
});

Deno.test("retry() leaves nothing on ctx after any outcome", async () => {
  using ctx = withCancel(background());
  await retry(ctx, failing(2), AT_ONCE);
  await assertRejects(() => retry(ctx, failing(9), AT_ONCE));
  await assertRejects(() =>
    retry(ctx, () => new Promise(() => {}), {
      ...AT_ONCE,
      attempts: 2,
      attemptTimeout: 1,
    })
  );
  const { children, afterFuncs } = snapshot(ctx);
  assertEquals([children, afterFuncs], [[], 0]);
});

Deno.test("retry() may be called inside itself", async () => {
  const attempts: string[] = [];
  const result = await retry(
    background(),
    (ctx, outer) =>
      retry(ctx, (_ctx, inner) => {
        attempts.push(`${outer}.${inner}`);
        if (outer < 2 || inner < 2) throw broken;
        return "done";
      }, { ...AT_ONCE, attempts: 2 }),
    AT_ONCE,
  );
  assertEquals([result, attempts], ["done", ["1.1", "1.2", "2.1", "2.2"]]);
});

const RANGE: [options: RetryOptions, message: string][] = [
  [{ attempts: 0 }, "attempts to be an integer >= 1, or Infinity, got 0"],
  [{ attempts: 1.5 }, "attempts to be an integer >= 1, or Infinity, got 1.5"],
  [{ attempts: NaN }, "attempts to be an integer >= 1, or Infinity, got NaN"],
  [
    { attempts: -Infinity },
    "attempts to be an integer >= 1, or Infinity, got -Infinity",
  ],
  [
    { attempts: "3" as unknown as number },
    'attempts to be an integer >= 1, or Infinity, got "3"',
  ],
  [{ attemptTimeout: 0 }, "attemptTimeout > 0 ms, got 0"],
  [{ attemptTimeout: NaN }, "attemptTimeout > 0 ms, got NaN"],
  [{ backoff: { first: -1 } }, "backoff.first >= 0 ms, got -1"],
  [{ backoff: { first: Infinity } }, "backoff.first >= 0 ms, got Infinity"],
  [{ backoff: { factor: 0.9 } }, "backoff.factor >= 1, got 0.9"],
  [{ backoff: { factor: Infinity } }, "backoff.factor >= 1, got Infinity"],
  [{ backoff: { max: -1 } }, "backoff.max >= 0 ms, got -1"],
  [{ backoff: { max: Infinity } }, "backoff.max >= 0 ms, got Infinity"],
];

for (const [options, message] of RANGE) {
  Deno.test(`retry() throws a RangeError for ${Deno.inspect(options)}`, () => {
    assertThrows(
      () => retry(background(), () => 1, options),
      RangeError,
      `retry: expected ${message}`,
    );
  });
}

Deno.test("retry() accepts options at the limits and undefined ones", async () => {
  const options: RetryOptions[] = [
    { attempts: 1, attemptTimeout: Infinity },
    { backoff: { first: 0, factor: 1, max: 0 } },
    {
      ...{ attempts: undefined, attemptTimeout: undefined },
      ...{ backoff: undefined, retryIf: undefined },
    },
    { backoff: { first: undefined, factor: undefined, max: undefined } },
  ];
  for (const each of options) {
    assertEquals(await retry(background(), () => 7, each), 7);
  }
});

Deno.test("retry() throws a TypeError for arguments of the wrong type", () => {
  const not = <T>(value: unknown) => value as T;
  assertThrows(
    () => retry(not<Context>({}), () => 1),
    TypeError,
    "retry: expected a context, got object",
  );
  assertThrows(
    () => retry(background(), not<() => 1>(7)),
    TypeError,
    "retry: expected f to be a function, got 7",
  );
  assertThrows(
    () => retry(background(), () => 1, { retryIf: not<() => true>("yes") }),
    TypeError,
    'retry: expected retryIf to be a function, got "yes"',
  );
});
