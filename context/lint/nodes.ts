/** The syntax tree of the linter: its kinds of nodes, and ways around in it. */

/** Any node of the linter's syntax tree; two are missing from its own union. */
export type Node =
  | Deno.lint.Node
  | Deno.lint.AccessorProperty
  | Deno.lint.TSParameterProperty;
/** A name in the source. */
export type Identifier = Deno.lint.Identifier;
/** A function with a body. */
export type FunctionNode =
  | Deno.lint.FunctionDeclaration
  | Deno.lint.FunctionExpression
  | Deno.lint.ArrowFunctionExpression;
/** A call, with or without `new`. */
export type Call = Deno.lint.CallExpression | Deno.lint.NewExpression;

/** A loop of any kind. */
export type Loop =
  | Deno.lint.WhileStatement
  | Deno.lint.DoWhileStatement
  | Deno.lint.ForStatement
  | Deno.lint.ForInStatement
  | Deno.lint.ForOfStatement;

/** Returns the parent of `node`; undefined for the program. */
export function parentOf(node: Node): Node | undefined {
  return (node as { parent?: Node | null }).parent ?? undefined;
}

/** Returns true if `node` is `outer` or lies inside it. */
export function isInside(node: Node, outer: Node): boolean {
  return outer.range[0] <= node.range[0] && node.range[1] <= outer.range[1];
}

/** Returns the innermost function around `node`; undefined at the top of the module. */
export function functionAround(node: Node): FunctionNode | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (isFunction(n)) return n;
  }
  return undefined;
}

/** Returns the innermost class around `node`. */
export function classAround(node: Node): Node | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (n.type === "ClassBody") return n;
  }
  return undefined;
}

/**
 * Returns the statement that `node` is part of; for one in the expression that is the
 * body of an arrow function, that expression.
 */
export function statementAround(node: Node): Node {
  let child = node;
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (n.type === "BlockStatement" || n.type === "SwitchCase") break;
    if (n.type === "Program" || n.type === "ClassBody") break;
    if (n.type === "ArrowFunctionExpression" && n.body === child) break;
    child = n;
  }
  return child;
}

/** Returns true for a function with a body. */
export function isFunction(node: Node): node is FunctionNode {
  return node.type === "FunctionDeclaration" ||
    node.type === "FunctionExpression" ||
    node.type === "ArrowFunctionExpression";
}

/** Returns the condition of `loop`, or what it runs over; null for `for (;;)`. */
export function headOf(loop: Loop): Node | null {
  return loop.type === "ForInStatement" || loop.type === "ForOfStatement"
    ? loop.right
    : loop.test;
}

/** Returns the node under type assertions, `!` and optional chains. */
export function unwrap(node: Node): Node {
  for (;;) {
    switch (node.type) {
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSNonNullExpression":
      case "TSTypeAssertion":
      case "ChainExpression":
        node = node.expression;
        break;
      default:
        return node;
    }
  }
}

/** Returns `node` with all assertions and optional chains around it. */
export function outermost(node: Node): Node {
  let outer = node;
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (unwrap(n) !== node) break;
    outer = n;
  }
  return outer;
}

/** Returns the last name of what is called: `get` for `client.get(…)`. */
export function calleeName(call: Call): string | undefined {
  const callee = unwrap(call.callee);
  if (callee.type === "Identifier") return callee.name;
  return callee.type === "MemberExpression" ? propertyName(callee) : undefined;
}

/** Returns the name in `object.name` or of `object["name"]`; undefined otherwise. */
export function propertyName(
  member: Deno.lint.MemberExpression,
): string | undefined {
  const { computed, property } = member;
  if (!computed) {
    return property.type === "Identifier" ? property.name : undefined;
  }
  return property.type === "Literal" && typeof property.value === "string"
    ? property.value
    : undefined;
}
