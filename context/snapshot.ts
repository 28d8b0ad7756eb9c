/** A copy of the tree. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import type { ContextError } from "./errors.ts";
import { Node, TreeContext } from "./tree.ts";

/** A plain copy of a context and of everything below it. */
export interface Snapshot {
  /** String of the context: the calls that made it. */
  label: string;
  /** Its `err`, if it is done. */
  err?: ContextError;
  /** Its deadline, if it has one. */
  deadline?: Date;
  /**
   * Number of registered `afterFunc`s and of pending waits: `sleep`, `orDone` and
   * the like.
   */
  afterFuncs: number;
  /** The open contexts below it, in order of creation. */
  children: Snapshot[];
}

/**
 * Copies the tree below `ctx`, to print or compare it. A context that is done is in
 * no tree and has none.
 *
 * A context of `withValue` is not a node of the tree: its snapshot is that of the
 * context it is based on. For a context that is not of this package, only its own
 * state is known. Nothing is ever registered on a root, so its snapshot has no
 * children.
 *
 * @param ctx The top of the copy.
 * @returns A copy that shares nothing with the tree.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example
 * ```ts
 * import { background, snapshot, withCancel, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * using ctx = withCancel(background());
 * using _step = withTimeout(ctx, 1000);
 * assertEquals(snapshot(ctx).children.length, 1);
 * ```
 */
export function snapshot(ctx: Context): Snapshot {
  assertContext("snapshot", ctx);
  const node = Node.nearest(ctx);
  if (node === undefined) return copyOf(ctx, TreeContext.describe(ctx));
  const top = copyOf(node, TreeContext.describe(node));
  const open: [Node, Snapshot][] = [[node, top]];
  for (let next; (next = open.pop()) !== undefined;) {
    const [node, copy] = next;
    const { children, leaves } = Node.registry(node);
    copy.afterFuncs = leaves;
    for (const child of children) {
      const label = TreeContext.describe(child, node, copy.label);
      const childCopy = copyOf(child, label);
      // Reading its err may have just ended it.
      if (childCopy.err !== undefined) continue;
      copy.children.push(childCopy);
      open.push([child, childCopy]);
    }
  }
  return top;
}

function copyOf(ctx: Context, label: string): Snapshot {
  const { err, deadline } = ctx;
  return {
    label,
    ...(err && { err }),
    ...(deadline && { deadline }),
    afterFuncs: 0,
    children: [],
  };
}
