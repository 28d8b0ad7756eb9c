// Steps of the wall clock: time is monotonic.

import { alarms, pass, putOn } from "./settable_clock.ts";
import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  every,
  remaining,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";

const hour = 3_600_000;
/** Tolerance in ms: rounding, and the duration of a test. */
const slack = 60_000;

function isNear(ms: number, expected: number): boolean {
  return Math.abs(ms - expected) < slack;
}

for (const step of [hour, -hour, 200, -200, 24 * hour, -24 * hour]) {
  Deno.test(`a step of the wall clock by ${step} ms leaves the time left as it is`, () => {
    using ctx = withTimeout(background(), 2 * hour);
    putOn(step);
    assertEquals(ctx.err, undefined);
    assert(isNear(remaining(ctx), 2 * hour));
    using next = withTimeout(background(), 2 * hour);
    assert(isNear(remaining(next), 2 * hour));
  });

  Deno.test(`a step of the wall clock by ${step} ms moves the deadline as a Date with it`, () => {
    using ctx = withTimeout(background(), 2 * hour);
    putOn(step);
    assert(isNear(ctx.deadline!.getTime() - Date.now(), 2 * hour));
  });

  Deno.test(`a step of the wall clock by ${step} ms ends no deadline early and delays none`, async () => {
    using ctx = withTimeout(background(), 2 * hour);
    const { signal } = ctx;
    putOn(step);
    await sleep(background(), 1);
    assertEquals(signal.aborted, false);
    pass(2 * hour);
    assertEquals(ctx.err?.name, "TimeoutError");
    assertEquals(signal.aborted, true);
  });

  Deno.test(`sleep() and every() go on after a step of the wall clock by ${step} ms`, async () => {
    const first = sleep(background(), 1);
    putOn(step);
    await first;
    const ticks: number[] = [];
    for await (const tick of every(background(), 1)) {
      ticks.push(tick);
      if (ticks.length === 2) putOn(-step);
      if (ticks.length === 4) break;
    }
    assertEquals(ticks, ticks.toSorted((a, b) => a - b));
    // Not one of the ticks that a clock which follows the step would count.
    assert(ticks.at(-1)! < slack);
  });
}

Deno.test("deadlines made before and after steps of the wall clock end in order", async () => {
  const ended: number[] = [];
  const minute = 60_000;
  for (let n = 0; n < 50; n++) {
    const due = hour + (n * 37) % 50 * minute;
    afterFunc(withTimeout(background(), due), () => ended.push(due));
    putOn(n % 2 === 0 ? -hour : hour + 7);
  }
  pass(3 * hour);
  using next = withTimeout(background(), 1_000);
  void next.err;
  await sleep(background(), 1);
  assertEquals(ended.length, 50);
  assertEquals(ended, ended.toSorted((a, b) => a - b));
});

Deno.test("an alarm that is overdue, as after the sleep of a machine, is replaced", () => {
  using long = withTimeout(background(), hour);
  void long.signal;
  pass(2 * hour);
  using ctx = withCancel(withTimeout(background(), 2 * hour));
  void ctx.signal;
  assert(isNear(alarms.at(-1)!, 2 * hour));
});

Deno.test("a test clock in the past does not move the deadlines of the real one", () => {
  using ctx = withTimeout(background(), hour);
  void ctx.signal;
  const at = Number(ctx.deadline);
  {
    using _time = new FakeTime(0);
    using other = withTimeout(background(), 10_000);
    void other.signal;
  }
  assert(isNear(Number(ctx.deadline), at));
});
