/** The fix that waits for a promise. */

import type { Node } from "./nodes.ts";

/** Expressions that `await` can be put before without parentheses. */
const tight = new Set<Node["type"]>([
  "CallExpression",
  "ChainExpression",
  "Identifier",
  "MemberExpression",
  "NewExpression",
  "TSNonNullExpression",
]);

/** Puts `await` before an expression, which gets parentheses if it needs them. */
export function addAwait(
  fixer: Deno.lint.Fixer,
  { type, range }: Node,
): Deno.lint.Fix[] {
  return tight.has(type) ? [fixer.insertTextBeforeRange(range, "await ")] : [
    fixer.insertTextBeforeRange(range, "await ("),
    fixer.insertTextAfterRange(range, ")"),
  ];
}
