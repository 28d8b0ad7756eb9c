/** Causes and errors as text. They come from users and may be of any kind. */

/** Returns `value` as a string, also if its own methods throw. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "a value that cannot be read";
  }
}
