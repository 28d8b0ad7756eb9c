// The cases under vitest's fake timers. Run with `vitest run`.

// @ts-ignore: installed beside this file by test_clocks_node_test.ts
import { test, vi } from "vitest";
import { cases, under } from "./test_clock_cases.mjs";

const clock = {
  install: (now = Date.now()) => vi.useFakeTimers({ now }),
  installDate: (now = Date.now()) =>
    vi.useFakeTimers({ now, toFake: ["Date"] }),
  installTimers: () =>
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }),
  tick: (ms) => vi.advanceTimersByTimeAsync(ms),
  setTime: (now) => vi.setSystemTime(now),
  countTimers: () => vi.getTimerCount(),
  uninstall: () => vi.useRealTimers(),
};

for (const [name, f] of Object.entries(cases)) {
  test(name, () => under(clock, f));
}
