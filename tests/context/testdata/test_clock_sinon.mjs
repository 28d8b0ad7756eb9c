// The cases under @sinonjs/fake-timers, which jest uses too. Run with `node --test`.

// @ts-ignore: installed beside this file by test_clocks_node_test.ts
import FakeTimers from "@sinonjs/fake-timers";
import { test } from "node:test";
import { cases, under } from "./test_clock_cases.mjs";

let fake;
const install = (options) => void (fake = FakeTimers.install(options));
const clock = {
  // The runner itself needs process.nextTick.
  install: (now = Date.now()) => install({ now, toNotFake: ["nextTick"] }),
  installDate: (now = Date.now()) => install({ now, toFake: ["Date"] }),
  installTimers: () => install({ toFake: ["setTimeout", "clearTimeout"] }),
  tick: (ms) => fake.tickAsync(ms),
  setTime: (now) => fake.setSystemTime(now),
  countTimers: () => fake.countTimers(),
  uninstall() {
    fake?.uninstall();
    fake = undefined;
  },
};

for (const [name, f] of Object.entries(cases)) {
  test(name, () => under(clock, f));
}
