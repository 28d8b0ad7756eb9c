/** The rule `curfew/parent-context`. */

import {
  calledName,
  contextParameters,
  isContext,
  isContextBinding,
} from "./contexts.ts";
import {
  calleeName,
  functionAround,
  type FunctionNode,
  headOf,
  isInside,
  type Node,
  outermost,
  parentOf,
  propertyName,
  statementAround,
} from "./nodes.ts";
import { returnsPromise } from "./promises.ts";
import { rule } from "./rule.ts";
import { type Binding, isMentioned, type SourceFile } from "./source_file.ts";
import { receiverOf, useOf } from "./uses.ts";

/**
 * Reports work that a function waits for, although it does not end with the
 * context that the function was given: it runs under `background()`, or under a
 * context from further out.
 */
export const parentContext: Deno.lint.Rule = rule((file, report) => {
  function check(node: Node, isOuter: (fn: FunctionNode) => boolean): void {
    const own = ownContext(file, node, isOuter);
    if (own === undefined) return;
    const text = file.text(node);
    const { name } = own.id;
    report({
      range: node.range,
      message: `This work does not end with \`${name}\``,
      hint:
        `Write \`${name}\` in place of \`${text}\`, or \`withoutCancel(${name})\` if the work must outlive it.`,
      fix: file.lookUp(name, node) === own
        ? (fixer) => [fixer.replaceTextRange(node.range, name)]
        : undefined,
    });
  }

  for (const call of file.all("CallExpression")) {
    const name = calledName(file, call);
    if (name === "background" || name === "todo") check(call, () => true);
  }
  for (const binding of file.bindings()) {
    if (!isContextBinding(file, binding)) continue;
    for (const id of binding.references) {
      check(id, (fn) => !isInside(binding.id, fn));
    }
  }
});

/** Returns the context that should take the place of `node`, if there is one. */
function ownContext(
  file: SourceFile,
  node: Node,
  isOuter: (fn: FunctionNode) => boolean,
): Binding | undefined {
  const fn = functionWithContext(file, node);
  // With several contexts there is no telling which one is right.
  const [own, ...others] = fn ? contextParameters(file, fn) : [];
  if (fn === undefined || own === undefined || others.length > 0) {
    return undefined;
  }
  if (!isOuter(fn) || !isWaitedFor(file, node, fn)) return undefined;
  return isMeant(file, node, own, fn) ? undefined : own;
}

/** Returns the innermost function with a context of its own in whose body `node` is. */
function functionWithContext(
  file: SourceFile,
  node: Node,
): FunctionNode | undefined {
  let fn = functionAround(node);
  while (fn !== undefined && contextParameters(file, fn).length === 0) {
    fn = functionAround(fn);
  }
  return fn?.body && isInside(node, fn.body) ? fn : undefined;
}

/** Returns true if `fn`, or its caller, waits for the work under `node`. */
function isWaitedFor(file: SourceFile, node: Node, fn: FunctionNode): boolean {
  const call = receiverOf(node);
  if (call === undefined) return false;
  if (isContext(file, call)) {
    const declarator = parentOf(outermost(call));
    return declarator?.type === "VariableDeclarator" &&
      declarator.parent.kind === "using";
  }
  const { kind, fate } = useOf(file, node, fn);
  if (kind !== "lends" && kind !== "hands over") return false;
  return fate === "awaited" ||
    fate === "returned" && returnsPromise(file, call) !== false;
}

/**
 * Returns true if the choice is deliberate: the statement also mentions the
 * function's own context, or that context is likely to be done already.
 */
function isMeant(
  file: SourceFile,
  node: Node,
  own: Binding,
  fn: FunctionNode,
): boolean {
  if (isMentioned(own, statementAround(node))) return true;
  for (let n = parentOf(node); n !== undefined && n !== fn; n = parentOf(n)) {
    if (n.type === "CatchClause") return true;
    const parent = parentOf(n);
    if (parent?.type === "TryStatement" && parent.finalizer === n) return true;
    if (isHandler(n, parent)) return true;
  }
  const before = (other: Node): boolean => other.range[1] <= node.range[0];
  return own.references.some((id) =>
    before(id) && (useOf(file, id, fn).kind === "ends" || isDone(id))
  ) || file.loops().some((loop) => {
    const head = headOf(loop);
    return head !== null && before(loop) && isMentioned(own, head);
  });
}

/** Returns true if `node` is what `catch`, `finally` or `then` calls after a failure. */
function isHandler(node: Node, parent: Node | undefined): boolean {
  if (parent?.type !== "CallExpression" || parent.callee === node) return false;
  const name = calleeName(parent);
  return name === "catch" || name === "finally" ||
    name === "then" && parent.arguments[1] === node;
}

/** Returns true for `ctx.done`, also if it is only one of those that are awaited. */
function isDone(id: Node): boolean {
  const parent = parentOf(outermost(id));
  return parent?.type === "MemberExpression" && propertyName(parent) === "done";
}
