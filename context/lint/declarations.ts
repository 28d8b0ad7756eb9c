/** The places at which the names of a file are declared. */

import {
  functionAround,
  type FunctionNode,
  type Identifier,
  type Node,
  parentOf,
} from "./nodes.ts";

/** The place of a declaration. */
export interface Place {
  /** The variable declarator, function, class, import or catch clause. */
  readonly declaration: Node;
  /** The node inside which the name is visible. */
  readonly scope: Node;
}

/** Returns the place at which `id` is declared, if `id` is its declaration. */
export function declarationOf(id: Identifier): Place | undefined {
  let child: Node = id;
  let node = parentOf(id);
  while (node !== undefined && isPatternAround(child, node)) {
    child = node;
    node = parentOf(node);
  }
  switch (node?.type) {
    case "VariableDeclarator":
      if (node.id !== child) return undefined;
      return { declaration: node, scope: scopeOfVariable(node.parent) };
    case "CatchClause":
      return node.param === child ? inside(node, node) : undefined;
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      // The name of a function expression is left out: only itself can see it.
      return isParameter(child, node) ? inside(node, node) : undefined;
    case "FunctionDeclaration":
      if (node.id === child) return inside(node, blockAround(node));
      return isParameter(child, node) ? inside(node, node) : undefined;
    case "ImportSpecifier":
      if (node.local !== child) return undefined;
      return inside(node, blockAround(node.parent));
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
      return inside(node, blockAround(node.parent));
    case "ClassDeclaration":
    case "TSEnumDeclaration":
    case "TSModuleDeclaration":
      return node.id === child ? inside(node, blockAround(node)) : undefined;
    default:
      return undefined;
  }
}

function isParameter(node: Node, { params }: FunctionNode): boolean {
  return params.some((parameter) => parameter === node);
}

function inside(declaration: Node, scope: Node): Place {
  return { declaration, scope };
}

/** Returns true if `node` is a pattern, and `child` one of the names it binds. */
function isPatternAround(child: Node, node: Node): boolean {
  switch (node.type) {
    case "ArrayPattern":
    case "ObjectPattern":
    case "RestElement":
    case "TSParameterProperty":
      return true;
    case "Property":
      return node.parent.type === "ObjectPattern" && node.value === child;
    case "AssignmentPattern":
      return node.left === child;
    default:
      return false;
  }
}

function scopeOfVariable(declaration: Deno.lint.VariableDeclaration): Node {
  return declaration.kind === "var"
    ? functionAround(declaration) ?? around(declaration, (n) => !parentOf(n))
    : blockAround(declaration);
}

/** Nodes that limit where a name is visible. */
const blocks = new Set<Node["type"]>([
  "BlockStatement",
  "ForInStatement",
  "ForOfStatement",
  "ForStatement",
  "Program",
  "StaticBlock",
  "SwitchStatement",
  "TSModuleBlock",
]);

function blockAround(node: Node): Node {
  return around(node, ({ type }) => blocks.has(type));
}

/** Returns the innermost node around `node` that meets the test; the program does. */
function around(node: Node, test: (node: Node) => boolean): Node {
  let n = parentOf(node)!;
  while (!test(n)) n = parentOf(n)!;
  return n;
}

/** Returns true if `id` is a value, and not a label, a key or part of a type. */
export function isReference(id: Identifier): boolean {
  const parent = parentOf(id);
  switch (parent?.type) {
    case "MemberExpression":
      return parent.computed || parent.object === id;
    case "Property":
    case "PropertyDefinition":
    case "AccessorProperty":
      return parent.computed || parent.value === id;
    case "MethodDefinition":
      return parent.computed;
    case "ExportSpecifier":
      return parent.local === id;
    case "ImportSpecifier":
    case "ImportAttribute":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
    case "MetaProperty":
      return false;
    case "TSAsExpression":
    case "TSSatisfiesExpression":
    case "TSNonNullExpression":
    case "TSTypeAssertion":
      return true;
    default:
      return !parent?.type.startsWith("TS");
  }
}
