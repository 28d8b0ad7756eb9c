/** The fate of the value of an expression. */

import {
  functionAround,
  type FunctionNode,
  type Node,
  parentOf,
} from "./nodes.ts";

/**
 * - `awaited`: by `await`, by a loop over it, or by the `yield` of an async
 *   generator, before the function goes on;
 * - `returned` from the function;
 * - `discarded` at the end of a statement;
 * - `read` at once, by an operator or a condition;
 * - `kept` in a variable, a property or a closure, or anything else.
 */
export type Fate = "awaited" | "returned" | "discarded" | "read" | "kept";

/**
 * Returns the fate of whatever the value of `node` becomes part of: a call that
 * it is an argument of, an object, a promise chain.
 *
 * @param owner The function to answer for; undefined is the module. If `node` is
 * in a closure of it, the closure's own fate counts: one that is an argument of
 * an awaited call is awaited.
 */
export function fateOf(node: Node, owner: FunctionNode | undefined): Fate {
  const fate = fateInFunction(node);
  const around = functionAround(node);
  if (around === owner || fate === "discarded" || fate === "kept") return fate;
  return around === undefined || around.type === "FunctionDeclaration"
    ? "kept"
    : fateOf(around, owner);
}

function fateInFunction(node: Node): Fate {
  let child = node;
  for (;;) {
    const parent = parentOf(child);
    switch (parent?.type) {
      case "ArrayExpression":
      case "CallExpression":
      case "ChainExpression":
      case "LogicalExpression":
      case "NewExpression":
      case "ObjectExpression":
      case "Property":
      case "SpreadElement":
      case "TSAsExpression":
      case "TSNonNullExpression":
      case "TSSatisfiesExpression":
      case "TSTypeAssertion":
        break;
      case "ConditionalExpression":
        if (parent.test === child) return "read";
        break;
      case "MemberExpression":
        if (parent.object !== child) return "read";
        break;
      case "SequenceExpression":
        if (parent.expressions.at(-1) !== child) return "discarded";
        break;
      case "ArrowFunctionExpression":
        return parent.body === child ? "returned" : "kept";
      case "ReturnStatement":
        return "returned";
      case "AwaitExpression":
        return "awaited";
      case "ForOfStatement":
        return parent.right === child ? "awaited" : "kept";
      case "YieldExpression":
        return functionAround(parent)?.async ? "awaited" : "kept";
      case "ExpressionStatement":
        return "discarded";
      case "ForStatement":
        return parent.test === child ? "read" : "discarded";
      case "UnaryExpression":
        return parent.operator === "void" ? "discarded" : "read";
      case "BinaryExpression":
      case "DoWhileStatement":
      case "IfStatement":
      case "SwitchCase":
      case "SwitchStatement":
      case "TemplateLiteral":
      case "ThrowStatement":
      case "WhileStatement":
        return "read";
      default:
        return "kept";
    }
    child = parent;
  }
}
