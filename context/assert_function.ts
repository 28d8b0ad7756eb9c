/** The check of functions among the arguments and options. */

import { shown } from "./shown.ts";

/**
 * Throws a TypeError unless `given` is a function.
 *
 * @param caller The public function that was called, for the message.
 * @param name Name of the argument or the option.
 */
export function assertFunction(
  caller: string,
  name: string,
  given: unknown,
): void {
  if (typeof given === "function") return;
  throw new TypeError(
    `${caller}: expected ${name} to be a function, got ${shown(given)}`,
  );
}
