/**
 * One file under the linter: its nodes, and the declaration that each name
 * refers to. The linter has no scope analysis of its own.
 */

import { declarationOf, isReference, type Place } from "./declarations.ts";
import {
  type Call,
  type FunctionNode,
  type Identifier,
  isFunction,
  isInside,
  type Loop,
  type Node,
  parentOf,
} from "./nodes.ts";

/** A declared name and every mention of it. */
export interface Binding extends Place {
  /** The name in its declaration. */
  readonly id: Identifier;
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

  /** Returns all nodes of one type, in source order. */
  all<T extends Node["type"]>(type: T): Extract<Node, { type: T }>[] {
    return (this.#byType.get(type) ?? []) as Extract<Node, { type: T }>[];
  }

  /** Returns all calls, with or without `new`. */
  calls(): Call[] {
    return [...this.all("CallExpression"), ...this.all("NewExpression")];
  }

  /** Returns all loops, by type. */
  loops(): Loop[] {
    return [
      ...this.all("WhileStatement"),
      ...this.all("DoWhileStatement"),
      ...this.all("ForStatement"),
      ...this.all("ForInStatement"),
      ...this.all("ForOfStatement"),
    ];
  }

  /** Returns all declared names. */
  bindings(): readonly Binding[] {
    return this.#bindings;
  }

  /** Returns all nodes of one type inside `outer`, in source order. */
  inside<T extends Node["type"]>(
    outer: Node,
    type: T,
  ): Extract<Node, { type: T }>[] {
    return this.all(type).filter((node) => isInside(node, outer));
  }

  /** Returns the source between two offsets. */
  slice(start: number, end: number): string {
    return this.#text.slice(start, end);
  }

  /** Returns the source of `node`. */
  text(node: Node): string {
    return this.slice(...node.range);
  }

  /** Returns the white space before the line on which `node` begins. */
  indentation(node: Node): string {
    const start = this.#text.lastIndexOf("\n", node.range[0] - 1) + 1;
    return /^[ \t]*/.exec(this.#text.slice(start))![0];
  }

  /** Returns the binding that `id` refers to or declares; undefined for a global. */
  resolve(id: Identifier): Binding | undefined {
    return this.lookUp(id.name, id);
  }

  /** Returns the binding that `name` refers to at `node`; undefined for a global. */
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

/** Returns true if `part` contains the declaration or a mention of `binding`. */
export function isMentioned({ id, references }: Binding, part: Node): boolean {
  return isInside(id, part) ||
    references.some((reference) => isInside(reference, part));
}

/** Returns the function of `file` that `callee` names. */
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
