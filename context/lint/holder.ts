/** The context that holds on to a child until the child is done. */

import { calledName, isGroup, ownedMaker } from "./contexts.ts";
import {
  type Call,
  calleeName,
  type FunctionNode,
  type Identifier,
  isFunction,
  type Node,
  parentOf,
  unwrap,
} from "./nodes.ts";
import type { SourceFile } from "./source_file.ts";

/**
 * - `root`: a context that is never done, and so holds on to nothing;
 * - `owned`: a context or group that the same function makes and must end itself,
 *   unless the child is made over and over in a loop without a known end;
 * - `other`: any other context, such as a parameter.
 */
export type Holder = "root" | "owned" | "other";

/** Functions whose contexts hold on to nothing. */
const roots = new Set(["background", "todo", "withoutCancel"]);

/** Returns the holder of the context that `call` makes. */
export function holderOf(
  file: SourceFile,
  call: Deno.lint.CallExpression,
): Holder {
  const place = repeatedIn(call);
  return ofArguments(call);

  function of(node: Node): Holder {
    const expression = unwrap(node);
    switch (expression.type) {
      case "Identifier":
        return ofVariable(expression);
      case "MemberExpression":
        return of(expression.object);
      case "CallExpression":
      case "NewExpression":
        return ofArguments(expression);
      default:
        return "other";
    }
  }

  /** The parent is the first argument; `withSignal` joins others to it. */
  function ofArguments(call: Call): Holder {
    // From any module, so that another copy of this package is known as well.
    const name = calledName(file, call) ?? calleeName(call);
    if (name !== undefined && roots.has(name)) return "root";
    const holders = call.arguments.map(of);
    if (holders.includes("owned")) return "owned";
    return holders[0] ?? "other";
  }

  function ofVariable(id: Identifier): Holder {
    const declaration = file.resolve(id)?.declaration;
    if (declaration?.type !== "VariableDeclarator") return "other";
    const { init } = declaration;
    // Only variables declared earlier are followed, so that this terminates.
    if (init === null || declaration.range[0] >= id.range[0]) return "other";
    const isOwned = ownedMaker(file, init) !== undefined || isGroup(file, init);
    if (!isOwned) return of(init);
    return repeatedIn(declaration) === place ? "owned" : "other";
  }
}

/** Returns the innermost function, or loop without a known end, around `node`. */
function repeatedIn(node: Node): Node | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (isFunction(n) ? !isOverList(n) : isOpenEnded(n)) return n;
  }
  return undefined;
}

/** Returns true for the function that `map` and its like call for each item. */
export function isOverList(fn: FunctionNode): boolean {
  const call = parentOf(fn);
  return call?.type === "CallExpression" && call.callee !== fn &&
    /^(?:filter|flatMap|forEach|from|map)$/.test(calleeName(call) ?? "");
}

function isOpenEnded(node: Node): boolean {
  switch (node.type) {
    case "WhileStatement":
    case "DoWhileStatement":
      return true;
    case "ForStatement":
      return node.test === null;
    case "ForOfStatement":
      return node.await;
    default:
      return false;
  }
}
