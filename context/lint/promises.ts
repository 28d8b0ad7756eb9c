/** A guess at which calls return a promise, without any types. */

import { isGroup } from "./contexts.ts";
import { importedName } from "./imports.ts";
import {
  type Call,
  type FunctionNode,
  type Node,
  propertyName,
  unwrap,
} from "./nodes.ts";
import { functionCalled, type SourceFile } from "./source_file.ts";

/** Functions of this package that return a promise. */
const waiting = new Set([
  "dialTcp",
  "main",
  "orDone",
  "retry",
  "sleep",
  "udpRead",
]);

/** Methods of every promise. */
const chaining = new Set(["catch", "finally", "then"]);

/** Methods of a group that return a promise. */
const groupWaiting = new Set(["go", "run", "wait"]);

/** Methods of arrays, maps and strings. */
const immediate = new Set([
  "concat",
  "every",
  "filter",
  "find",
  "flatMap",
  "get",
  "has",
  "includes",
  "join",
  "map",
  "reduce",
  "slice",
  "some",
  "toString",
]);

/** Globals that are called, or whose methods are, for a result at once. */
const immediateGlobals = new Set([
  "Array",
  "Boolean",
  "Error",
  "JSON",
  "Math",
  "Number",
  "Object",
  "Response",
  "String",
]);

/** Returns true if `call` returns a promise, undefined if it may or may not. */
export function returnsPromise(
  file: SourceFile,
  call: Call,
): boolean | undefined {
  const callee = unwrap(call.callee);
  if (call.type === "NewExpression") return isGlobal(file, callee, "Promise");
  const exported = importedName(file, callee);
  if (exported !== undefined) return waiting.has(exported);
  const called = functionCalled(file, callee);
  if (called !== undefined) {
    if (called.generator) return false;
    return called.async || (called.returnType && hasPromiseType(called));
  }
  if (callee.type === "Identifier" && file.resolve(callee) === undefined) {
    if (callee.name === "fetch") return true;
    return immediateGlobals.has(callee.name) ? false : undefined;
  }
  if (callee.type !== "MemberExpression") return undefined;
  const object = unwrap(callee.object);
  const name = propertyName(callee) ?? "";
  if (chaining.has(name) || isGlobal(file, object, "Promise")) return true;
  if (isGroup(file, object)) return groupWaiting.has(name);
  const onGlobal = object.type === "Identifier" &&
    file.resolve(object) === undefined && immediateGlobals.has(object.name);
  return onGlobal || immediate.has(name) ? false : undefined;
}

/** Returns true if `fn` says that it returns a promise. */
export function hasPromiseType({ returnType }: FunctionNode): boolean {
  const type = returnType?.typeAnnotation;
  return type?.type === "TSTypeReference" &&
    type.typeName.type === "Identifier" &&
    /^Promise(?:Like)?$/.test(type.typeName.name);
}

function isGlobal(file: SourceFile, node: Node, name: string): boolean {
  return node.type === "Identifier" && node.name === name &&
    file.resolve(node) === undefined;
}
