/** The rule `curfew/spread-context`. */

import { isContext } from "./contexts.ts";
import { type Call, type Node, propertyName, unwrap } from "./nodes.ts";
import { type Finding, rule } from "./rule.ts";
import type { SourceFile } from "./source_file.ts";

/** Modules whose functions copy their options. */
const copying =
  /^(?:npm:|node:)?(?:axios|child_process|got|https?|ky|undici)(?:@[^/]*)?$/;

/**
 * Reports a copy of a context. The `signal` of a context is an accessor of its
 * prototype, so a copy is an empty object, and the call that it is for can no
 * longer be canceled.
 */
export const spreadContext: Deno.lint.Rule = rule((file, report) => {
  for (const { argument, parent, range: dots } of file.all("SpreadElement")) {
    if (parent.type !== "ObjectExpression" || hasSignal(parent)) continue;
    if (!isContext(file, argument)) continue;
    // The range of the node is that of its three dots alone.
    const range: Deno.lint.Range = [dots[0], argument.range[1]];
    const inParentheses = file.slice(dots[1], argument.range[0]).includes("(");
    report(
      inParentheses
        ? finding(file, argument, argument.range)
        : finding(file, argument, range, bare),
    );
  }
  for (const call of file.calls()) {
    for (const argument of call.arguments.slice(firstCopied(file, call))) {
      if (!isContext(file, argument)) continue;
      report(finding(file, argument, argument.range, braced));
    }
  }
});

const bare = (signal: string): string => signal;
const braced = (signal: string): string => `{ ${signal} }`;

function finding(
  file: SourceFile,
  ctx: Node,
  range: Deno.lint.Range,
  replacement?: (signal: string) => string,
): Finding {
  const signal = `signal: ${file.text(ctx)}.signal`;
  return {
    range,
    message: "A copy of a context has no `signal`",
    hint: `Write \`{ ${signal} }\`.`,
    fix: replacement !== undefined && simple.has(ctx.type)
      ? (fixer) => [fixer.replaceTextRange(range, replacement(signal))]
      : undefined,
  };
}

/** Expressions to which `.signal` can be appended as they are. */
const simple = new Set<Node["type"]>([
  "CallExpression",
  "Identifier",
  "MemberExpression",
]);

/** Returns the index of the first argument that `call` copies; Infinity if it has none. */
function firstCopied(file: SourceFile, call: Call): number {
  const callee = unwrap(call.callee);
  const object = callee.type === "MemberExpression"
    ? unwrap(callee.object)
    : callee;
  if (object.type !== "Identifier") return Infinity;
  const name = callee.type === "MemberExpression"
    ? propertyName(callee)
    : undefined;
  const binding = file.resolve(object);
  if (binding === undefined) {
    // A global: `Object.assign` copies its sources, `Deno.Command` its options.
    return `${object.name}.${name}` === "Object.assign" ||
        `${object.name}.${name}` === "Deno.Command"
      ? 1
      : Infinity;
  }
  const { parent } = binding.declaration as { parent?: Node };
  if (parent?.type !== "ImportDeclaration") return Infinity;
  // undici's own fetch reads its options, as the platform's does.
  return copying.test(parent.source.value) && (name ?? object.name) !== "fetch"
    ? 0
    : Infinity;
}

/** Returns true if the object has a signal of its own, besides what it spreads. */
function hasSignal(object: Deno.lint.ObjectExpression): boolean {
  return object.properties.some((property) =>
    property.type === "Property" && !property.computed &&
    property.key.type === "Identifier" && property.key.name === "signal"
  );
}
