// What becomes of those who wait when the wall clock is put back.

import { alarms, pass, putOn } from "./settable_clock.ts";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  DeadlineExceeded,
  every,
  remaining,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";

const hour = 3_600_000;
/** In ms: how exactly the two clocks can be compared. */
const slack = 2;

Deno.test("a clock that is put back takes what is not due yet back with it", async () => {
  const first = sleep(background(), 1);
  using second = withTimeout(background(), 10_000);
  second.signal;
  putOn(-hour);
  await first;
  assertEquals(second.err, undefined);
  assert(remaining(second) <= 10_000 + slack);
  assert(Number(second.deadline) <= Date.now() + 10_000 + slack);
  pass(10_000 + slack);
  assertInstanceOf(second.err, DeadlineExceeded);
});

Deno.test("a clock that is put back is seen when the next deadline is made, too", () => {
  using first = withTimeout(background(), 9_000);
  first.signal;
  // None of these has set an alarm.
  const others = Array.from(
    { length: 100 },
    (_, n) => withTimeout(background(), 10_000 + (n * 37) % 100),
  );
  putOn(-hour);
  using _next = withTimeout(background(), 20_000);
  assert(remaining(first) <= 9_000 + slack);
  for (const [n, other] of others.entries()) {
    assert(remaining(other) <= 10_000 + (n * 37) % 100 + slack);
    other.cancel();
  }
});

Deno.test("deadlines that a clock took back end in their order", async () => {
  const ended: number[] = [];
  const after = [400, 100, 300, 200];
  for (const ms of after) {
    afterFunc(withTimeout(background(), hour + ms), () => ended.push(ms));
  }
  putOn(-hour);
  using _next = withTimeout(background(), 20_000);
  pass(hour + 400 + slack);
  await sleep(background(), 1);
  assertEquals(ended, [100, 200, 300, 400]);
});

Deno.test("a clock that was put on and is put back takes nothing back from before that", async () => {
  using before = withTimeout(background(), 3 * hour);
  before.signal;
  putOn(hour);
  // When an alarm rings, the clocks are compared.
  await sleep(background(), 1);
  using meanwhile = withTimeout(background(), 3 * hour);
  putOn(-hour - 2_000);
  await sleep(background(), 1);
  const near = (ms: number) => ms > 3 * hour - 60_000 && ms <= 3 * hour + slack;
  assert(near(remaining(meanwhile)));
  assert(near(remaining(before)));
});

Deno.test("a clock that was put on and is put back leaves what an alarm is good for", async () => {
  // No alarm of another test is good for anything any more.
  pass(1_000 * hour);
  using before = withTimeout(background(), 3 * hour);
  before.signal;
  putOn(hour);
  await sleep(background(), 1);
  putOn(-hour - 2_000);
  await sleep(background(), 1);
  assertAlarm(2.5 * hour);
});

/** Asserts that a deadline so many ms off sets an alarm of its own. */
function assertAlarm(ms: number): void {
  using ctx = withTimeout(background(), ms);
  ctx.signal;
  const [last = NaN] = alarms.slice(-1);
  assert(last > ms - 60_000 && last <= ms);
}

Deno.test("a clock that is put back twice takes what is not due yet back twice", async () => {
  pass(1_000 * hour);
  using ctx = withTimeout(background(), 3 * hour);
  ctx.signal;
  for (let n = 0; n < 2; n++) {
    putOn(-hour);
    await sleep(background(), 1);
  }
  assert(remaining(ctx) <= 3 * hour + 2 * slack);
  assertAlarm(2.5 * hour);
});

Deno.test("a deadline made after the clock was put back is not taken back", async () => {
  using early = withTimeout(background(), 24 * hour);
  await sleep(background(), 1);
  using before = withTimeout(background(), 25 * hour);
  putOn(-hour);
  // Nothing is made for so long that the time is later than ever before.
  pass(2 * hour);
  using after = withTimeout(background(), 26 * hour);
  using next = withTimeout(background(), 1_000);
  next.signal;
  assert(remaining(early) <= 22 * hour + slack);
  assert(remaining(after) > 26 * hour - 60_000);
  // Of these nobody can know: late, but not early.
  assert(remaining(before) > 23 * hour - 60_000);
});

Deno.test("those that are taken back and those that are not end in the order of their times", async () => {
  const ended: number[] = [];
  const add = (ms: number, due: number) =>
    afterFunc(withTimeout(background(), ms), () => ended.push(due));
  const minute = 60_000;
  using far = withTimeout(background(), 20 * hour);
  far.signal;
  const rung = sleep(background(), 1);
  for (let n = 0; n < 50; n++) {
    const ms = 25 * hour + (n * 37) % 50 * minute;
    add(ms, ms - hour);
  }
  // When an alarm rings, the clocks are compared.
  await rung;
  for (let n = 0; n < 50; n++) {
    const ms = 24 * hour + ((n * 23) % 50 + 0.5) * minute;
    add(ms, ms);
  }
  putOn(-hour);
  pass(2 * hour);
  using next = withTimeout(background(), 1_000);
  next.signal;
  pass(40 * hour);
  await sleep(background(), 1);
  assertEquals(ended.length, 100);
  assertEquals(ended, ended.toSorted((a, b) => a - b));
});

Deno.test("a clock of a test that is in the past takes no deadline back", () => {
  using ctx = withTimeout(background(), hour);
  ctx.signal;
  const at = Number(ctx.deadline);
  {
    using _time = new FakeTime(0);
    using other = withTimeout(background(), 10_000);
    other.signal;
  }
  using next = withTimeout(background(), 1_000);
  next.signal;
  assertEquals(Number(ctx.deadline), at);
});

Deno.test("every() goes on when the clock is put back", async () => {
  using ctx = withCancel(background());
  // It would end with the hour.
  const guard = setTimeout(ctx.cancel, 60_000);
  const ticks: number[] = [];
  for await (const tick of every(ctx, 1)) {
    ticks.push(tick);
    if (ticks.length === 2) putOn(-hour);
    if (ticks.length === 4) break;
  }
  clearTimeout(guard);
  assertEquals(ticks.length, 4);
  assertEquals(ticks, ticks.toSorted((a, b) => a - b));
});
