/**
 * Records what the tree's hook tells.
 *
 * Invariants:
 *
 * 1. The recorder holds no open context for long. A node below another is held by
 *    that one; only the tops of trees are held here, strongly for at most
 *    {@linkcode youth} and through a WeakRef from then on. A WeakRef from the start
 *    would cost more than the context, and keep it alive until the turn is over.
 * 2. A context that has ended, or that an event is about, is held for at most
 *    {@linkcode youth}. After that, only its description is.
 * 3. Everything that is kept about contexts that have gone is bounded.
 * 4. The hook's methods call no user code. Names and labels are read later.
 */

import type { Context } from "../context.ts";
import {
  type CapturedStack,
  captureStack,
  type CreationSite,
  creationSite,
} from "../creation_site.ts";
import type { Ending } from "../ending.ts";
import { Sleeper } from "../sleep.ts";
import { clock, Node } from "../tree.ts";
import {
  observeTree,
  type Purpose,
  type TreeObserver,
} from "../tree_observer.ts";
import {
  type EndedContext,
  endedContext,
  labelOf,
  nameOf,
} from "./ended_context.ts";
import type { EventQueue } from "./event_queue.ts";
import { callOf, lineOf } from "./line_of.ts";
import { Ring } from "./ring.ts";
import { newStamps } from "./stamps.ts";
import { unrefTimeout } from "./unref_timeout.ts";

/** Time in ms for which short-lived contexts are held strongly. */
const youth = 1_000;
/** Number of young tops from which on they age early. */
const maxYoung = 1_000;
/** Maximum number of places whose dropped contexts are counted. */
const maxPlaces = 1_000;

/** Work that one or more contexts are for. */
export interface Work {
  /** Number of the first of its contexts, so that it stays the same. */
  readonly id: number;
  readonly purpose: Purpose;
  readonly describe: () => string;
  /** End of the first of its contexts: a server begins to drain. */
  ending: Ending | undefined;
}

/** A call whose stack may have been sampled. */
class Call {
  #stack: CapturedStack | undefined;
  #site: CreationSite | undefined;

  constructor(stack: CapturedStack | undefined) {
    this.#stack = stack;
  }

  get isSampled(): boolean {
    return this.#stack !== undefined || this.#site !== undefined;
  }

  /** Found when it is first read, which takes longer than to capture a stack. */
  get site(): CreationSite | undefined {
    if (this.#stack !== undefined) this.#site = creationSite(this.#stack);
    this.#stack = undefined;
    return this.#site;
  }
}

/** Facts about a node. */
export class Facts extends Call {
  readonly id: number;
  /** Time of its creation, in ms of the clock; undefined if it is older. */
  readonly since: number | undefined;
  work: Work | undefined;

  constructor(id: number, since?: number, stack?: CapturedStack) {
    super(stack);
    this.id = id;
    this.since = since;
  }
}

/** An end, with what is needed to put it into words. */
export interface RecordedEnd {
  readonly node: Node;
  readonly facts: Facts;
  readonly ending: Ending;
  /** Wall time in ms. */
  readonly at: number;
  /** Age of the context in ms, if it is known. */
  readonly age: number | undefined;
  /** Call that ended it, if its stack was sampled. */
  readonly by: Call | undefined;
  /** Number of contexts below that ended with it and have no entry. */
  others: number;
}

/** Contexts of one place that were dropped without being ended. */
export interface Dropped {
  readonly call: string;
  readonly line: string | undefined;
  count: number;
}

/** A node that was dropped: what is left of it. */
interface Remains {
  readonly id: number;
  readonly call: string;
  readonly line: string | undefined;
}

/** Settings of a {@linkcode Recorder}. */
export interface RecorderOptions {
  /** Share of the contexts whose stacks are kept, from 0 to 1. */
  readonly sampling: number;
  /** Number of ended contexts that are kept. */
  readonly recent: number;
}

/** Follows the tree until it is disposed of. */
export class Recorder implements TreeObserver, Disposable {
  readonly #sampling: number;
  readonly #observing: Disposable;
  readonly #facts = newStamps<Node, Facts>();
  readonly #works = new WeakMap<() => string, Work>();
  /** Tops of trees that were created lately (invariant 1). */
  readonly #young = new Set<Node>();
  /** The other tops that are open, or were when they were collected, by id. */
  readonly #tops = new Map<number, WeakRef<Node>>();
  readonly #dropped = new Map<string, Dropped>();
  readonly #registry = new FinalizationRegistry<Remains>((remains) =>
    this.#collected(remains)
  );
  /** Ends for a reason, and ends of blocks, which would push those out. */
  readonly #reasoned: Ring<RecordedEnd | EndedContext>;
  readonly #plain: Ring<RecordedEnd | EndedContext>;
  /** The latest entry, to which other ends of its cancellation are added. */
  #latest: RecordedEnd | undefined;
  /**
   * The latest node, its facts, and the latest base, which save look-ups. Cleared
   * with what is young.
   */
  #newest: Node | undefined;
  #newestFacts: Facts | undefined;
  #latestBase: Node | undefined;
  readonly #queues = new Set<EventQueue>();
  #ids = 0;
  #stopTimer: (() => void) | undefined;
  #isDisposed = false;

  constructor({ sampling, recent }: RecorderOptions) {
    this.#sampling = sampling;
    this.#reasoned = new Ring(Math.ceil(recent / 2));
    this.#plain = new Ring(Math.floor(recent / 2));
    this.#observing = observeTree(this);
  }

  created(node: Node): void {
    const base = Node.base(node);
    if (base !== undefined && base !== this.#latestBase) {
      this.#latestBase = base;
      this.#startTimer();
      if (!this.#facts.has(base)) this.#adopt(base);
    }
    // Found through the node it waits on, and of no interest once it is over.
    if (isWait(node)) {
      if (base === undefined && node instanceof Sleeper) this.#addTop(node);
      return;
    }
    const isSampled = this.#sampling > 0 &&
      (this.#sampling === 1 || Math.random() < this.#sampling);
    const stack = isSampled ? captureStack() : undefined;
    const facts = new Facts(this.#ids++, clock.now(), stack);
    this.#facts.set(node, facts);
    this.#newest = node;
    this.#newestFacts = facts;
    if (base === undefined && !Node.isMarked(node)) this.#addTop(node);
    for (const queue of this.#queues) queue.push({ node, facts });
  }

  ended(node: Node, ending: Ending): void {
    if (this.#young.size > 0) this.#young.delete(node);
    const facts = node === this.#newest
      ? this.#newestFacts
      : this.#facts.get(node);
    if (facts === undefined) return;
    if (this.#tops.size > 0) this.#tops.delete(facts.id);
    if (node instanceof Sleeper) return;
    const { work } = facts;
    if (isTimer(facts)) return;
    if (work !== undefined) {
      // The contexts of a server end one after the other: the first one counts.
      if (work.ending !== undefined) return;
      work.ending = ending;
    }
    const latest = this.#latest;
    if (latest?.ending === ending && work === undefined) {
      latest.others++;
      return;
    }
    const isSampled = facts.isSampled && latest?.ending !== ending;
    const end: RecordedEnd = {
      node,
      facts,
      ending,
      at: Date.now(),
      age: facts.since === undefined ? undefined : clock.now() - facts.since,
      by: isSampled ? new Call(captureStack()) : undefined,
      others: 0,
    };
    this.#latest = end;
    (ending.isPlain ? this.#plain : this.#reasoned).push(end);
    for (const queue of this.#queues) queue.push(end);
    if (this.#stopTimer === undefined) this.#startTimer();
  }

  described(ctx: Context, purpose: Purpose, describe: () => string): void {
    const node = Node.nearest(ctx);
    if (node === undefined) return;
    const facts = node === this.#newest
      ? this.#newestFacts!
      : this.factsOf(node);
    if (purpose !== "server") {
      facts.work = { id: facts.id, purpose, describe, ending: undefined };
      return;
    }
    let work = this.#works.get(describe);
    if (work === undefined) {
      work = { id: facts.id, purpose, describe, ending: undefined };
      this.#works.set(describe, work);
    }
    facts.work = work;
  }

  /** The facts about `node`, also if it is older than the recorder. */
  factsOf(node: Node): Facts {
    let facts = this.#facts.get(node);
    if (facts === undefined) {
      facts = new Facts(this.#ids++);
      this.#facts.set(node, facts);
    }
    return facts;
  }

  /** The tops of all trees that are known and open, the oldest first. */
  tops(): Node[] {
    // Contexts that nobody watches end when they are looked at.
    Node.expire();
    this.#age();
    const tops: Node[] = [];
    for (const ref of this.#tops.values()) {
      const node = ref.deref();
      // The finalizer has not run yet: it counts what is still listed.
      if (node !== undefined) tops.push(node);
    }
    return tops;
  }

  /** The contexts that ended lately, the latest first. */
  recent(): EndedContext[] {
    Node.expire();
    this.#age();
    const ends = [...this.#reasoned, ...this.#plain] as EndedContext[];
    return ends.sort((one, other) =>
      other.endedAt - one.endedAt || other.id - one.id
    );
  }

  /** Contexts that were collected without being ended, the most first. */
  dropped(): Dropped[] {
    return [...this.#dropped.values()].sort((one, other) =>
      other.count - one.count
    );
  }

  /** Sends events to `queue` until the result is called. */
  subscribe(queue: EventQueue): () => void {
    if (this.#isDisposed) queue.close();
    this.#queues.add(queue);
    return () => this.#queues.delete(queue);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#observing[Symbol.dispose]();
    this.#stopTimer?.();
    for (const queue of this.#queues) queue.close();
  }

  /** Makes the tree of a node known that is older than the recorder. */
  #adopt(node: Node): void {
    let top = node;
    for (
      let at: Node | undefined = node;
      at !== undefined;
      at = Node.base(at)
    ) {
      if (this.#facts.has(at)) return;
      this.factsOf(at);
      top = at;
    }
    if (!Node.isMarked(top)) this.#addTop(top);
  }

  #addTop(node: Node): void {
    this.#young.add(node);
    if (this.#young.size >= maxYoung) this.#ageTops();
    this.#startTimer();
  }

  #startTimer(): void {
    this.#stopTimer ??= unrefTimeout(() => {
      this.#stopTimer = undefined;
      this.#age();
    }, youth);
  }

  /** Invariants 1 and 2. */
  #age(): void {
    this.#ageTops();
    this.#reasoned.map(inWords);
    this.#plain.map(inWords);
    for (const queue of this.#queues) queue.age();
    this.#latest = undefined;
    this.#latestBase = this.#newest = this.#newestFacts = undefined;
  }

  #ageTops(): void {
    for (const node of this.#young) {
      const facts = this.factsOf(node);
      const { id, site } = facts;
      this.#tops.set(id, new WeakRef(node));
      const call = callOf(site) ?? nameOf(facts) ?? labelOf(node);
      this.#registry.register(node, { id, call, line: lineOf(site) });
    }
    this.#young.clear();
  }

  #collected({ id, call, line }: Remains): void {
    // One that has ended is no loss.
    if (!this.#tops.delete(id)) return;
    const key = `${call} ${line}`;
    const dropped = this.#dropped.get(key);
    if (dropped !== undefined) dropped.count++;
    else if (this.#dropped.size < maxPlaces) {
      this.#dropped.set(key, { call, line, count: 1 });
    }
  }
}

/** True for the timer of a server, which is not shown. */
export function isTimer({ work }: Facts): boolean {
  return work?.purpose === "timer";
}

/**
 * True for a leaf: an `afterFunc`, a `sleep`. By its class, since `Node.isWait` is
 * false until the leaf waits, which is after `created`.
 */
export function isWait(node: Node): boolean {
  return "notify" in node;
}

function inWords(end: RecordedEnd | EndedContext): EndedContext {
  return "node" in end ? endedContext(end) : end;
}
