import {
  pass as passReal,
  putOn,
  standStill,
} from "../context/settable_clock.ts";
import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, withTimeout } from "@curfew/context";
import { IdleTimeout, IdleTimer } from "../../net/idle_timer.ts";
import { turn } from "./turn.ts";

const hour = 3_600_000;

standStill();

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

/** Lets time go by, and everything run that was due. */
async function letPass(ms: number): Promise<void> {
  passReal(ms);
  using ctx = withTimeout(background(), hour);
  void ctx.err;
  await turn();
}

for (const step of [5 * hour, -5 * hour]) {
  Deno.test(`an idle timer is as long as it was after a step of the wall clock by ${step} ms`, async () => {
    let calls = 0;
    const timer = new IdleTimer(hour, () => calls++);
    await letPass(hour / 2);
    timer.touch();
    putOn(step);
    await letPass(hour - 1);
    assertEquals(calls, 0);
    await letPass(1);
    assertEquals(calls, 1);
  });
}

Deno.test("an IdleTimeout has the timeout, and says it", () => {
  const error = new IdleTimeout(1_000);
  assertEquals(
    `${error}`,
    "IdleTimeout: nothing was sent or received for 1000 ms",
  );
  assertEquals(error.idleTimeout, 1_000);
});
