// Test clocks in Deno: the real packages, and every case in testdata/.

import { FakeTime } from "@std/testing/time";
// deno-lint-ignore no-import-prefix
import FakeTimers from "npm:@sinonjs/fake-timers@15.5.0";
import { mock } from "node:test";
import { setImmediate } from "node:timers";
// @ts-types="./testdata/test_clock_cases.d.mts"
import { cases, type TestClock, under } from "./testdata/test_clock_cases.mjs";

/**
 * All microtasks have run when this resolves. Not a timeout: in Deno the mock
 * timers of node:test stop even those that were captured before.
 */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

let time: FakeTime | undefined;
const fakeTime: TestClock = {
  name: "FakeTime of @std/testing",
  install: (now) => void (time = new FakeTime(now)),
  tick: async (ms) => {
    await time!.tickAsync(ms);
    await time!.runMicrotasks();
  },
  uninstall() {
    time?.restore();
    time = undefined;
  },
};

let clock: ReturnType<typeof FakeTimers.install> | undefined;
const sinon: TestClock = {
  name: "@sinonjs/fake-timers",
  install: (now) =>
    void (clock = FakeTimers.install({ now: now ?? Date.now() })),
  installDate: (now) =>
    void (clock = FakeTimers.install({
      now: now ?? Date.now(),
      toFake: ["Date"],
    })),
  installTimers: () =>
    void (clock = FakeTimers.install({
      toFake: ["setTimeout", "clearTimeout"],
    })),
  tick: async (ms) => void await clock!.tickAsync(ms),
  setTime: (now) => clock!.setSystemTime(now),
  countTimers: () => clock!.countTimers(),
  uninstall() {
    clock?.uninstall();
    clock = undefined;
  },
};

const nodeTest: TestClock = {
  name: "the mock timers of node:test",
  install: (now) =>
    mock.timers.enable({
      apis: ["setTimeout", "Date"],
      now: now ?? Date.now(),
    }),
  installDate: (now) =>
    mock.timers.enable({ apis: ["Date"], now: now ?? Date.now() }),
  installTimers: () => mock.timers.enable({ apis: ["setTimeout"] }),
  tick: async (ms) => {
    await turn();
    mock.timers.tick(ms);
    await turn();
  },
  setTime: (now) => mock.timers.setTime(now),
  uninstall: () => mock.timers.reset(),
};

for (const clock of [fakeTime, sinon, nodeTest]) {
  for (const [name, f] of Object.entries(cases)) {
    Deno.test(`${clock.name}: ${name}`, () => under(clock, f));
  }
}
