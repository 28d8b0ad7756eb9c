/**
 * The tree as it is now.
 *
 * A context appears under the nearest context that it was made from, whether or not
 * it ends with it: a request under its server, a server that drains under the
 * context whose end began the drain. A context that has ended appears only if
 * something open was made from it.
 */

import type { Context } from "../context.ts";
import { Sleeper } from "../sleep.ts";
import {
  causeOf,
  clock,
  label,
  Node,
  parent as parentOf,
  TreeContext,
  ValueContext,
} from "../tree.ts";
import { causesOf, identity } from "./ended_context.ts";
import { type ContextKind, kindOf } from "./kind.ts";
import { callOf } from "./line_of.ts";
import { type Facts, isTimer, isWait, type Recorder } from "./recorder.ts";

/** A context or a sleep that is open. Plain JSON. */
export interface LiveContext {
  /** Number of the context within its inspector. */
  readonly id: number;
  /** The call that made it: `withCancel`; `withDeadline` for `withTimeout` too. */
  readonly label: string;
  /** Kind of work that it is for. */
  readonly kind: ContextKind;
  /** Name of its work: `serveHttp 127.0.0.1:8000`, `GET /price`. */
  readonly name?: string;
  /** Age in ms; not known if it is older than the inspector. */
  readonly age?: number;
  /** Time until its deadline in ms, if it has one. */
  readonly left?: number;
  /** Line that created it, if its stack was sampled. */
  readonly site?: string;
  /** Names of the keys of the values that it has beyond those of its parent. */
  readonly values: readonly string[];
  /**
   * Causes of its end, the nearest first, if something made from it is still open. A
   * server with this is draining.
   */
  readonly ended?: readonly string[];
  /** Number of `afterFunc`s and waits on it, sleeps aside. */
  waits: number;
  /** The open contexts that were made from it, the oldest first. */
  readonly children: LiveContext[];
  /** Children that are left out, if there are too many. */
  more?: MoreContexts[];
}

/** Contexts of one place that a tree leaves out. */
export interface MoreContexts {
  /** Name, or label and line. */
  readonly what: string;
  /** Number of contexts. */
  count: number;
  /** Age of the oldest in ms. */
  oldest: number;
}

/** The open contexts of the process. Plain JSON. */
export interface LiveTree {
  /** Number of open contexts and sleeps. */
  open: number;
  /** The same by kind. */
  readonly kinds: { [kind in ContextKind]?: number };
  /** The contexts that were made from none that can end, the oldest first. */
  readonly children: LiveContext[];
  /** Those that are left out, if there are too many. */
  more?: MoreContexts[];
}

/** Bounds of a tree. */
export interface TreeLimits {
  /** Maximum number of children of one context. */
  readonly children: number;
  /** Maximum number of contexts. */
  readonly contexts: number;
  /** Maximum depth. */
  readonly depth: number;
}

/** Number of groups of contexts that are named where others are left out. */
const maxMore = 10;

/** A place in the tree where nodes are added. */
interface Place {
  readonly children: LiveContext[];
  more?: MoreContexts[];
}

/** A node to visit. */
interface Visit {
  readonly node: Node;
  /** The place that it goes to; undefined below something left out. */
  readonly place: Place | undefined;
  readonly depth: number;
}

/** Builds the tree within `limits`. */
export function liveTree(recorder: Recorder, limits: TreeLimits): LiveTree {
  return new TreeBuilder(recorder, limits).build();
}

class TreeBuilder {
  readonly #recorder: Recorder;
  readonly #limits: TreeLimits;
  readonly #now = clock.now();
  readonly #tree: LiveTree = { open: 0, kinds: {}, children: [] };
  /** The entry of each work: its contexts share it. */
  readonly #works = new Map<() => string, LiveContext>();
  readonly #more = new Map<Place, Map<string, MoreContexts>>();
  #listed = 0;

  constructor(recorder: Recorder, limits: TreeLimits) {
    this.#recorder = recorder;
    this.#limits = limits;
  }

  build(): LiveTree {
    const forest = new Forest(this.#recorder);
    const visits: Visit[] = forest.roots.map((node) => ({
      node,
      place: this.#tree,
      depth: 0,
    }));
    // Level by level, so that a limit leaves out what is deepest.
    for (let i = 0; i < visits.length; i++) {
      const { node, place, depth } = visits[i]!;
      const entry = this.#enter(node, place, depth);
      for (const child of forest.below(node)) {
        if (!isWait(child) || child instanceof Sleeper) {
          visits.push({ node: child, place: entry, depth: depth + 1 });
        } else if (entry !== undefined) entry.waits++;
      }
    }
    for (const [place, groups] of this.#more) {
      place.more = [...groups.values()]
        .sort((one, other) => other.count - one.count);
    }
    return this.#tree;
  }

  /** Counts and lists a node. Returns its entry; undefined if it is left out. */
  #enter(
    node: Node,
    place: Place | undefined,
    depth: number,
  ): LiveContext | undefined {
    const facts = this.#recorder.factsOf(node);
    const { work } = facts;
    const known = work && this.#works.get(work.describe);
    if (known !== undefined) return known;
    const kind = kindOf(node, facts);
    if (!Node.isMarked(node)) {
      this.#tree.open++;
      this.#tree.kinds[kind] = (this.#tree.kinds[kind] ?? 0) + 1;
    }
    if (place === undefined) return undefined;
    const { children, contexts, depth: maxDepth } = this.#limits;
    if (
      place.children.length >= children || this.#listed >= contexts ||
      depth >= maxDepth
    ) {
      this.#leaveOut(node, facts, place);
      return undefined;
    }
    const entry = liveContext(node, facts, this.#now);
    this.#listed++;
    place.children.push(entry);
    if (work !== undefined) this.#works.set(work.describe, entry);
    return entry;
  }

  #leaveOut(node: Node, facts: Facts, place: Place): void {
    let groups = this.#more.get(place);
    if (groups === undefined) this.#more.set(place, groups = new Map());
    const { label: call, name, site } = identity(node, facts);
    const what = name ??
      (site === undefined ? call : `${callOf(facts.site)} at ${site}`);
    const age = this.#now - (facts.since ?? this.#now);
    const key = groups.has(what) || groups.size < maxMore ? what : "others";
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { what: key, count: 1, oldest: age });
    } else {
      group.count++;
      group.oldest = Math.max(group.oldest, age);
    }
  }
}

function liveContext(node: Node, facts: Facts, now: number): LiveContext {
  const { work, since } = facts;
  const due = Node.due(node) - now;
  const left = Number.isFinite(due) && !Node.isMarked(node)
    ? Math.max(0, due)
    : undefined;
  const ended = Node.isMarked(node)
    ? whyEnded(node)
    : work?.ending && causesOf(work.ending.cause);
  return {
    ...identity(node, facts),
    ...(node instanceof Sleeper && { name: sleepName(left) }),
    ...(since !== undefined && { age: now - since }),
    ...(left !== undefined && { left }),
    values: valueNames(node),
    ...(ended !== undefined && { ended }),
    waits: 0,
    children: [],
  };
}

function sleepName(left: number | undefined): string {
  if (left === undefined) return "sleep until its context is done";
  return `sleep ${Math.ceil(left).toLocaleString("en-US")} ms left`;
}

function whyEnded(node: Node): string[] {
  return causesOf(causeOf(node));
}

/** Names of the values between `node` and the node it was made from. */
function valueNames(node: Node): string[] {
  const names: string[] = [];
  for (let at = above(node); at !== undefined; at = above(at)) {
    if (at instanceof Node) break;
    if (at instanceof ValueContext) names.push(at[label].slice(10, -1));
  }
  return names.reverse();
}

function above(ctx: Context): Context | undefined {
  return ctx instanceof TreeContext ? ctx[parentOf] : undefined;
}

/** The node that `node` was made from, through whatever does not pass on its end. */
function origin(node: Node): Node | undefined {
  let at = above(node);
  while (at !== undefined && !(at instanceof Node)) at = above(at);
  return at;
}

/** All trees of the process, each joined to the one that it was made from. */
export class Forest {
  /** The nodes that were made from no other node, the oldest first. */
  readonly roots: Node[] = [];
  /** Tops of trees, and nodes that have ended, by the node they were made from. */
  readonly #attached = new Map<Node, Node[]>();
  readonly #seen = new Set<Node>();
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
    for (const top of recorder.tops()) {
      let at: Node | undefined = top;
      while (at !== undefined) at = this.#attach(at);
    }
    const id = (node: Node) => recorder.factsOf(node).id;
    const isOld = (node: Node) => recorder.factsOf(node).since === undefined;
    this.roots.sort((one, other) =>
      Number(isOld(other)) - Number(isOld(one)) || id(one) - id(other)
    );
  }

  /** The open nodes that were made from `node`, the oldest first. */
  below(node: Node): Node[] {
    const attached = this.#attached.get(node);
    const below = Node.below(node);
    return attached === undefined ? below : [...below, ...attached];
  }

  /**
   * Attaches `node`, which no list holds, to its origin. Returns the next node up
   * that has to be attached.
   */
  #attach(node: Node): Node | undefined {
    if (this.#seen.has(node) || isTimer(this.#recorder.factsOf(node))) {
      return undefined;
    }
    this.#seen.add(node);
    const from = origin(node);
    if (from === undefined) {
      this.roots.push(node);
      return undefined;
    }
    const siblings = this.#attached.get(from);
    if (siblings === undefined) this.#attached.set(from, [node]);
    else siblings.push(node);
    // An open one is in the list of its base, and so is that, up to the top.
    let top = from;
    for (
      let at: Node | undefined = from;
      at !== undefined && !Node.isMarked(at);
      at = Node.base(at)
    ) top = at;
    return top;
  }
}
