/** Kinds of contexts and waits. */

import { Sleeper } from "../sleep.ts";
import type { Node } from "../tree.ts";
import type { Purpose } from "../tree_observer.ts";
import type { Facts } from "./recorder.ts";

/** Kind of work that a context is for; `context` if it is not known. */
export type ContextKind = Purpose | "sleep" | "context";

/** Returns the kind of `node`. */
export function kindOf(node: Node, { work }: Facts): ContextKind {
  if (work !== undefined) return work.purpose;
  return node instanceof Sleeper ? "sleep" : "context";
}
