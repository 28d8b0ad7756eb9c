// The same tests of @curfew/context/testing for every runner of Node.

import assert from "node:assert/strict";
// @ts-ignore: installed beside this file by test_clocks_node_test.ts
import { install } from "@sinonjs/fake-timers";
import {
  background,
  every,
  retry,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context/context";
import { assertNoLeaks, autoAdvance } from "@curfew/context/testing";

/** Tests by name. */
export const cases = {
  "autoAdvance() lets thirty minutes of polls with retries pass": async () => {
    const time = install();
    const clock = autoAdvance(time);
    // Node 20 does not parse `using`.
    // deno-lint-ignore curfew/lost-cancel -- ends by its deadline
    const ctx = withTimeout(background(), 30 * 60_000);
    try {
      let polls = 0;
      let calls = 0;
      for await (const _ of every(ctx, 60_000)) {
        await retry(ctx, () => {
          if (++calls % 3 !== 0) throw new Error("unreachable");
        });
        polls++;
      }
      assert.equal(polls, 29);
      assert.equal(clock.elapsed, 30 * 60_000);
    } finally {
      clock[Symbol.dispose]();
      time.uninstall();
    }
  },

  "autoAdvance().idle() resolves when no timer is left": async () => {
    const time = install();
    const clock = autoAdvance(time);
    try {
      let slept = false;
      sleep(background(), 60_000).then(() => slept = true);
      await clock.idle();
      assert.equal(slept, true);
    } finally {
      clock[Symbol.dispose]();
      time.uninstall();
    }
  },

  "assertNoLeaks() names a leak and its line": async () => {
    const parent = withCancel(background());
    await assert.rejects(
      () => assertNoLeaks(() => void withTimeout(parent, 60_000)),
      /left behind:\n {2}withTimeout at file:.*testing_cases\.mjs:\d+:\d+$/,
    );
    parent.cancel();
  },

  "assertNoLeaks() accepts a test that cleans up": () =>
    assertNoLeaks(() => withTimeout(background(), 60_000).cancel()),
};
