// The cases under the mock timers of node:test. Run with `node --test`.

import { mock, test } from "node:test";
import { cases, under } from "./test_clock_cases.mjs";

const { setImmediate } = globalThis;

/** All microtasks have run when this resolves. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

const enable = (options) => mock.timers.enable(options);
const clock = {
  install: (now = Date.now()) => enable({ apis: ["setTimeout", "Date"], now }),
  installDate: (now = Date.now()) => enable({ apis: ["Date"], now }),
  installTimers: () => enable({ apis: ["setTimeout"] }),
  async tick(ms) {
    await turn();
    mock.timers.tick(ms);
    await turn();
  },
  setTime: (now) => mock.timers.setTime(now),
  uninstall: () => mock.timers.reset(),
};

for (const [name, f] of Object.entries(cases)) {
  test(name, () => under(clock, f));
}
