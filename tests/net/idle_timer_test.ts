import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { IdleTimeout, IdleTimer } from "../../net/idle_timer.ts";
import { putOn } from "../context/settable_clock.ts";

/** Moves the fake clock, and lets everything run that waited for it. */
async function pass(time: FakeTime, ms: number): Promise<void> {
  await time.tickAsync(ms);
  await time.runMicrotasks();
}

Deno.test("an idle timer calls its function once after the timeout", async () => {
  using time = new FakeTime();
  let calls = 0;
  new IdleTimer(1_000, () => calls++);
  await pass(time, 999);
  assertEquals(calls, 0);
  await pass(time, 1);
  assertEquals(calls, 1);
  await pass(time, 10_000);
  assertEquals(calls, 1);
});

Deno.test("touch() restarts an idle timer", async () => {
  using time = new FakeTime();
  let calls = 0;
  const timer = new IdleTimer(1_000, () => calls++);
  await pass(time, 600);
  timer.touch();
  await pass(time, 600);
  timer.touch();
  await pass(time, 999);
  assertEquals(calls, 0);
  await pass(time, 1);
  assertEquals(calls, 1);
});

Deno.test("stop() stops an idle timer for good", async () => {
  using time = new FakeTime();
  let calls = 0;
  const timer = new IdleTimer(1_000, () => calls++);
  await pass(time, 500);
  timer.stop();
  timer.touch();
  await pass(time, 10_000);
  assertEquals(calls, 0);
});

Deno.test("an idle timer of Infinity never calls its function", async () => {
  using time = new FakeTime();
  let calls = 0;
  const timer = new IdleTimer(Infinity, () => calls++);
  timer.touch();
  await pass(time, 1_000_000);
  timer.stop();
  assertEquals(calls, 0);
});

Deno.test("an idle timer does not wait longer when the wall clock is set back", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const guard = setTimeout(reject, 60_000, new Error("it still waits"));
  const timer = new IdleTimer(5, resolve);
  timer.touch();
  putOn(-3_600_000);
  try {
    await promise;
  } finally {
    clearTimeout(guard);
    timer.stop();
  }
});

Deno.test("an IdleTimeout has the timeout, and says it", () => {
  const error = new IdleTimeout(1_000);
  assertEquals(
    `${error}`,
    "IdleTimeout: nothing was sent or received for 1000 ms",
  );
  assertEquals(error.idleTimeout, 1_000);
});
