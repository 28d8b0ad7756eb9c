/** The rule `curfew/lost-cancel`. */

import { addAwait } from "./add_await.ts";
import { isCancelableContextType, ownedMaker } from "./contexts.ts";
import { settledOnEveryPath } from "./every_path.ts";
import { type Holder, holderOf } from "./holder.ts";
import {
  functionAround,
  type FunctionNode,
  isInside,
  type Node,
  outermost,
  parentOf,
  unwrap,
} from "./nodes.ts";
import { isOpenResult, leavesOpen } from "./open_result.ts";
import { type Finding, rule } from "./rule.ts";
import type { Binding, SourceFile } from "./source_file.ts";
import { receiverOf, type Use, useOf } from "./uses.ts";

/**
 * Reports a context that its maker must cancel and does not: it is neither
 * declared with `using`, nor returned, stored or handed to an owner, nor
 * canceled on every path. Until the parent is done, it holds on to such a
 * context, and the work under it goes on.
 */
export const lostCancel: Deno.lint.Rule = rule((file, report) => {
  for (const call of file.all("CallExpression")) {
    const maker = ownedMaker(file, call);
    const holder = holderOf(file, call);
    if (maker === undefined || holder === "owned") continue;
    const parent = parentOf(outermost(call));
    const finding = parent?.type === "VariableDeclarator"
      ? inVariable(file, parent, maker, holder)
      : inExpression(file, call, maker, holder);
    if (finding !== undefined) report(finding);
  }
});

/** Makers of contexts that end by themselves. */
const withTimeLimit = new Set(["withDeadline", "withTimeout"]);

function inExpression(
  file: SourceFile,
  call: Node,
  maker: string,
  holder: Holder,
): Finding | undefined {
  if (holder === "root") return undefined;
  const use = useOf(file, call, functionAround(call));
  const isDropped = parentOf(outermost(call))?.type === "ExpressionStatement";
  const isLost = use.kind === "lends" && !isOwned(use, maker);
  if (!isDropped && !isLost) return undefined;
  return {
    range: call.range,
    message: `This context of \`${maker}\` is never canceled`,
    hint: "Declare it first: `using ctx = …`.",
  };
}

function inVariable(
  file: SourceFile,
  declarator: Deno.lint.VariableDeclarator,
  maker: string,
  holder: Holder,
): Finding | undefined {
  const { id, parent: declaration } = declarator;
  if (declaration.kind.endsWith("using")) return undefined;
  if (parentOf(declaration)?.type === "ExportNamedDeclaration") {
    return undefined;
  }
  if (id.type === "ObjectPattern") return inPattern(id, maker, holder);
  const binding = id.type === "Identifier" ? file.resolve(id) : undefined;
  if (binding === undefined) return undefined;
  const owner = functionAround(declaration);
  const uses = binding.references.map((node) => useOf(file, node, owner));
  if (uses.some((use) => isOwned(use, maker))) return undefined;
  const fix = fixOf(file, binding, declaration, uses);
  // The contexts of a module may be meant to live as long as the program, and
  // nothing holds on to a child of a root but the work under it.
  const mayLive = owner === undefined || holder === "root";
  if (mayLive && fix === undefined) return undefined;
  if (holder === "root" && !uses.some(({ kind }) => kind === "lends")) {
    return undefined;
  }
  if (endsOnEveryPath(declaration, uses)) return undefined;
  const { name } = binding.id;
  return {
    range: binding.id.range,
    message: uses.some(({ kind }) => kind === "ends")
      ? `\`${name}\` is not canceled on every path`
      : `\`${name}\` is never canceled`,
    hint:
      `Declare it with \`using\`, or call \`${name}.cancel()\` when the work is over.`,
    fix,
  };
}

/** `const { signal } = withTimeout(…)` leaves no way to cancel. */
function inPattern(
  pattern: Deno.lint.ObjectPattern,
  maker: string,
  holder: Holder,
): Finding | undefined {
  const kept = pattern.properties.every((property) =>
    property.type === "Property" && !property.computed &&
    property.key.type === "Identifier" && property.key.name !== "cancel"
  );
  return kept && holder !== "root"
    ? {
      range: pattern.range,
      message: `This context of \`${maker}\` is never canceled`,
      hint: "Declare all of it: `using ctx = …`.",
    }
    : undefined;
}

/** Returns true if `use` leaves the context to other code, or to its time limit. */
function isOwned({ kind, fate, node }: Use, maker: string): boolean {
  if (kind !== "lends" || !withTimeLimit.has(maker)) {
    return kind === "hands over";
  }
  // A listener, or a signal that is returned, is meant to last until then.
  return fate === "discarded" ||
    fate === "returned" && receiverOf(node) === undefined;
}

function endsOnEveryPath(
  declaration: Deno.lint.VariableDeclaration,
  uses: readonly Use[],
): boolean {
  const block = parentOf(declaration);
  // Other places, such as the head of a loop, are not followed.
  if (block?.type !== "BlockStatement" && block?.type !== "Program") {
    return uses.some(({ kind }) => kind === "ends");
  }
  const rest = block.body.slice(block.body.indexOf(declaration) + 1);
  return settledOnEveryPath(rest, {
    settles: (node) =>
      uses.some((use) => use.kind === "ends" && isInside(use.node, node)),
    settledIf: (condition) => doneIf(condition, uses),
  });
}

/** Returns the outcome of `condition` that means that the context is done. */
function doneIf(condition: Node, uses: readonly Use[]): boolean | undefined {
  const node = unwrap(condition);
  if (node.type === "LogicalExpression") {
    return doneIf(node.left, uses) ?? doneIf(node.right, uses);
  }
  if (node.type === "UnaryExpression" && node.operator === "!") {
    const done = doneIf(node.argument, uses);
    return done === undefined ? undefined : !done;
  }
  if (!uses.some((use) => use.kind === "asks" && isInside(use.node, node))) {
    return undefined;
  }
  return !(node.type === "BinaryExpression" && /^==/.test(node.operator) &&
    (isNothing(node.left) || isNothing(node.right)));
}

function isNothing(node: Node): boolean {
  return node.type === "Identifier" && node.name === "undefined" ||
    node.type === "Literal" && node.value === null;
}

/** Returns the fix, if all work that has the context is over when its block is left. */
function fixOf(
  file: SourceFile,
  { id }: Binding,
  declaration: Deno.lint.VariableDeclaration,
  uses: readonly Use[],
): Finding["fix"] {
  const block = parentOf(declaration)?.type;
  if (block !== "BlockStatement" && block !== "Program") return undefined;
  if (declaration.kind === "var" || declaration.declarations.length > 1) {
    return undefined;
  }
  const type = id.typeAnnotation?.typeAnnotation;
  if (type !== undefined && !isCancelableContextType(file, type)) {
    return undefined;
  }
  const returned = new Set<Node>();
  const owner = functionAround(declaration);
  for (const use of uses) {
    if (leavesOpen(file, use.node, owner)) return undefined;
    if (isOver(use)) continue;
    const value = returnedValue(use, owner);
    if (value === undefined || isOpenResult(value)) return undefined;
    returned.add(value);
  }
  const [start] = declaration.range;
  return (fixer) => [
    fixer.replaceTextRange([start, start + declaration.kind.length], "using"),
    ...[...returned].flatMap((value) => addAwait(fixer, value)),
  ];
}

/** Returns true if `use` is over before the function goes on. */
function isOver({ kind, fate, inClosure }: Use): boolean {
  return kind === "ends" || fate === "awaited" || fate === "read" ||
    (kind === "reads" || kind === "asks") && !inClosure;
}

/** Returns the value that `owner`, an async function, returns and `use` is part of. */
function returnedValue(
  { node, fate }: Use,
  owner: FunctionNode | undefined,
): Node | undefined {
  if (fate !== "returned" || !owner?.async || owner.generator) return undefined;
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (n.type !== "ReturnStatement" || functionAround(n) !== owner) continue;
    return n.argument ?? undefined;
  }
  return undefined;
}
