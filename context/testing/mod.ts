/**
 * Tools for tests of code that uses contexts: fake time that passes by itself, and
 * a check for leaks.
 *
 * @example Thirty minutes in a few milliseconds, and nothing left behind
 * ```ts
 * import { background, sleep } from "@curfew/context";
 * import { assertNoLeaks, autoAdvance } from "@curfew/context/testing";
 * import { FakeTime } from "@std/testing/time";
 *
 * await assertNoLeaks(async () => {
 *   using time = new FakeTime();
 *   using _clock = autoAdvance(time);
 *   await sleep(background(), 30 * 60_000);
 * });
 * ```
 *
 * @module
 */

export { assertNoLeaks } from "./assert_no_leaks.ts";
export {
  type AutoAdvance,
  autoAdvance,
  type AutoAdvanceOptions,
  type TestClock,
} from "./auto_advance.ts";
