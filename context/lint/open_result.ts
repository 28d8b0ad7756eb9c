/** Results that need the context they were made with for as long as they live. */

import { fateOf } from "./fate.ts";
import {
  calleeName,
  functionAround,
  type FunctionNode,
  type Node,
  outermost,
  parentOf,
  propertyName,
  unwrap,
} from "./nodes.ts";
import type { SourceFile } from "./source_file.ts";

/** Names of functions whose result is still open: a response, a connection. */
const opening =
  /fetch|request|open|connect|dial|stream|subscribe|listen|watch|start|spawn|create/i;

/** Properties of a response that need no body. */
const plain = /^(?:headers|ok|redirected|status|statusText|type|url)$/;

/** Returns true if the result of `node` is likely to be still open. */
export function isOpenResult(node: Node): boolean {
  const value = unwrap(node);
  switch (value.type) {
    case "ConditionalExpression":
      return isOpenResult(value.consequent) || isOpenResult(value.alternate);
    case "LogicalExpression":
      return isOpenResult(value.left) || isOpenResult(value.right);
    case "CallExpression":
      return opening.test(calleeName(value) ?? "") || passesOpenOn(value);
    default:
      return false;
  }
}

/** Returns true for `catch` and `finally`, and for `Promise.all` and its like. */
function passesOpenOn(call: Deno.lint.CallExpression): boolean {
  const callee = unwrap(call.callee);
  if (callee.type !== "MemberExpression") return false;
  if (/^(?:catch|finally)$/.test(propertyName(callee) ?? "")) {
    return isOpenResult(callee.object);
  }
  const { object } = callee;
  return object.type === "Identifier" && object.name === "Promise" &&
    call.arguments.some(hasOpenItem);
}

function hasOpenItem(list: Node): boolean {
  if (list.type === "ArrayExpression") {
    return list.elements.some((item) => item !== null && isOpenResult(item));
  }
  if (list.type !== "CallExpression" || calleeName(list) !== "map") {
    return false;
  }
  const [f] = list.arguments;
  return f?.type === "ArrowFunctionExpression" && isOpenResult(f.body);
}

/**
 * Returns true if `node` goes into a call that is awaited, and its result is
 * likely to be still open when it leaves the function: to end its context then
 * would break it.
 */
export function leavesOpen(
  file: SourceFile,
  node: Node,
  owner: FunctionNode | undefined,
): boolean {
  const wait = awaitAround(node, owner);
  if (wait === undefined || !isOpenResult(wait.argument)) return false;
  const declarator = parentOf(outermost(wait));
  if (declarator?.type !== "VariableDeclarator") return !stays(wait, owner);
  return file.bindings().some(({ declaration, references }) =>
    declaration === declarator && references.some((id) => !stays(id, owner))
  );
}

function awaitAround(
  node: Node,
  owner: FunctionNode | undefined,
): Deno.lint.AwaitExpression | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (n.type === "AwaitExpression" && functionAround(n) === owner) return n;
  }
  return undefined;
}

/** Returns true if the value of `node` is used up before `owner` returns. */
function stays(node: Node, owner: FunctionNode | undefined): boolean {
  const parent = parentOf(outermost(node));
  if (
    parent?.type === "MemberExpression" &&
    plain.test(propertyName(parent) ?? "")
  ) return true;
  const fate = fateOf(node, owner);
  return fate === "awaited" || fate === "read";
}
