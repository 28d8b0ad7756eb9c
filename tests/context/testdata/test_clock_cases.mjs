// Every case for every test clock: contexts, `sleep` and `every` move with whatever
// replaces Date and setTimeout. Runs in Deno and, on the built package, in Node.

import assert from "node:assert/strict";
import {
  afterFunc,
  background,
  every,
  remaining,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context/context";

/**
 * A test clock.
 *
 * @typedef {object} TestClock
 * @property {string} name
 * @property {(now?: number) => void} install Replaces Date and the timers.
 * @property {(ms: number) => Promise<void>} tick Lets time pass, with microtasks.
 * @property {() => void} uninstall
 * @property {(now: number) => void} [setTime] Sets the wall clock only.
 * @property {() => number} [countTimers] Counts the timers that are pending.
 * @property {(now?: number) => void} [installDate] Replaces Date only.
 * @property {() => void} [installTimers] Replaces the timers only.
 */

const minute = 60_000;
const hour = 60 * minute;

/** The real one. */
const { setTimeout } = globalThis;

/** A turn of the real event loop. */
function turn() {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Counts the abort events of `ctx`. */
function listen(ctx) {
  const counts = { told: 0 };
  ctx.signal.addEventListener("abort", () => counts.told++);
  return counts;
}

/** Creates `n` real timers and counts those that fire. */
function realTimers(n) {
  const counts = { fired: 0 };
  for (let i = 0; i < n; i++) setTimeout(() => counts.fired++, 1);
  return counts;
}

/** @type {Record<string, (clock: TestClock) => void | Promise<void>>} */
export const cases = {
  async "a deadline moves with the clock"(clock) {
    clock.install();
    const ctx = withTimeout(background(), minute);
    const counts = listen(ctx);
    assert.equal(Number(ctx.deadline), Date.now() + minute);
    await clock.tick(minute - 1);
    assert.deepEqual([ctx.err, counts.told, remaining(ctx)], [undefined, 0, 1]);
    await clock.tick(1);
    assert.equal(counts.told, 1);
    assert.equal(ctx.err?.name, "TimeoutError");
    assert.equal(ctx.signal.reason, ctx.err);
  },

  async "a deadline that nobody waits for is seen by a look"(clock) {
    clock.install();
    const ctx = withTimeout(background(), minute);
    await clock.tick(minute - 1);
    assert.equal(ctx.err, undefined);
    await clock.tick(1);
    assert.equal(ctx.err?.name, "TimeoutError");
  },

  async "sleep() moves with the clock"(clock) {
    clock.install();
    let isOver = false;
    sleep(background(), minute).then(() => isOver = true);
    await clock.tick(minute - 1);
    assert.equal(isOver, false);
    await clock.tick(1);
    assert.equal(isOver, true);
  },

  async "a deadline ends a sleep()"(clock) {
    clock.install();
    const ctx = withTimeout(background(), minute);
    let error;
    sleep(ctx, hour).catch((reason) => error = reason);
    await clock.tick(minute);
    assert.equal(error, ctx.err);
    assert.equal(error?.name, "TimeoutError");
  },

  async "afterFunc() needs no time to pass"(clock) {
    clock.install();
    const ctx = withTimeout(background(), hour);
    let isRun = false;
    afterFunc(ctx, () => isRun = true);
    ctx.cancel();
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(isRun, true);
  },

  async "every() moves with the clock"(clock) {
    clock.install();
    const ctx = withCancel(background());
    let ticks = 0;
    const loop = (async () => {
      for await (const _ of every(ctx, minute)) ticks++;
    })();
    await clock.tick(1);
    const first = ticks;
    for (let n = 1; n <= 3; n++) {
      await clock.tick(minute);
      assert.equal(ticks, first + n);
    }
    ctx.cancel();
    await loop;
  },

  async "deadlines end in the order of their times"(clock) {
    clock.install();
    const order = [];
    for (const ms of [300, 100, 200, 100]) {
      const ctx = withTimeout(background(), ms);
      ctx.signal.addEventListener("abort", () => order.push(ms));
    }
    await clock.tick(1_000);
    assert.deepEqual(order, [100, 100, 200, 300]);
  },

  async "a deadline that was pending when the clock was installed keeps its time left"(
    clock,
  ) {
    const ctx = withTimeout(background(), minute);
    const counts = listen(ctx);
    clock.install(0);
    // The first look at the new clock.
    assert.equal(ctx.err, undefined);
    await clock.tick(minute / 2);
    assert.deepEqual([ctx.err, counts.told], [undefined, 0]);
    // A little more than what is left: the two clocks count whole milliseconds.
    await clock.tick(minute / 2 + 10);
    assert.deepEqual([ctx.err?.name, counts.told], ["TimeoutError", 1]);
  },

  async "the first call after the installation takes pending deadlines along, too"(
    clock,
  ) {
    const ctx = withTimeout(background(), minute);
    const counts = listen(ctx);
    const slept = { isOver: false };
    sleep(background(), minute).then(() => slept.isOver = true);
    clock.install();
    const other = withTimeout(background(), hour);
    await clock.tick(minute + 10);
    assert.deepEqual([counts.told, slept.isOver], [1, true]);
    assert.equal(other.err, undefined);
    other.cancel();
  },

  async "a deadline is not lost when the clock is removed"(clock) {
    clock.install();
    const ctx = withTimeout(background(), minute + 20);
    const ended = new Promise((resolve) =>
      ctx.signal.addEventListener("abort", resolve)
    );
    await clock.tick(minute);
    // The last look at this clock. Nobody looks at the real one, on which the rest
    // of the time passes.
    assert.equal(ctx.err, undefined);
    clock.uninstall();
    await ended;
    assert.equal(ctx.err?.name, "TimeoutError");
  },

  async "sleep() is not lost when the clock is removed"(clock) {
    clock.install(0);
    const ctx = withTimeout(background(), hour);
    const slept = sleep(ctx, minute + 20);
    await clock.tick(minute);
    assert.equal(ctx.err, undefined);
    clock.uninstall();
    await slept;
    ctx.cancel();
  },

  async "a clock that is removed leaves the time left as it is"(clock) {
    const before = withTimeout(background(), 2 * hour);
    clock.install(0);
    const during = withTimeout(background(), 2 * hour);
    await clock.tick(hour);
    assert.equal(during.err, undefined);
    clock.uninstall();
    for (const ctx of [before, during]) {
      assert.equal(ctx.err, undefined);
      const left = remaining(ctx);
      // The rest is rounding, and what this test itself takes.
      assert.ok(Math.abs(left - hour) < minute, `${left} ms left`);
      ctx.cancel();
    }
  },

  async "a deadline moves with one clock after another"(clock) {
    clock.install();
    const ctx = withTimeout(background(), 100 * minute);
    const counts = listen(ctx);
    await clock.tick(60 * minute);
    assert.equal(ctx.err, undefined);
    clock.uninstall();
    for (const now of [0, 1e12]) {
      // A look at the real clock: FakeTime has the same functions each time.
      assert.equal(ctx.err, undefined);
      clock.install(now);
      assert.equal(ctx.err, undefined);
      await clock.tick(15 * minute);
      assert.equal(ctx.err, undefined);
      clock.uninstall();
    }
    assert.equal(ctx.err, undefined);
    clock.install();
    assert.equal(ctx.err, undefined);
    await clock.tick(9 * minute);
    assert.deepEqual([ctx.err, counts.told], [undefined, 0]);
    await clock.tick(minute + 10);
    assert.deepEqual([ctx.err?.name, counts.told], ["TimeoutError", 1]);
  },

  async "a context that ends after its clock was removed clears no real timer"(
    clock,
  ) {
    clock.install();
    const contexts = Array.from(
      { length: 30 },
      (_, i) => withTimeout(background(), minute - i),
    );
    contexts.forEach(listen);
    clock.uninstall();
    const timers = realTimers(100);
    for (const ctx of contexts) ctx.cancel();
    await sleep(background(), 20);
    await turn();
    assert.equal(timers.fired, 100);
  },

  async "a context that ends under a clock clears no timer of that clock"(
    clock,
  ) {
    const contexts = Array.from(
      { length: 30 },
      (_, i) => withTimeout(background(), hour - i),
    );
    contexts.forEach(listen);
    clock.install();
    let fired = 0;
    for (let i = 0; i < 100; i++) globalThis.setTimeout(() => fired++, 10);
    for (const ctx of contexts) ctx.cancel();
    await clock.tick(10);
    assert.equal(fired, 100);
  },

  async "a context of one clock clears no timer of the next"(clock) {
    clock.install();
    const ctx = withTimeout(background(), hour);
    listen(ctx);
    clock.uninstall();
    assert.equal(ctx.err, undefined);
    clock.install();
    let fired = 0;
    for (let i = 0; i < 100; i++) globalThis.setTimeout(() => fired++, 10);
    ctx.cancel();
    await clock.tick(10);
    assert.equal(fired, 100);
  },

  async "a context that has ended leaves no timer on the clock"(clock) {
    if (clock.countTimers === undefined) return;
    clock.install();
    const ctx = withTimeout(background(), minute);
    listen(ctx);
    const slept = sleep(ctx, hour).catch(() => {});
    assert.ok(clock.countTimers() > 0);
    ctx.cancel();
    await slept;
    assert.equal(clock.countTimers(), 0);
  },

  "a wall clock that is set forward brings deadlines with it"(clock) {
    if (clock.setTime === undefined) return;
    clock.install();
    const ctx = withTimeout(background(), hour);
    listen(ctx);
    clock.setTime(Date.now() + hour - 1);
    assert.deepEqual([ctx.err, remaining(ctx)], [undefined, 1]);
    clock.setTime(Date.now() + 1);
    assert.equal(ctx.err?.name, "TimeoutError");
  },

  async "a wall clock that is set back delays no deadline"(clock) {
    if (clock.setTime === undefined) return;
    clock.install();
    const ctx = withTimeout(background(), hour);
    const counts = listen(ctx);
    clock.setTime(Date.now() - 24 * hour);
    assert.equal(remaining(ctx), hour);
    await clock.tick(hour - 1);
    assert.deepEqual([ctx.err, counts.told], [undefined, 0]);
    await clock.tick(1);
    assert.deepEqual([ctx.err?.name, counts.told], ["TimeoutError", 1]);
  },

  "a deadline follows Date, if only that is replaced"(clock) {
    if (clock.installDate === undefined) return;
    clock.installDate();
    const ctx = withTimeout(background(), hour);
    clock.setTime(Date.now() + hour - 1);
    assert.equal(ctx.err, undefined);
    clock.setTime(Date.now() + 1);
    assert.equal(ctx.err?.name, "TimeoutError");
  },

  async "real timers go on while Date stands still"(clock) {
    if (clock.installDate === undefined) return;
    clock.installDate(0);
    const ctx = withTimeout(background(), 5);
    const ended = new Promise((resolve) =>
      ctx.signal.addEventListener("abort", resolve)
    );
    await sleep(background(), 5);
    await ended;
    assert.equal(ctx.err?.name, "TimeoutError");
  },

  async "deadlines move with the timers, if only these are replaced"(clock) {
    if (clock.installTimers === undefined) return;
    clock.installTimers();
    let isOver = false;
    sleep(background(), minute).then(() => isOver = true);
    await clock.tick(minute);
    assert.equal(isOver, true);
    const ctx = withTimeout(background(), minute);
    const counts = listen(ctx);
    await clock.tick(minute);
    assert.deepEqual([ctx.err?.name, counts.told], ["TimeoutError", 1]);
  },
};

/**
 * Runs `f` and removes the clock afterwards, whatever happens.
 *
 * @param {TestClock} clock
 * @param {(clock: TestClock) => void | Promise<void>} f
 */
export async function under(clock, f) {
  try {
    await f(clock);
  } finally {
    clock.uninstall();
  }
}
