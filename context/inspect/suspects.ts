/** Contexts that may have been forgotten. */

import { clock, Node } from "../tree.ts";
import { identity } from "./ended_context.ts";
import { callOf } from "./line_of.ts";
import { Forest } from "./live_tree.ts";
import { isWait, type Recorder } from "./recorder.ts";

/** Contexts of one place that have been open for a long time. Plain JSON. */
export interface Suspect {
  /** Name, such as `GET /price`, or the call that made them: `withCancel`. */
  readonly what: string;
  /** Line that created them, if their stacks were sampled. */
  readonly site?: string;
  /** Number of contexts. */
  count: number;
  /** Age of the oldest in ms. */
  oldest: number;
}

/** Contexts of one place that nothing ended. Plain JSON. */
export interface DroppedContexts {
  /** Name, or the call that made them. */
  readonly what: string;
  /** Line that created them, if their stacks were sampled. */
  readonly site?: string;
  /** Number of contexts. */
  readonly count: number;
}

/** Results of `Inspector.suspects`. Plain JSON. */
export interface Suspects {
  /** Open contexts by the place that created them, the most first. */
  readonly open: readonly Suspect[];
  /**
   * Contexts that the garbage collector took before anything ended them, the most
   * first. Counted by trees: those below one that was dropped are not counted.
   */
  readonly dropped: readonly DroppedContexts[];
}

/**
 * Lists the open contexts that are older than `olderThan` ms. Servers, groups, tasks
 * and contexts with others below them are in use, and left out.
 */
export function suspects(recorder: Recorder, olderThan: number): Suspects {
  const forest = new Forest(recorder);
  const now = clock.now();
  const found = new Map<string, Suspect>();
  const nodes = [...forest.roots];
  for (let node; (node = nodes.pop()) !== undefined;) {
    const below = forest.below(node).filter((child) => !isWait(child));
    for (const child of below) nodes.push(child);
    if (below.length > 0 || isWait(node) || Node.isMarked(node)) continue;
    const facts = recorder.factsOf(node);
    const age = facts.since === undefined ? undefined : now - facts.since;
    if (age === undefined || age < olderThan) continue;
    const { kind, label, name, site } = identity(node, facts);
    if (kind === "server" || kind === "group" || kind === "task") continue;
    if (label.startsWith("notifyContext(")) continue;
    const what = name ?? callOf(facts.site) ?? label;
    const key = `${what} ${site}`;
    const suspect = found.get(key);
    if (suspect !== undefined) {
      suspect.count++;
      suspect.oldest = Math.max(suspect.oldest, age);
    } else {
      found.set(key, {
        what,
        ...(site !== undefined && { site }),
        count: 1,
        oldest: age,
      });
    }
  }
  return {
    open: [...found.values()].sort((one, other) =>
      other.count - one.count || other.oldest - one.oldest
    ),
    dropped: recorder.dropped().map(({ call, line, count }) => ({
      what: call,
      ...(line !== undefined && { site: line }),
      count,
    })),
  };
}
