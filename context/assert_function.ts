/** The check of functions among the arguments and options. */

import { shown } from "./shown.ts";

/**
 * Throws a TypeError unless `given` is a function.
 *
 * @param caller The public function that was called, for the message.
 * @param expected What the function takes, for the message.
 */
export function assertFunction(
  caller: string,
  given: unknown,
  expected = "a function",
): void {
  if (typeof given === "function") return;
  throw new TypeError(`${caller}: expected ${expected}, got ${shown(given)}`);
}
