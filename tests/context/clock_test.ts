// The clock of deadlines, by hand-made wall and monotonic clocks that stand still.

import { assertEquals } from "@std/assert";

let wall = 1_000_000;
let steady = 5_000;
/** Number of times that the monotonic clock was read. */
let readings = 0;
// Installed before the module is loaded, which takes the clocks that it finds for the
// real ones. Bound functions read as native ones, so this is no test clock.
Date.now = (() => wall).bind(undefined);
performance.now = () => {
  readings++;
  return steady;
};
const wallNow = Date.now;
const realSetTimeout = globalThis.setTimeout;
const { Clock } = await import("../../context/clock.ts");

/** A clock that has been read. */
function startedClock(): InstanceType<typeof Clock> {
  const clock = new Clock(() => {});
  clock.now();
  return clock;
}

/** Lets `ms` go by on both clocks. */
function pass(ms: number): void {
  wall += ms;
  steady += ms;
}

Deno.test("now() is the monotonic time", () => {
  assertEquals(startedClock().now(), steady);
});

Deno.test("now() reads no monotonic clock for less than 100 ms of wall time", () => {
  const clock = startedClock();
  const before = readings;
  for (const ms of [0, 0, 50, 49]) {
    pass(ms);
    clock.now();
  }
  assertEquals(readings, before);
});

Deno.test("now() reads the monotonic clock when 100 ms of wall time have passed", () => {
  const clock = startedClock();
  const before = readings;
  pass(100);
  clock.now();
  assertEquals(readings, before + 1);
});

Deno.test("now() does not follow a wall clock that goes back to before the last measurement", () => {
  const clock = startedClock();
  pass(90);
  wall -= 91;
  assertEquals(clock.now(), steady);
});

for (const step of [90, -90]) {
  Deno.test(`now() follows a step of ${step} ms for 100 ms at most`, () => {
    const clock = startedClock();
    pass(95);
    wall += step;
    pass(100);
    assertEquals(clock.now(), steady);
  });
}

for (const [drift, shown] of [[2, 0], [3, 3], [-2, 0], [-3, -3]] as const) {
  Deno.test(`now() shows ${shown} ms of a drift of ${drift} ms`, () => {
    const clock = startedClock();
    const expected = clock.now() + 100 + shown;
    pass(100);
    steady += drift;
    assertEquals(clock.now(), expected);
  });
}

Deno.test("measured is the time of the last measurement", () => {
  const clock = startedClock();
  const first = clock.now();
  pass(50);
  clock.now();
  assertEquals(clock.measured, first);
});

for (const step of [3_600_000, -3_600_000]) {
  Deno.test(`fromWall() of the wall time is the time after a step by ${step} ms`, () => {
    const clock = startedClock();
    wall += step;
    assertEquals(clock.fromWall(wall), steady);
  });

  Deno.test(`toWall() of the time is the wall time after a step by ${step} ms`, () => {
    const clock = startedClock();
    wall += step;
    assertEquals(clock.toWall(steady), wall);
  });
}

for (const [ahead, moved] of [[-1, 0], [0, 0], [2, 0], [3, 3], [1000, 1000]]) {
  Deno.test(`advanceTo() of ${ahead} ms ahead by fake timers moves the time by ${moved} ms, for good`, () => {
    const clock = startedClock();
    const start = clock.now();
    globalThis.setTimeout = realSetTimeout.bind(undefined) as typeof setTimeout;
    clock.advanceTo(start + ahead!);
    globalThis.setTimeout = realSetTimeout;
    const moves = [clock.now() - start];
    pass(100);
    moves.push(clock.now() - start - 100);
    assertEquals(moves, [moved, moved]);
  });
}

Deno.test("advanceTo() by a real timer moves nothing, although it was set in a step of the wall clock", () => {
  const clock = startedClock();
  wall += 90;
  const at = clock.now() + 1000;
  pass(1000);
  clock.advanceTo(at);
  assertEquals(clock.now(), steady);
  pass(100);
  assertEquals(clock.now(), steady);
});

Deno.test("advanceTo() moves nothing when the wall clock has lagged since the last measurement", () => {
  const clock = startedClock();
  pass(90);
  wall -= 40;
  clock.advanceTo(steady);
  assertEquals(clock.now(), steady);
  pass(100);
  assertEquals(clock.now(), steady);
});

/** Results of `read` before, under and after a test clock that shows `start`. */
function aroundTestClock<T>(start: number, read: () => T): T[] {
  const results = [read()];
  Date.now = () => start;
  results.push(read(), read());
  Date.now = wallNow;
  results.push(read(), read());
  return results;
}

for (const start of [0, 9_000_000]) {
  Deno.test(`now() goes on from the same time under a test clock that starts at ${start}, and after it`, () => {
    const clock = startedClock();
    assertEquals(
      aroundTestClock(start, () => clock.now()),
      Array(5).fill(steady),
    );
  });
}

Deno.test("isFake is true while a test clock is installed", () => {
  const clock = startedClock();
  assertEquals(
    aroundTestClock(0, () => {
      clock.now();
      return clock.isFake;
    }),
    [false, true, true, false, false],
  );
});

Deno.test("onSwitch is called once when a test clock is installed, and once when it is removed", () => {
  let switches = 0;
  const clock = new Clock(() => switches++);
  assertEquals(
    aroundTestClock(0, () => {
      clock.now();
      return switches;
    }),
    [0, 1, 1, 2, 2],
  );
});

Deno.test("now() stands still when a test clock goes back, and follows it from there", () => {
  const clock = startedClock();
  const start = clock.now();
  let shown = 5_000;
  Date.now = () => shown;
  const times = [5_000, 1_000, 1_500].map((time) => {
    shown = time;
    return clock.now() - start;
  });
  Date.now = wallNow;
  assertEquals(times, [0, 0, 500]);
});

Deno.test("now() follows a test clock forward", () => {
  const clock = startedClock();
  const start = clock.now();
  let shown = 7_000;
  Date.now = () => shown;
  clock.now();
  shown += 250;
  const passed = clock.now() - start;
  Date.now = wallNow;
  assertEquals(passed, 250);
});

Deno.test("now() goes on from where a test clock that moved was removed", () => {
  const clock = startedClock();
  const start = clock.now();
  let shown = 7_000;
  Date.now = () => shown;
  clock.now();
  shown += 250;
  clock.now();
  Date.now = wallNow;
  const moves = [clock.now() - start];
  pass(100);
  moves.push(clock.now() - start);
  assertEquals(moves, [250, 350]);
});
