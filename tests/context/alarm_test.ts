// The alarm of the deadlines, by hand-made timers that fire when a test says so.

import { assertEquals } from "@std/assert";

const longestDelay = 2 ** 31 - 1;

interface Timeout {
  readonly delay: number;
  fire(): void;
}

/** The real timers that were set, in order. */
let timeouts: Timeout[] = [];
/** Number of intervals that were set. */
let intervals = 0;
// Installed before the module is loaded, which takes the timers that it finds for the
// real ones.
AbortSignal.timeout = (delay) => {
  const controller = new AbortController();
  timeouts.push({ delay, fire: () => controller.abort() });
  return controller.signal;
};
const { setInterval, setTimeout, clearTimeout } = globalThis;
globalThis.setInterval = Object.assign((): number => ++intervals, setInterval);
const { Alarm } = await import("../../context/alarm.ts");
globalThis.setInterval = setInterval;

/** An alarm under the real timers, with the times at which it has rung. */
function quietAlarm() {
  timeouts = [];
  const rings: number[] = [];
  return { alarm: new Alarm((at) => rings.push(at)), rings };
}

function delays(): number[] {
  return timeouts.map(({ delay }) => delay);
}

/** A test clock of timers only, installed until it is disposed of. */
class TestTimers implements Disposable {
  readonly set: Timeout[] = [];
  readonly cleared: number[] = [];

  constructor() {
    this.install();
  }

  install(): void {
    const { set, cleared } = this;
    Object.assign(globalThis, {
      setTimeout: (fire: () => void, delay: number) =>
        set.push({ delay, fire }),
      clearTimeout: (id: number) => void cleared.push(id),
    });
  }

  get delays(): number[] {
    return this.set.map(({ delay }) => delay);
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

Deno.test("an alarm rings with the time that it was set for", () => {
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 200);
  timeouts[0]!.fire();
  assertEquals([delays(), rings], [[800], [1_000]]);
});

Deno.test("an alarm uses an earlier timer that is set already", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.set(2_000, 0);
  alarm.set(1_000, 0);
  assertEquals(delays(), [1_000]);
});

Deno.test("an alarm uses a later timer again after an earlier one", () => {
  const { alarm, rings } = quietAlarm();
  alarm.set(2_000, 0);
  alarm.set(500, 0);
  timeouts[1]!.fire();
  alarm.set(2_000, 500);
  timeouts[0]!.fire();
  assertEquals([delays(), rings], [[2_000, 500], [500, 2_000]]);
});

const capped: [at: number, now: number, delay: number, rung: number][] = [
  [2 ** 40, 0, longestDelay, longestDelay],
  [0.5, 0, 1, 0.5],
  [5, 10, 0, 5],
];
for (const [at, now, delay, rung] of capped) {
  Deno.test(`an alarm for ${at} at ${now} rings with ${rung} after ${delay} ms`, () => {
    const { alarm, rings } = quietAlarm();
    alarm.set(at, now);
    timeouts[0]!.fire();
    assertEquals([delays(), rings], [[delay], [rung]]);
  });

  Deno.test(`an alarm of a test clock for ${at} at ${now} rings with ${rung} after ${delay} ms`, () => {
    using clock = new TestTimers();
    const { alarm, rings } = quietAlarm();
    alarm.set(at, now);
    clock.set[0]!.fire();
    assertEquals([clock.delays, rings], [[delay], [rung]]);
  });
}

Deno.test("an alarm keeps a timer that is due now", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.set(3_000, 1_000);
  assertEquals(delays(), [1_000]);
});

Deno.test("an alarm replaces a timer that is overdue", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.set(3_000, 1_001);
  assertEquals(delays(), [1_000, 1_999]);
});

Deno.test("an alarm that was released does not ring", () => {
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.release();
  timeouts[0]!.fire();
  assertEquals(rings, []);
});

Deno.test("an alarm replaces a timer that has fired while it was released", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.release();
  timeouts[0]!.fire();
  alarm.set(1_000, 0);
  assertEquals(delays(), [1_000, 1_000]);
});

Deno.test("an alarm that was forgotten does not ring, and sets a new timer", () => {
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.forget();
  timeouts[0]!.fire();
  alarm.set(5_000, 0);
  assertEquals([delays(), rings], [[1_000, 5_000], []]);
});

Deno.test("an alarm that was forgotten uses no timer again", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.forget();
  alarm.set(5_000, 0);
  assertEquals(delays(), [1_000, 5_000]);
});

Deno.test("an alarm sets no interval in Deno", () => {
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.release();
  assertEquals(intervals, 0);
});

Deno.test("an alarm rings with the timer of a test clock", () => {
  using clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 200);
  clock.set[0]!.fire();
  assertEquals([clock.delays, rings], [[800], [1_000]]);
});

Deno.test("an alarm that was set by the real clock does not ring under a test clock", () => {
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 0);
  using _clock = new TestTimers();
  alarm.set(2_000, 0);
  timeouts[0]!.fire();
  assertEquals(rings, []);
});

Deno.test("an alarm of a test clock keeps its timer when it is set for the same time", () => {
  using clock = new TestTimers();
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.set(1_000, 500);
  assertEquals([clock.delays, clock.cleared], [[1_000], []]);
});

Deno.test("an alarm of a test clock clears its timer when it is set for another time", () => {
  using clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.set(2_000, 500);
  clock.set[0]!.fire();
  assertEquals([clock.delays, clock.cleared], [[1_000, 1_500], [1]]);
  assertEquals(rings, []);
});

Deno.test("an alarm of a test clock sets a new timer after one that has fired", () => {
  using clock = new TestTimers();
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  clock.set[0]!.fire();
  alarm.set(1_000, 900);
  assertEquals([clock.delays, clock.cleared], [[1_000, 100], []]);
});

Deno.test("an alarm of a test clock sets no timer for Infinity", () => {
  using clock = new TestTimers();
  const { alarm } = quietAlarm();
  alarm.set(Infinity, 0);
  assertEquals(clock.delays, []);
});

Deno.test("an alarm of a test clock that was forgotten sets a new timer, and clears none", () => {
  using clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(1_000, 0);
  alarm.forget();
  alarm.set(1_000, 0);
  clock.set[0]!.fire();
  assertEquals([clock.delays, clock.cleared], [[1_000, 1_000], []]);
  assertEquals(rings, []);
});

Deno.test("an alarm clears no timer of one test clock on another", () => {
  using _first = new TestTimers();
  const { alarm } = quietAlarm();
  alarm.set(1_000, 0);
  using next = new TestTimers();
  alarm.set(1_000, 0);
  assertEquals([next.delays, next.cleared], [[1_000], []]);
});

Deno.test("an alarm of a test clock wants to be set again every second of real time", () => {
  using _clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(5_000, 0);
  timeouts[0]!.fire();
  alarm.set(5_000, 0);
  timeouts[1]!.fire();
  assertEquals([delays(), rings], [[1_000, 1_000], [-Infinity, -Infinity]]);
});

Deno.test("an alarm of a test clock that was released clears its timer, and wants nothing", () => {
  using clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(5_000, 0);
  alarm.release();
  timeouts[0]!.fire();
  assertEquals([clock.cleared, rings], [[1], []]);
});

Deno.test("an alarm of a test clock that is released and set again has a new timer there", () => {
  using clock = new TestTimers();
  const { alarm } = quietAlarm();
  alarm.set(5_000, 0);
  alarm.release();
  alarm.set(5_000, 0);
  assertEquals(clock.delays, [5_000, 5_000]);
});

Deno.test("an alarm of a test clock that is released and set again uses the same real timer", () => {
  using _clock = new TestTimers();
  const { alarm, rings } = quietAlarm();
  alarm.set(5_000, 0);
  alarm.release();
  alarm.set(5_000, 0);
  timeouts[0]!.fire();
  assertEquals([delays(), rings], [[1_000], [-Infinity]]);
});
