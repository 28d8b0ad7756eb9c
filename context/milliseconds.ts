/** Argument checks for times. */

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
  const message = `${caller}: expected ${expected}, got ${described(given)}`;
  return typeof given === "number"
    ? new RangeError(message)
    : new TypeError(message);
}

function described(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given);
  if (typeof given === "number" || given === null) return `${given}`;
  return typeof given;
}
