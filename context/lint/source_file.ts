/**
 * One file under the linter: its nodes, and the declaration that each name
 * refers to. The linter has no scope analysis of its own.
 */

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

/** A declared name and every mention of it. */
export interface Binding {
  /** The name in its declaration. */
  readonly id: Identifier;
  /** The variable declarator, function, class, import or catch clause. */
  readonly declaration: Node;
  /** The node inside which the name is visible. */
  readonly scope: Node;
  /** All mentions but the declaration itself, in no particular order. */
  readonly references: Identifier[];
}

/** A file whose nodes have all been seen. */
export class SourceFile {
  readonly #scopes = new Map<Node, Map<string, Binding>>();
  readonly #bindings: Binding[] = [];
  readonly #byType = new Map<Node["type"], Node[]>();

  /** The absolute path of the file. */
  readonly filename: string;

  readonly #text: string;

  constructor(filename: string, text: string, nodes: readonly Node[]) {
    this.filename = filename;
    this.#text = text;
    const mentions: Identifier[] = [];
    for (const node of nodes) {
      const sameType = this.#byType.get(node.type);
      if (sameType === undefined) this.#byType.set(node.type, [node]);
      else sameType.push(node);
      if (node.type !== "Identifier") continue;
      const place = declarationOf(node);
      if (place !== undefined) this.#declare(node, place);
      else if (isReference(node)) mentions.push(node);
    }
    for (const id of mentions) this.resolve(id)?.references.push(id);
  }

  /** All nodes of one type, in source order. */
  all<T extends Node["type"]>(type: T): Extract<Node, { type: T }>[] {
    return (this.#byType.get(type) ?? []) as Extract<Node, { type: T }>[];
  }

  /** All calls, with or without `new`. */
  calls(): Call[] {
    return [...this.all("CallExpression"), ...this.all("NewExpression")];
  }

  /** All loops. */
  loops(): Loop[] {
    return [
      ...this.all("WhileStatement"),
      ...this.all("DoWhileStatement"),
      ...this.all("ForStatement"),
      ...this.all("ForInStatement"),
      ...this.all("ForOfStatement"),
    ];
  }

  /** All declared names. */
  bindings(): readonly Binding[] {
    return this.#bindings;
  }

  /** All nodes of one type inside `outer`, in source order. */
  inside<T extends Node["type"]>(
    outer: Node,
    type: T,
  ): Extract<Node, { type: T }>[] {
    return this.all(type).filter((node) => isInside(node, outer));
  }

  /** The source between two offsets. */
  slice(start: number, end: number): string {
    return this.#text.slice(start, end);
  }

  /** The source of `node`. */
  text(node: Node): string {
    return this.slice(...node.range);
  }

  /** The white space before the line on which `node` begins. */
  indentation(node: Node): string {
    const start = this.#text.lastIndexOf("\n", node.range[0] - 1) + 1;
    return /^[ \t]*/.exec(this.#text.slice(start))![0];
  }

  /** The binding that `id` refers to or declares; undefined for a global. */
  resolve(id: Identifier): Binding | undefined {
    return this.lookUp(id.name, id);
  }

  /** The binding that `name` refers to at `node`; undefined for a global. */
  lookUp(name: string, node: Node): Binding | undefined {
    let scope: Node | undefined = node;
    for (; scope !== undefined; scope = parentOf(scope)) {
      const binding = this.#scopes.get(scope)?.get(name);
      if (binding !== undefined) return binding;
    }
    return undefined;
  }

  #declare(id: Identifier, { declaration, scope }: Place): void {
    let names = this.#scopes.get(scope);
    if (names === undefined) this.#scopes.set(scope, names = new Map());
    const known = names.get(id.name);
    // The second `var` of one name is a write to the first.
    if (known !== undefined) {
      known.references.push(id);
      return;
    }
    const binding = { id, declaration, scope, references: [] };
    names.set(id.name, binding);
    this.#bindings.push(binding);
  }
}

/** The parent of `node`; undefined for the program. */
export function parentOf(node: Node): Node | undefined {
  return (node as { parent?: Node | null }).parent ?? undefined;
}

/** Returns true if `node` is `outer` or lies inside it. */
export function isInside(node: Node, outer: Node): boolean {
  return outer.range[0] <= node.range[0] && node.range[1] <= outer.range[1];
}

/** The innermost function around `node`; undefined at the top of the module. */
export function functionAround(node: Node): FunctionNode | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (isFunction(n)) return n;
  }
  return undefined;
}

/** The innermost class around `node`. */
export function classAround(node: Node): Node | undefined {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (n.type === "ClassBody") return n;
  }
  return undefined;
}

/**
 * The statement that `node` is part of; for one in the expression that is the
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

/** Returns true if `part` contains the declaration or a mention of `binding`. */
export function isMentioned({ id, references }: Binding, part: Node): boolean {
  return isInside(id, part) ||
    references.some((reference) => isInside(reference, part));
}

/** Returns true for a function with a body. */
export function isFunction(node: Node): node is FunctionNode {
  return node.type === "FunctionDeclaration" ||
    node.type === "FunctionExpression" ||
    node.type === "ArrowFunctionExpression";
}

/** Returns true for a loop of any kind. */
export function isLoop(node: Node): node is Loop {
  return node.type === "WhileStatement" || node.type === "DoWhileStatement" ||
    node.type === "ForStatement" || node.type === "ForInStatement" ||
    node.type === "ForOfStatement";
}

/** The condition of `loop`, or what it runs over; null for `for (;;)`. */
export function headOf(loop: Loop): Node | null {
  return loop.type === "ForInStatement" || loop.type === "ForOfStatement"
    ? loop.right
    : loop.test;
}

/** The node under type assertions, `!` and optional chains. */
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

/** The node that is nothing but `node` under assertions and optional chains. */
export function outermost(node: Node): Node {
  let outer = node;
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (unwrap(n) !== node) break;
    outer = n;
  }
  return outer;
}

/** The last name of what is called: `get` for `client.get(…)`. */
export function calleeName(call: Call): string | undefined {
  const callee = unwrap(call.callee);
  if (callee.type === "Identifier") return callee.name;
  return callee.type === "MemberExpression" ? propertyName(callee) : undefined;
}

/** The name of `object.name`, or of `object["name"]`; undefined otherwise. */
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

/** The function of `file` that `callee` names. */
export function functionCalled(
  file: SourceFile,
  callee: Node,
): FunctionNode | undefined {
  if (isFunction(callee)) return callee;
  const binding = callee.type === "Identifier"
    ? file.resolve(callee)
    : undefined;
  if (binding === undefined) return undefined;
  const { declaration, id } = binding;
  const value = declaration.type === "VariableDeclarator"
    ? declaration.init
    : declaration;
  // The declaration of a parameter is the function that has it.
  if (value === null || !isFunction(value)) return undefined;
  return value === declaration && value.id !== id ? undefined : value;
}

interface Place {
  readonly declaration: Node;
  readonly scope: Node;
}

/** The place at which `id` is declared, if this mention is its declaration. */
function declarationOf(id: Identifier): Place | undefined {
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
      // A name of the function itself is left out: only it sees that name.
      return node.id === child ? undefined : inside(node, node);
    case "FunctionDeclaration":
      return inside(node, node.id === child ? blockAround(node) : node);
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
    ? functionAround(declaration) ?? programOf(declaration)
    : blockAround(declaration);
}

/** The innermost node around `node` that limits where a name is visible. */
function blockAround(node: Node): Node {
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    switch (n.type) {
      case "BlockStatement":
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
      case "SwitchStatement":
      case "StaticBlock":
      case "TSModuleBlock":
      case "Program":
        return n;
    }
  }
  return node;
}

function programOf(node: Node): Node {
  let top = node;
  for (let n: Node | undefined = node; n !== undefined; n = parentOf(n)) {
    top = n;
  }
  return top;
}

/** Returns true if `id` stands for a value: not a label, a key or a name in a type. */
function isReference(id: Identifier): boolean {
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
    case "TSInstantiationExpression":
    case "TSExportAssignment":
      return true;
    case "TSEnumMember":
      return parent.initializer === id;
    default:
      return !parent?.type.startsWith("TS");
  }
}
