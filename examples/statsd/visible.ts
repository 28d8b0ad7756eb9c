/**
 * Makes control characters visible, so that text from clients cannot drive the
 * terminal of an operator who reads `/metrics` or the log.
 *
 * @module
 */

/** Control characters of C0 and C1, line and paragraph separators, and characters
 * that change the direction of the text after them. */
const CONTROL = String.raw`\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069`;

/** Also matches the backslash of text that looks like an escape, which keeps the
 * escape reversible: two different texts stay different. */
const ESCAPED = new RegExp(`[${CONTROL}]|\\\\(?=u\\{)`, "gu");

/**
 * Replaces each control character by `\u{…}` with its code in hexadecimal.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(visible("\x1b[31mred"), "\\u{1b}[31mred");
 * ```
 */
export function visible(text: string): string {
  return text.replace(
    ESCAPED,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  );
}
