/** The rule `curfew/floating-group`. */

import { calledName } from "./contexts.ts";
import { fateOf } from "./fate.ts";
import { isOverList } from "./holder.ts";
import {
  functionAround,
  type FunctionNode,
  isInside,
  type Node,
  outermost,
  parentOf,
  propertyName,
  unwrap,
} from "./nodes.ts";
import { type Finding, rule } from "./rule.ts";
import type { Binding, SourceFile } from "./source_file.ts";

/** Members of a group that neither wait for it nor let it go. */
const working = new Set(["active", "ctx", "go", "run", "tryGo"]);

/** Members that start a task whose result only the group waits for. */
const starting = new Set(["go", "tryGo"]);

/**
 * Reports a group that nothing waits for: a failure of its tasks stays unseen,
 * and they may run on after the function has returned.
 */
export const floatingGroup: Deno.lint.Rule = rule((file, report) => {
  for (const call of file.all("CallExpression")) {
    if (calledName(file, call) !== "group" || isOfMain(file, call)) continue;
    const expression = outermost(call);
    const parent = parentOf(expression);
    if (parent?.type === "VariableDeclarator") {
      const finding = inVariable(file, parent);
      if (finding !== undefined) report(finding);
    } else if (isDropped(parent)) {
      report({
        range: expression.range,
        message: "Nothing waits for this group",
        hint: "Declare it first: `await using tasks = group(…)`.",
      });
    }
  }
});

/** Returns true for `group(ctx)` as a statement, and for `group(ctx).go(f)`. */
function isDropped(parent: Node | undefined): boolean {
  return parent?.type === "ExpressionStatement" ||
    parent?.type === "MemberExpression" &&
      working.has(propertyName(parent) ?? "");
}

function inVariable(
  file: SourceFile,
  declarator: Deno.lint.VariableDeclarator,
): Finding | undefined {
  const { id, parent: declaration } = declarator;
  if (declaration.kind.endsWith("using")) return undefined;
  if (parentOf(declaration)?.type === "ExportNamedDeclaration") {
    return undefined;
  }
  const binding = id.type === "Identifier" ? file.resolve(id) : undefined;
  if (binding === undefined) return undefined;
  const members = binding.references.map(memberOf);
  if (!members.every((name) => name !== undefined && working.has(name))) {
    return undefined;
  }
  const { name } = binding.id;
  return {
    range: binding.id.range,
    message: `Nothing waits for the group \`${name}\``,
    hint:
      `Declare it with \`await using\`, and \`await ${name}.wait()\` when all tasks have been given to it.`,
    fix: fixOf(file, binding, declaration),
  };
}

/** Returns the member of a group that `id` is used for; undefined for any other use. */
function memberOf(id: Node): string | undefined {
  const parent = parentOf(outermost(id));
  return parent?.type === "MemberExpression" ? propertyName(parent) : undefined;
}

/**
 * Declares the group with `await using`. That alone would cancel its tasks at
 * the end of the block, so the fix also waits for those whose results are not
 * awaited, after the last statement that mentions the group.
 */
function fixOf(
  file: SourceFile,
  binding: Binding,
  declaration: Deno.lint.VariableDeclaration,
): Finding["fix"] {
  const block = parentOf(declaration);
  if (block?.type !== "BlockStatement" && block?.type !== "Program") {
    return undefined;
  }
  const owner = functionAround(declaration);
  if (owner !== undefined && !owner.async) return undefined;
  if (declaration.kind === "var" || declaration.declarations.length > 1) {
    return undefined;
  }
  const [start] = declaration.range;
  const keyword: [number, number] = [start, start + declaration.kind.length];
  const { id, references } = binding;
  if (references.some((node) => mayComeLater(node, owner, references))) {
    return undefined;
  }
  if (!references.some((node) => leavesTask(node, owner))) {
    return (fixer) => [fixer.replaceTextRange(keyword, "await using")];
  }
  const mentioning = block.body.filter((statement) =>
    references.some((node) => isInside(node, statement))
  );
  const first = mentioning[0];
  const last = mentioning.at(-1);
  if (first === undefined || last === undefined) return undefined;
  // A return before the end would cancel what has been started.
  const returnsEarly = file.inside(block, "ReturnStatement").some((node) =>
    functionAround(node) === owner && node.range[0] >= first.range[0] &&
    node.range[1] <= last.range[1]
  );
  if (returnsEarly) return undefined;
  const wait = `\n${file.indentation(last)}await ${id.name}.wait();`;
  return (fixer) => [
    fixer.replaceTextRange(keyword, "await using"),
    fixer.insertTextAfterRange(last.range, wait),
  ];
}

/** Returns true if `id` starts a task whose result is not awaited there. */
function leavesTask(id: Node, owner: FunctionNode | undefined): boolean {
  const name = memberOf(id) ?? "";
  return starting.has(name) ||
    name === "run" && fateOf(id, owner) !== "awaited";
}

/**
 * Returns true if `id` is in a closure that may be called after the block has been
 * left, when the group has ended. One that is called for each item of a list, or that
 * is a task of the group itself, is not.
 */
function mayComeLater(
  id: Node,
  owner: FunctionNode | undefined,
  references: readonly Node[],
): boolean {
  for (let fn = functionAround(id); fn && fn !== owner;) {
    const outer = functionAround(fn);
    const call = parentOf(fn);
    const isTask = call?.type === "CallExpression" &&
      references.some((node) => parentOf(outermost(node)) === call.callee);
    if (!isTask && !isOverList(fn) && fateOf(fn, outer) !== "awaited") {
      return true;
    }
    fn = outer;
  }
  return false;
}

/** Returns true for a group of the context of `main`, which waits for it itself. */
function isOfMain(file: SourceFile, call: Deno.lint.CallExpression): boolean {
  const [parent] = call.arguments;
  const id = parent && unwrap(parent);
  if (id?.type !== "Identifier") return false;
  const binding = file.resolve(id);
  const caller = binding && parentOf(binding.declaration);
  return caller !== undefined && calledName(file, caller) === "main" &&
    binding?.declaration === functionAround(call);
}
