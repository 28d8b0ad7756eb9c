/** What a user is told who gives a number that makes no sense. */

/** Throws unless every option lies in the range. */
export function assertRange(
  caller: string,
  options: Record<string, number>,
  least: number,
  most: number = Infinity,
): void {
  for (const [key, value] of Object.entries(options)) {
    if (value >= least && value <= most) continue;
    const range = most === Infinity
      ? `${least} or more`
      : `${least} to ${most}`;
    throw new RangeError(`${caller}: ${key} must be ${range}, got ${value}`);
  }
}

/** Throws unless every option, a time in ms, is more than none. */
export function assertAbove0(
  caller: string,
  options: Record<string, number>,
): void {
  for (const [key, value] of Object.entries(options)) {
    if (value > 0) continue;
    throw new RangeError(`${caller}: ${key} must be above 0 ms, got ${value}`);
  }
}
