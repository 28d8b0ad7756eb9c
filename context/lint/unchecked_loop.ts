/** The rule `curfew/unchecked-loop`. */

import {
  calledName,
  isCalledWithContext,
  isContextBinding,
} from "./contexts.ts";
import { isEndless, settledOnEveryPath } from "./every_path.ts";
import {
  calleeName,
  classAround,
  functionAround,
  type FunctionNode,
  isFunction,
  isInside,
  type Loop,
  type Node,
  parentOf,
  propertyName,
  statementAround,
} from "./nodes.ts";
import { rule } from "./rule.ts";
import { type Binding, isMentioned, type SourceFile } from "./source_file.ts";

/** Names of functions that wait for a time. */
const timers = /^(?:delay|pause|setTimeout|sleep)$/i;

/** Names of properties that hold a context, or tell of a cancellation. */
const signals = /^(?:aborted|ctx|signal|throwIfAborted)$/;

/**
 * Reports an endless loop that awaits something and uses no context, although one
 * is at hand: it goes on after the context is done. A loop that has another way
 * out is reported only if it waits for a time, as one that polls does.
 */
export const uncheckedLoop: Deno.lint.Rule = rule((file, report) => {
  for (const loop of file.loops()) {
    if (!isEndless(loop) || !awaits(file, loop)) continue;
    if (yields(file, loop) || hasSignal(file, loop)) continue;
    if (hasExit(loop) && !waitsForTime(file, loop)) continue;
    const ctx = contextAt(file, loop);
    if (ctx === undefined || isTied(file, loop, ctx)) continue;
    const { name } = ctx.id;
    report({
      range: [loop.range[0], loop.body.range[0]],
      message: `This loop goes on after \`${name}\` is done`,
      hint:
        `Give \`${name}\` to what it waits for, or loop while \`${name}.err === undefined\`.`,
    });
  }
});

function awaits(file: SourceFile, loop: Loop): boolean {
  const fn = functionAround(loop);
  return file.inside(loop, "AwaitExpression").some((node) =>
    functionAround(node) === fn
  ) || file.inside(loop, "ForOfStatement").some((node) =>
    node.await && functionAround(node) === fn
  );
}

/** Returns true if a jump leaves the loop. */
function hasExit(loop: Loop): boolean {
  return !settledOnEveryPath([loop], {
    settles: () => false,
    settledIf: () => undefined,
  });
}

/** Returns true if the loop yields: its consumer can leave it there. */
function yields(file: SourceFile, loop: Loop): boolean {
  return file.inside(loop, "YieldExpression").length > 0;
}

/** Returns true if the loop looks at a signal that is a property of something. */
function hasSignal(file: SourceFile, loop: Loop): boolean {
  return file.inside(loop, "MemberExpression").some((member) =>
    signals.test(propertyName(member) ?? "")
  );
}

function waitsForTime(file: SourceFile, loop: Loop): boolean {
  return file.inside(loop, "CallExpression").some((call) =>
    timers.test(calleeName(call) ?? "")
  );
}

/** Returns the innermost context that `loop` could use and that may be done one day. */
function contextAt(file: SourceFile, loop: Loop): Binding | undefined {
  return file.bindings().findLast((binding) => {
    const { declaration, id, scope } = binding;
    if (!isInside(loop, scope) || id.range[0] > loop.range[0]) return false;
    if (!isContextBinding(file, binding)) return false;
    if (!isOfSameWork(loop, functionAround(id))) return false;
    return declaration.type !== "VariableDeclarator" ||
      declaration.init === null ||
      !/^(?:background|todo)$/.test(calledName(file, declaration.init) ?? "");
  });
}

/**
 * Returns true if `loop` is in `owner`, or in a closure of it without parameters.
 * A function with parameters may be called by others, with a context of theirs,
 * and the contexts of a module are not for each of its functions to watch.
 */
function isOfSameWork(loop: Loop, owner: FunctionNode | undefined): boolean {
  let fn = functionAround(loop);
  while (owner !== undefined && fn !== owner && fn?.params.length === 0) {
    fn = functionAround(fn);
  }
  return fn === owner;
}

/**
 * Returns true if anything in `loop` may end with a context: a context, a value
 * that meets one in a statement before or after the loop or is made of such a
 * value, or an object that stores one.
 */
function isTied(file: SourceFile, loop: Loop, { scope }: Binding): boolean {
  const contexts = file.bindings().filter((binding) =>
    isContextBinding(file, binding)
  );
  const hasContext = (part: Node): boolean =>
    contexts.some((binding) => isMentioned(binding, part));
  const meetsContext = (node: Node): boolean =>
    hasContext(outermostBeside(node, loop, scope));
  const visited = new Set<Binding>();
  const isTiedBinding = (binding: Binding): boolean => {
    if (visited.has(binding)) return false;
    visited.add(binding);
    const { declaration, id, references } = binding;
    if ([id, ...references].some(meetsContext)) return true;
    if (isFunction(declaration)) return isCalledWithContext(file, declaration);
    return declaration.type === "VariableDeclarator" &&
      declaration.init !== null && mentionsTied(declaration.init);
  };
  const mentionsTied = (part: Node): boolean =>
    file.bindings().some((binding) =>
      isMentioned(binding, part) && isTiedBinding(binding)
    );
  if (hasContext(loop) || mentionsTied(loop)) return true;
  const body = classAround(loop);
  return body !== undefined &&
    file.inside(loop, "ThisExpression").length > 0 &&
    [
      ...file.inside(body, "PropertyDefinition"),
      ...file.inside(body, "ThisExpression").map(statementAround),
    ].some(hasContext);
}

/** Returns the largest part of `scope` that has `node` in it and not the loop. */
function outermostBeside(node: Node, loop: Loop, scope: Node): Node {
  let part = node;
  for (let n = parentOf(node); n !== undefined; n = parentOf(n)) {
    if (isInside(loop, n) || !isInside(n, scope)) break;
    part = n;
  }
  return part;
}
