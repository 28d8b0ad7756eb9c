/** The expressions of a file that are contexts or groups of this package. */

import { importedName, importedTypeName } from "./imports.ts";
import {
  type FunctionNode,
  isFunction,
  type Node,
  parentOf,
  propertyName,
  unwrap,
} from "./nodes.ts";
import type { Binding, SourceFile } from "./source_file.ts";

/** Functions whose result must be canceled. */
const owned = new Set([
  "notifyContext",
  "withCancel",
  "withDeadline",
  "withGrace",
  "withPort",
  "withSignal",
  "withTimeout",
]);

/** Functions whose result is a context that needs no cancel. */
const plain = new Set([
  "background",
  "draining",
  "requestContext",
  "todo",
  "withValue",
  "withoutCancel",
]);

/** Functions that start a server. */
const servers = new Set(["serveHttp", "serveTcp", "serveUdp", "udpPeers"]);

/** Functions that call a function of the caller with a context. */
const callers = new Set([
  ...servers,
  "main",
  "retry",
  "singleFlight",
  "udpRead",
]);

/** Methods of a group that call a function of the caller with its context. */
const groupCallers = new Set(["go", "run", "tryGo"]);

/**
 * Returns the name of the function that makes `node`, a context that must be canceled.
 * One with a time limit of zero is done from the start.
 */
export function ownedMaker(file: SourceFile, node: Node): string | undefined {
  const name = calledName(file, node);
  if (name === undefined || !owned.has(name)) return undefined;
  const [, limit] = (unwrap(node) as Deno.lint.CallExpression).arguments;
  const isOver = name === "withTimeout" && limit?.type === "Literal" &&
    limit.value === 0;
  return isOver ? undefined : name;
}

/** Returns the name of the export of this package that `node` calls. */
export function calledName(file: SourceFile, node: Node): string | undefined {
  const call = unwrap(node);
  return call.type === "CallExpression"
    ? importedName(file, call.callee)
    : undefined;
}

/**
 * Returns true if `node` is known to be a context. Variables count only if they
 * are declared before the offset `before`.
 */
export function isContext(
  file: SourceFile,
  node: Node,
  before = Infinity,
): boolean {
  const expression = unwrap(node);
  switch (expression.type) {
    case "CallExpression": {
      const name = importedName(file, expression.callee);
      return name !== undefined && (owned.has(name) || plain.has(name));
    }
    case "Identifier": {
      const binding = file.resolve(expression);
      return binding !== undefined && binding.id.range[0] < before &&
        isContextBinding(file, binding);
    }
    case "ConditionalExpression":
      return isContext(file, expression.consequent, before) &&
        isContext(file, expression.alternate, before);
    case "LogicalExpression":
      return isContext(file, expression.left, before) &&
        isContext(file, expression.right, before);
    case "MemberExpression":
      return propertyName(expression) === "ctx" &&
        isGroup(file, expression.object);
    default:
      return false;
  }
}

/** Returns true if `binding` is a variable or parameter that holds a context. */
export function isContextBinding(file: SourceFile, binding: Binding): boolean {
  const { declaration, id } = binding;
  if (isContextType(file, id.typeAnnotation?.typeAnnotation)) return true;
  if (declaration.type === "VariableDeclarator") {
    // Only variables declared earlier are looked at, so that this terminates.
    return declaration.id === id && declaration.init !== null &&
      isContext(file, declaration.init, id.range[0]);
  }
  return isFunction(declaration) && declaration.params[0] === id &&
    isCalledWithContext(file, declaration);
}

/** Returns true if `node` is known to be a group. */
export function isGroup(file: SourceFile, node: Node): boolean {
  const expression = unwrap(node);
  if (expression.type === "CallExpression") {
    return calledName(file, expression) === "group";
  }
  if (expression.type !== "Identifier") return false;
  const binding = file.resolve(expression);
  if (binding === undefined) return false;
  const { declaration, id } = binding;
  const type = id.typeAnnotation?.typeAnnotation;
  if (type !== undefined && importedTypeName(file, type) === "Group") {
    return true;
  }
  return declaration.type === "VariableDeclarator" && declaration.id === id &&
    declaration.init !== null && calledName(file, declaration.init) === "group";
}

/** Returns the parameters of `fn` that are contexts. */
export function contextParameters(
  file: SourceFile,
  fn: FunctionNode,
): Binding[] {
  return fn.params.flatMap((parameter) => {
    const id = parameterName(parameter);
    const binding = id && file.resolve(id);
    return binding && isContextBinding(file, binding) ? [binding] : [];
  });
}

function parameterName(node: Node): Deno.lint.Identifier | undefined {
  switch (node.type) {
    case "Identifier":
      return node;
    case "AssignmentPattern":
      return parameterName(node.left);
    case "TSParameterProperty":
      return parameterName(node.parameter);
    default:
      return undefined;
  }
}

/** Returns true if a function of this package calls `fn` with a context first. */
export function isCalledWithContext(
  file: SourceFile,
  fn: FunctionNode,
): boolean {
  const call = parentOf(fn);
  if (call?.type !== "CallExpression" || call.callee === fn) return false;
  const name = importedName(file, call.callee);
  if (name !== undefined) return callers.has(name);
  const method = unwrap(call.callee);
  if (method.type !== "MemberExpression") return false;
  const called = propertyName(method);
  if (called === "onShutdown") return isServer(file, method.object);
  return called !== undefined && groupCallers.has(called) &&
    isGroup(file, method.object);
}

function isServer(file: SourceFile, node: Node): boolean {
  const object = unwrap(node);
  const binding = object.type === "Identifier"
    ? file.resolve(object)
    : undefined;
  const declaration = binding?.declaration;
  if (declaration?.type !== "VariableDeclarator" || !declaration.init) {
    return false;
  }
  const name = calledName(file, declaration.init);
  return name !== undefined && servers.has(name);
}

/** Returns true for `Context`, which cannot be canceled, also if optional. */
export function isPlainContextType(
  file: SourceFile,
  type: Node | undefined,
): boolean {
  return isTypeOf(file, type, ["Context"]);
}

/** Returns true for a cancelable context. */
export function isCancelableContextType(
  file: SourceFile,
  type: Node | undefined,
): boolean {
  return isTypeOf(file, type, ["CancelableContext"]);
}

function isContextType(file: SourceFile, type: Node | undefined): boolean {
  return isTypeOf(file, type, ["Context", "CancelableContext"]);
}

/** Returns true for one of the types named, or for it and null or undefined. */
function isTypeOf(
  file: SourceFile,
  type: Node | undefined,
  names: readonly string[],
): boolean {
  if (type === undefined) return false;
  if (type.type !== "TSUnionType") {
    return names.includes(importedTypeName(file, type) ?? "");
  }
  const parts = type.types.filter((part) =>
    part.type !== "TSNullKeyword" && part.type !== "TSUndefinedKeyword"
  );
  return parts.length === 1 && isTypeOf(file, parts[0], names);
}
