/** Tests that fail if they leave contexts, waits or servers behind. */

import { assertFunction } from "../assert_function.ts";
import { Node } from "../tree.ts";
import type { Purpose } from "../tree_observer.ts";
import { callOf, type OpenNode, OpenNodes } from "./open_nodes.ts";
import { turn } from "./turn.ts";

/**
 * Runs `f`, and fails if it leaves something behind that this package holds on to:
 * a context that was not ended and whose parent or deadline still refers to it, a
 * `sleep`, an `afterFunc` or another wait that is pending, or a server or a task of
 * a group that runs. The message names the call and the line that created each. Run
 * nothing else meanwhile: what other code creates counts as well.
 *
 * A context that nothing refers to any longer is not a leak. For a child of
 * a root without a deadline, only the garbage collector can tell: with
 * `--v8-flags=--expose-gc` it counts unless it is collected; without the flag it
 * does not count.
 *
 * @typeParam T The type of the result of `f`.
 * @param f The test, asynchronous or not.
 * @returns A promise with the result of `f`. It rejects with what `f` throws, or
 * else with an Error that lists the leaks.
 * @throws {TypeError} If `f` is not a function.
 *
 * @example
 * ```ts
 * import { background, withTimeout } from "@curfew/context";
 * import { assertNoLeaks } from "@curfew/context/testing";
 * import { assertRejects } from "@std/assert";
 *
 * await assertNoLeaks(() => {
 *   using ctx = withTimeout(background(), 60_000);
 *   console.log(ctx.err); // undefined
 * });
 *
 * await assertRejects(
 *   () => assertNoLeaks(() => void withTimeout(background(), 60_000)),
 *   Error,
 *   "withTimeout",
 * );
 * ```
 */
export async function assertNoLeaks<T>(f: () => T | Promise<T>): Promise<T> {
  assertFunction("assertNoLeaks", f);
  const nodes = new OpenNodes();
  try {
    const result = await f();
    const leaks = await leaksIn(nodes);
    if (leaks.length > 0) throw new Error(report(leaks, nodes));
    return result;
  } finally {
    nodes[Symbol.dispose]();
  }
}

async function leaksIn(nodes: OpenNodes): Promise<OpenNode[]> {
  // A context that has just ended releases what it holds within a turn.
  await turn();
  await turn();
  const { gc } = globalThis as { gc?: () => void };
  if (gc !== undefined) {
    // Lets go of the stacks. A WeakRef that was read keeps its target for a turn.
    nodes.open();
    await turn();
    gc();
  }
  const open = nodes.open();
  const held = open.filter(({ node }) =>
    gc !== undefined || Node.isHeld(node) || isRunning(nodes.purposeOf(node))
  );
  return topmost(held);
}

/** Reports whether something other than the tree holds contexts of `purpose`. */
function isRunning(purpose: Purpose | undefined): boolean {
  return purpose === "server" || purpose === "task";
}

/** Leaves out what is below another leak, or was created by the same call. */
function topmost(leaks: OpenNode[]): OpenNode[] {
  const all = new Set(leaks.map(({ node }) => node));
  const seen = new Set<string>();
  return leaks.filter(({ node, site }) => {
    const isBelow = Node.lineage(node).some((above) =>
      above !== node && all.has(above as Node)
    );
    const key = `${site.call} ${site.line}`;
    if (isBelow || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function report(leaks: readonly OpenNode[], nodes: OpenNodes): string {
  const lines = leaks.map((leak) => {
    const name = nodes.describe(leak.node) ?? callOf(leak);
    return `  ${name} at ${leak.site.line}`;
  });
  return `assertNoLeaks: left behind:\n${lines.join("\n")}`;
}
