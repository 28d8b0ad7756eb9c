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

/** Returns true if the result of `node`, a call, is likely to be still open. */
export function isOpenResult(node: Node): boolean {
  const call = unwrap(node);
  return call.type === "CallExpression" &&
    opening.test(calleeName(call) ?? "");
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
  if (wait === undefined) return false;
  if (!together(wait.argument).some(isOpenResult)) return false;
  const declarator = parentOf(outermost(wait));
  if (declarator?.type !== "VariableDeclarator") return !stays(wait, owner);
  return file.bindings().some(({ declaration, references }) =>
    declaration === declarator && references.some((id) => !stays(id, owner))
  );
}

/** Returns the promises that `Promise.all` and its like wait for, or `node` itself. */
function together(node: Node): readonly Node[] {
  const call = unwrap(node);
  if (call.type !== "CallExpression") return [node];
  const { callee, arguments: [list] } = call;
  return callee.type === "MemberExpression" &&
      callee.object.type === "Identifier" &&
      callee.object.name === "Promise" && list?.type === "ArrayExpression"
    ? list.elements.filter((element) => element !== null)
    : [node];
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
