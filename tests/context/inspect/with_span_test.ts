import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, sleep, withCancel, withTimeout } from "@curfew/context";
import { type TracerLike, withSpan } from "@curfew/context/inspect";

/** A tracer that records its calls. */
function recording(): { log: unknown[]; tracer: TracerLike } {
  const log: unknown[] = [];
  const tracer: TracerLike = {
    startActiveSpan(name, f) {
      log.push(["start", name]);
      return f({
        setAttribute: (key, value) => log.push([key, value]),
        recordException: (error) => log.push(["exception", String(error)]),
        setStatus: ({ code }) => log.push(["status", code]),
        end: () => log.push("end"),
      });
    },
  };
  return { log, tracer };
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
  const error = await assertRejects(() => work);
  assertEquals(log.slice(-4), [
    ["context.cause", "too slow"],
    ["exception", String(error)],
    ["status", 2],
    "end",
  ]);
});

Deno.test("withSpan() records a failure as an error, without the cause of ctx", async () => {
  const { log, tracer } = recording();
  await assertRejects(() =>
    withSpan(background(), tracer, "work", () => {
      throw new Error("disk full");
    })
  );
  assertEquals(log.slice(1), [
    ["exception", "Error: disk full"],
    ["status", 2],
    "end",
  ]);
});

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
