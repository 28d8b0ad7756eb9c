/** Argument checks for times. */

import { shown } from "./shown.ts";

/**
 * Throws unless `given` is a number other than NaN.
 *
 * @param caller The public function that was called, for the message.
 * @param expected The values that the function takes, for the message.
 */
export function assertMilliseconds(
  caller: string,
  given: number,
  expected = "milliseconds",
): void {
  if (typeof given === "number" && !Number.isNaN(given)) return;
  throw notMilliseconds(caller, given, expected);
}

function notMilliseconds(
  caller: string,
  given: unknown,
  expected: string,
): Error {
  const message = `${caller}: expected ${expected}, got ${shown(given)}`;
  return typeof given === "number"
    ? new RangeError(message)
    : new TypeError(message);
}
