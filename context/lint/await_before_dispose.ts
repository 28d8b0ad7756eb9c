/** The rule `curfew/await-before-dispose`. */

import { addAwait } from "./add_await.ts";
import { isGroup, ownedMaker } from "./contexts.ts";
import {
  functionAround,
  type FunctionNode,
  isInside,
  type Node,
  unwrap,
} from "./nodes.ts";
import { isOpenResult } from "./open_result.ts";
import { hasPromiseType, returnsPromise } from "./promises.ts";
import { rule } from "./rule.ts";
import type { Binding, SourceFile } from "./source_file.ts";
import { useOf } from "./uses.ts";

/**
 * Reports a promise that is returned, but not awaited, from the block that ends
 * its context: the block is left before the promise settles, so the work is
 * canceled as soon as it has begun.
 */
export const awaitBeforeDispose: Deno.lint.Rule = rule((file, report) => {
  for (const statement of file.all("ReturnStatement")) {
    const value = statement.argument;
    const owner = functionAround(statement);
    // An async generator awaits what it returns.
    if (value === null || owner === undefined || owner.generator) continue;
    const promises = results(value).filter((node) =>
      isPromise(file, node, owner)
    );
    // Most return none, and to look for contexts takes long in a large file.
    if (promises.length === 0) continue;
    const ended = endedBy(file, statement, owner).find(({ references }) =>
      references.some((id) =>
        promises.some((promise) => isInside(id, promise)) &&
        isAtWork(file, id, owner)
      )
    );
    if (ended === undefined) continue;
    const isOpen = promises.some(isOpenResult);
    const hint = isOpen
      ? "Await it, and read what it gives, before the block is left."
      : owner.async
      ? "Write `return await`."
      : "Make the function `async` and write `return await`.";
    report({
      range: value.range,
      message: `\`${ended.id.name}\` ends before this promise settles`,
      hint,
      fix: owner.async && !isOpen
        ? (fixer) => addAwait(fixer, value)
        : undefined,
    });
  }
});

/** Returns the contexts and groups that end as `statement` leaves their block. */
function endedBy(
  file: SourceFile,
  statement: Deno.lint.ReturnStatement,
  owner: FunctionNode,
): Binding[] {
  const finalizers = file.all("TryStatement").flatMap(
    ({ block, handler, finalizer }) =>
      finalizer !== null && functionAround(finalizer) === owner &&
        (isInside(statement, block) ||
          handler !== null && isInside(statement, handler))
        ? [finalizer]
        : [],
  );
  return file.inside(owner, "VariableDeclarator").flatMap((declarator) => {
    const { id, init, parent, range } = declarator;
    if (id.type !== "Identifier" || init === null) return [];
    if (ownedMaker(file, init) === undefined && !isGroup(file, init)) return [];
    const binding = file.resolve(id);
    if (binding === undefined || range[0] > statement.range[0]) return [];
    const ends = parent.kind.endsWith("using") ||
      binding.references.some((reference) =>
        finalizers.some((finalizer) => isInside(reference, finalizer)) &&
        useOf(file, reference, owner).kind === "ends"
      );
    return ends ? [binding] : [];
  });
}

/** Returns the expressions of which `value` is one. */
function results(value: Node): Node[] {
  const node = unwrap(value);
  switch (node.type) {
    case "ConditionalExpression":
      return [...results(node.consequent), ...results(node.alternate)];
    case "LogicalExpression":
      return [...results(node.left), ...results(node.right)];
    default:
      return [node];
  }
}

function isPromise(file: SourceFile, node: Node, owner: FunctionNode): boolean {
  if (node.type !== "CallExpression" && node.type !== "NewExpression") {
    return false;
  }
  // An async function that hands its context to a call nearly always does so to
  // get a promise, and to await anything else does no harm.
  return returnsPromise(file, node) ?? (owner.async || hasPromiseType(owner));
}

/** Returns true if the context at `id` goes into the promise that is returned. */
function isAtWork(file: SourceFile, id: Node, owner: FunctionNode): boolean {
  const { kind, fate } = useOf(file, id, owner);
  return fate === "returned" && (kind === "lends" || kind === "hands over");
}
