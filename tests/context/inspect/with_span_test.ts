import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { type TracerLike, withSpan } from "@curfew/context/inspect";

/** A tracer that records its calls. */
function recording(): { log: unknown[]; tracer: TracerLike } {
  const log: unknown[] = [];
  const tracer: TracerLike = {
    startActiveSpan(name, f) {
      log.push(["start", name]);
      return f({
        setAttribute: (key, value) => log.push([key, value]),
        recordException: (error) => log.push(["exception", error]),
        setStatus: ({ code }) => log.push(["status", code]),
        end: () => log.push("end"),
      });
    },
  };
  return { log, tracer };
}

function exceptions(log: unknown[]): unknown[] {
  return log.filter(Array.isArray).filter(([key]) => key === "exception")
    .map(([, error]) => error);
}

Deno.test("withSpan() ends the span with its work, and records the time left", async () => {
  using _time = new FakeTime();
  const { log, tracer } = recording();
  using ctx = withTimeout(background(), 1_000);
  assertEquals(await withSpan(ctx, tracer, "work", () => 42), 42);
  assertEquals(log, [
    ["start", "work"],
    ["context.remaining_ms", 1_000],
    "end",
  ]);
});

Deno.test("withSpan() records a cancellation with its cause, and as no error", async () => {
  const { log, tracer } = recording();
  const ctx = withCancel(background());
  const work = withSpan(ctx, tracer, "work", (ctx) => sleep(ctx, 60_000));
  ctx.cancel("the client has gone");
  assertEquals(await assertRejects(() => work), ctx.err);
  assertEquals(log.slice(1), [["context.cause", "the client has gone"], "end"]);
});

Deno.test("withSpan() records a deadline as an error", async () => {
  const { log, tracer } = recording();
  using ctx = withTimeout(background(), 0, { cause: "too slow" });
  const work = withSpan(ctx, tracer, "work", (ctx) => sleep(ctx, 60_000));
  const { name, message, stack } = await assertRejects(
    () => work,
    DOMException,
  );
  assertEquals(log.slice(-4), [
    ["context.cause", "too slow"],
    ["status", 2],
    ["exception", { name, message, stack }],
    "end",
  ]);
});

// Tracers take an error's code for its type: this would be one of type 23.
Deno.test("withSpan() records a DOMException by its name, without its code", async () => {
  const { log, tracer } = recording();
  using ctx = withTimeout(background(), 0);
  await assertRejects(() =>
    withSpan(ctx, tracer, "work", (ctx) => sleep(ctx, 60_000))
  );
  const { name, message, stack } = ctx.err!;
  assertEquals(exceptions(log), [{ name, message, stack }]);
});

Deno.test("withSpan() records any other error itself, with its code", async () => {
  const { log, tracer } = recording();
  const error = Object.assign(new Error("no such file"), { code: "ENOENT" });
  await assertRejects(() =>
    withSpan(background(), tracer, "work", () => Promise.reject(error))
  );
  assertStrictEquals(exceptions(log)[0], error);
});

Deno.test("withSpan() records a failure as an error, without the cause of ctx", async () => {
  const { log, tracer } = recording();
  const error = new Error("disk full");
  await assertRejects(() =>
    withSpan(background(), tracer, "work", () => {
      throw error;
    })
  );
  assertEquals(log.slice(1), [["status", 2], ["exception", error], "end"]);
});

const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

const unreadable: [what: string, value: unknown][] = [
  ["an object without a string", Object.create(null)],
  ["a revoked proxy", revoked],
];
for (const [what, value] of unreadable) {
  Deno.test(`withSpan() rejects with ${what} if its work throws that`, async () => {
    const { log, tracer } = recording();
    const work = withSpan(background(), tracer, "work", () => {
      throw value;
    });
    // In an array: a promise would look for a method of a value that it resolves to.
    const [error] = await work.catch((error) => [error]);
    assertEquals(error === value, true);
    assertEquals([log[1], log.at(-1)], [["status", 2], "end"]);
  });

  Deno.test(`withSpan() rejects with the err of ctx if its cause is ${what}`, async () => {
    const { log, tracer } = recording();
    const ctx = withCancel(background());
    const work = withSpan(ctx, tracer, "work", (ctx) => sleep(ctx, 60_000));
    ctx.cancel(value);
    assertStrictEquals(await work.catch((error) => error), ctx.err);
    assertEquals(log.slice(1), [
      ["context.cause", "a value that cannot be read"],
      "end",
    ]);
  });
}

Deno.test("withSpan() without a tracer settles as its work does", async () => {
  assertEquals(await withSpan(background(), undefined, "x", () => 1), 1);
  await assertRejects(
    () =>
      withSpan(background(), undefined, "x", () => {
        throw new Error("disk full");
      }),
    Error,
    "disk full",
  );
});

Deno.test("withSpan() refuses what is not a context", () => {
  const ctx = {} as Context;
  assertThrows(() => withSpan(ctx, undefined, "x", () => 1), TypeError);
});

Deno.test("withSpan() says what it expects if it is not given a tracer", () => {
  for (const wrong of [null, {}]) {
    assertThrows(
      () =>
        withSpan(background(), wrong as unknown as TracerLike, "x", () => 1),
      TypeError,
      "withSpan: expected a tracer of @opentelemetry/api, got ",
    );
  }
});
