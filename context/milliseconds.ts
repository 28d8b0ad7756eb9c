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
  if (typeof given !== "number") {
    const text = typeof given === "string"
      ? JSON.stringify(given)
      : given === null
      ? "null"
      : typeof given;
    throw new TypeError(`${caller}: expected ${expected}, got ${text}`);
  }
  if (Number.isNaN(given)) {
    throw new RangeError(`${caller}: expected ${expected}, got NaN`);
  }
}
