/** The ways in which code uses a context. */

import { isPlainContextType } from "./contexts.ts";
import { type Fate, fateOf } from "./fate.ts";
import { importedName } from "./imports.ts";
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
import { functionCalled, type SourceFile } from "./source_file.ts";

/** One use of a context by the function that made it, or by its closures. */
export interface Use {
  /** The mention of the context. */
  readonly node: Node;
  /**
   * - `ends`: cancels the context, or waits until it is done;
   * - `asks`: looks whether it is done;
   * - `reads`: looks at anything else of it;
   * - `lends`: gives it, or its signal, to work that cannot cancel it;
   * - `hands over`: gives it to code that may cancel it.
   */
  readonly kind: "ends" | "asks" | "reads" | "lends" | "hands over";
  /** The fate of the work that it is lent to. */
  readonly fate: Fate;
  /** True if the mention is in a closure. */
  readonly inClosure: boolean;
}

/** Functions of this package that look at a context and return. */
const readers = new Map<string, Use["kind"]>([
  ["cause", "asks"],
  ["isCanceled", "asks"],
  ["remaining", "reads"],
  ["snapshot", "reads"],
]);

/** Functions of this package that hold on to a context after they return. */
const keepers = new Set([
  "afterFunc",
  "closeOnDone",
  "contextPort",
  "serveHttp",
  "serveTcp",
  "serveUdp",
  "udpPeers",
]);

/** Names of functions that keep their arguments, by the custom of the language. */
const keeping =
  /^(?:add|adopt|append|defer|enqueue|keep|push|register|set|store|track|unshift|use)/;

/** Returns the use of a context at `node`, seen from the function `owner`. */
export function useOf(
  file: SourceFile,
  node: Node,
  owner: FunctionNode | undefined,
): Use {
  const inClosure = functionAround(node) !== owner;
  const fate = fateOf(node, owner);
  const kind = kindOf(file, node, fate);
  // A closure that cancels does so when it is called, if it ever is.
  return kind === "ends" && inClosure
    ? { node, kind: "hands over", fate, inClosure }
    : { node, kind, fate, inClosure };
}

/** Returns the call that is given the context at `node` itself, or its signal. */
export function receiverOf(node: Node): Deno.lint.CallExpression | undefined {
  let child = outermost(node);
  let parent = parentOf(child);
  if (parent?.type === "MemberExpression") {
    if (propertyName(parent) !== "signal") return undefined;
    child = outermost(parent);
    parent = parentOf(child);
  }
  while (parent?.type === "Property" || parent?.type === "ObjectExpression") {
    child = parent;
    parent = parentOf(child);
  }
  return parent?.type === "CallExpression" && parent.callee !== child
    ? parent
    : undefined;
}

function kindOf(file: SourceFile, node: Node, fate: Fate): Use["kind"] {
  const expression = outermost(node);
  const parent = parentOf(expression);
  switch (parent?.type) {
    case "MemberExpression":
      return parent.object === expression ? kindOfMember(parent) : "hands over";
    case "CallExpression":
      return parent.callee === expression
        ? "hands over"
        : kindOfArgument(file, parent, expression, fate);
    case "BinaryExpression":
    case "IfStatement":
    case "TemplateLiteral":
    case "UnaryExpression":
      return "reads";
    default:
      return "hands over";
  }
}

/** Returns the use that `ctx.property` makes of `ctx`. */
function kindOfMember(member: Deno.lint.MemberExpression): Use["kind"] {
  const expression = outermost(member);
  const parent = parentOf(expression);
  switch (memberName(member)) {
    case "err":
      return "asks";
    case "deadline":
    case "value":
      return "reads";
    case "signal":
      return parent?.type === "MemberExpression" &&
          stateOfSignal.has(propertyName(parent) ?? "")
        ? "asks"
        : "lends";
    case "done":
      return parent?.type === "AwaitExpression" ? "ends" : "lends";
    case "cancel":
    case "Symbol.dispose":
      return parent?.type === "CallExpression" && parent.callee === expression
        ? "ends"
        : "hands over";
    default:
      return "hands over";
  }
}

const stateOfSignal = new Set(["aborted", "reason", "throwIfAborted"]);

/** Returns the use that `call` makes of its argument, a context. */
function kindOfArgument(
  file: SourceFile,
  call: Deno.lint.CallExpression,
  argument: Node,
  fate: Fate,
): Use["kind"] {
  const exported = importedName(file, call.callee);
  if (exported !== undefined) {
    if (keepers.has(exported)) return "hands over";
    return readers.get(exported) ?? "lends";
  }
  const callee = unwrap(call.callee);
  if (keeping.test(calleeName(call) ?? "")) return "hands over";
  // Work that is over before its caller goes on has nothing left to cancel.
  if (fate === "awaited") return "lends";
  const index = call.arguments.findIndex((other) => other === argument);
  const parameter = functionCalled(file, callee)?.params[index];
  return parameter?.type === "Identifier" &&
      isPlainContextType(file, parameter.typeAnnotation?.typeAnnotation)
    ? "lends"
    : "hands over";
}

function memberName(member: Deno.lint.MemberExpression): string | undefined {
  const { computed, property } = member;
  if (!computed || property.type !== "MemberExpression") {
    return propertyName(member);
  }
  const { object } = property;
  return object.type === "Identifier"
    ? `${object.name}.${propertyName(property)}`
    : undefined;
}
