/** A look at the tree. */

import type { Context } from "./context.ts";
import type { ContextError } from "./errors.ts";
import { assertContext, Node, TreeContext } from "./tree.ts";

/** A plain copy of a context and of what is under it. */
export interface Snapshot {
  /** The context's string: the calls that made it. */
  label: string;
  /** Its `err`, where it is done. */
  err?: ContextError;
  /** Its deadline, where it has one. */
  deadline?: Date;
  /**
   * How many `afterFunc` are registered on it, and how many waits by `sleep`,
   * `orDone` and the like are under way.
   */
  afterFuncs: number;
  /** The contexts under it that are not done, in the order they were made. */
  children: Snapshot[];
}

/**
 * Copies the tree from `ctx` down, to be looked at, logged or compared. A context
 * that is done is in no tree, nor does it have one any more.
 *
 * Contexts of `withValue` are no nodes of the tree: the snapshot of one is that
 * of the context it is based on, and its children are that one's. Of a context
 * that is not of this package only its own state is known. A root has nothing
 * registered on it, so its snapshot has no children.
 *
 * @param ctx Where to begin.
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
    const { children, watches } = Node.registry(node);
    copy.afterFuncs = watches.length;
    for (const child of children) {
      const label = TreeContext.describe(child, node, copy.label);
      const childCopy = copyOf(child, label);
      // The look at its err may just have found that its time is over.
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
