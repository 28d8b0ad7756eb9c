/**
 * The tree: what the contexts of this package are made of.
 *
 * A {@linkcode NeverDone} cannot end, so nothing is ever registered on one. A
 * {@linkcode Node} can end; until then it is in the list of the node above it. A
 * {@linkcode ValueContext} adds one value and leaves everything else to the context
 * it is based on; it is in no list. A {@linkcode Leaf} is a node without
 * descendants, for something that waits: an `afterFunc`, a `sleep`.
 *
 * Invariants:
 *
 * 1. A cancellation has two phases. Marking sets `#ending` on every node of a
 *    subtree and takes it out of all lists; it calls no user code. Notifying then
 *    calls the subscribers of what was marked, ancestors first.
 * 2. Notifying is a loop over a list of its own. A subscriber may cancel, derive,
 *    look at or dispose of any other context: that marks and notifies a list of
 *    its own before it returns, and then the outer loop goes on. The stack grows
 *    with how deeply subscribers call each other, never with the number of nodes.
 * 3. Everything that ends together is marked together: all deadlines that are due,
 *    all nodes that are joined to one foreign signal.
 * 4. Reading a node, a look, refreshes it: contexts above that have come due or
 *    whose signal was aborted are marked first, so `err` and `signal` never disagree.
 *    Looks that nest deeper than {@linkcode deepestLook} leave it to the loop that
 *    called them to notify.
 * 5. An exception stops no other subscriber. It is reported like the exception of
 *    an event listener. A stack that is nearly full throws before anything is
 *    marked.
 * 6. One {@linkcode Ending}, and so one error object, belongs to one cancellation.
 *    It is created with it; the error when it is first read.
 * 7. A node that was marked is referenced by no other node.
 *
 * Nothing here recurses, and what costs something (a signal, a promise, an error
 * with its stack) is created when it is first asked for.
 */

import type { CancelableContext, Context } from "./context.ts";
import type { Clock } from "./clock.ts";
import { nowhere } from "./deadline_heap.ts";
import { DeadlineQueue } from "./deadline_queue.ts";
import { Ending } from "./ending.ts";
import type { ContextError } from "./errors.ts";
import { assertKey, createKey, type Key } from "./key.ts";
import { Observers, type Subscriber } from "./observers.ts";
import { observer } from "./tree_observer.ts";

/** The platform's: that of a test clock may run nothing until the clock ticks. */
const { queueMicrotask } = globalThis;

// The hooks of the classes below. Symbols, so that no completion offers them.

/** The context that another was made from. */
export const parent: unique symbol = Symbol("parent");
/** The call that made a context. */
export const label: unique symbol = Symbol("label");
/** The value of a {@linkcode ValueContext}. */
export const read: unique symbol = Symbol("read");
/** The way in which a {@linkcode DeadlineNode} ends by its deadline. */
export const expiry: unique symbol = Symbol("expiry");
/** The end of a {@linkcode GraceNode} as far as it is known, in ms. */
export const graceEnd: unique symbol = Symbol("graceEnd");

/** A context of this package, which reads as the calls that made it. */
export abstract class TreeContext implements Context {
  abstract readonly signal: AbortSignal;
  abstract readonly done: Promise<void>;
  abstract readonly err: ContextError | undefined;
  abstract readonly deadline: Date | undefined;
  abstract value<T>(key: Key<T>): T | undefined;

  abstract get [parent](): Context | undefined;
  abstract get [label](): string;

  /** The calls that made the context, from the root on. */
  toString(): string {
    return TreeContext.describe(this);
  }

  /**
   * The string of `ctx`, given that of `top` above it as `prefix`. Without it, a
   * walk down a deep tree would take time quadratic in its depth.
   */
  static describe(ctx: Context, top?: Context, prefix = ""): string {
    const calls: string[] = [];
    let at: Context | undefined = ctx;
    for (; at instanceof TreeContext && at !== top; at = at[parent]) {
      calls.push(at[label]);
    }
    if (at !== undefined) calls.push(at === top ? prefix : nameOf(at));
    // Not join(), which copies: the strings of a deep tree share their prefixes.
    return calls.reduceRight((text, call) => `${text}.${call}`);
  }

  /** The string that `console.log` prints in Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** The string that `console.log` prints in Node. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** The string of a foreign context if it has one, else the name of its class. */
function nameOf(ctx: Context): string {
  // An object without a prototype has neither.
  const { toString = Object.prototype.toString, constructor = Object } = ctx;
  if (toString !== Object.prototype.toString) return String(ctx);
  const { name } = constructor;
  return name === "Object" ? "Context" : name;
}

/** A root, or the result of `withoutCancel`: nothing can end it. */
export class NeverDone extends TreeContext {
  readonly #label: string;
  readonly #parent: Context | undefined;
  readonly #scope: ValueContext | undefined;
  #signal: AbortSignal | undefined;

  constructor(label: string, parent?: Context) {
    super();
    this.#label = label;
    this.#parent = parent;
    this.#scope = parent && scopeOf(parent);
  }

  get signal(): AbortSignal {
    return this.#signal ??= new AbortController().signal;
  }

  // A new promise each time: one that is shared and never settles would keep every
  // reaction that was ever added to it for the life of the process.
  get done(): Promise<void> {
    return new Promise(() => {});
  }

  get err(): undefined {
    return undefined;
  }

  get deadline(): undefined {
    return undefined;
  }

  value<T>(key: Key<T>): T | undefined {
    // Hides the nodes above from descendants.
    return key === nodeKey as Key<unknown>
      ? undefined
      : ValueContext.lookUp(this.#scope, key);
  }

  static scope(ctx: NeverDone): ValueContext | undefined {
    return ctx.#scope;
  }

  get [parent](): Context | undefined {
    return this.#parent;
  }

  get [label](): string {
    return this.#label;
  }
}

/** A context with one value more than the context it is based on. */
export class ValueContext extends TreeContext {
  readonly #key: unknown;
  readonly #value: unknown;
  /** The next value above, whatever nodes are in between. */
  readonly #outer: ValueContext | undefined;
  /** The nearest context above that is not a ValueContext. */
  readonly #base: Context;

  constructor(parent: Context, key: unknown, value: unknown) {
    super();
    this.#key = key;
    this.#value = value;
    this.#outer = key === foreign ? undefined : scopeOf(parent);
    this.#base = parent instanceof ValueContext ? parent.#base : parent;
  }

  get signal(): AbortSignal {
    return this.#base.signal;
  }

  get done(): Promise<void> {
    return this.#base.done;
  }

  get err(): ContextError | undefined {
    return this.#base.err;
  }

  get deadline(): Date | undefined {
    return this.#base.deadline;
  }

  value<T>(key: Key<T>): T | undefined {
    return key === nodeKey as Key<unknown>
      ? this.#base.value(key)
      : ValueContext.lookUp(this, key);
  }

  /** Walks the list of values above, whatever nodes are in between. */
  static lookUp<T>(
    scope: ValueContext | undefined,
    key: Key<T>,
  ): T | undefined {
    let last: ValueContext | undefined;
    for (let at = scope; at !== undefined; at = at.#outer) {
      if (at.#key === key) return at[read]() as T;
      last = at;
    }
    assertKey("value", key);
    return last !== undefined && last.#key === foreign
      ? (last.#value as Context).value(key)
      : undefined;
  }

  static base(ctx: ValueContext): Context {
    return ctx.#base;
  }

  [read](): unknown {
    return this.#value;
  }

  get [parent](): Context {
    // Needs no field: directly under another value the base is shared with it;
    // directly under a node the next value above has another base.
    const outer = this.#outer;
    return outer !== undefined && outer.#key !== foreign &&
        outer.#base === this.#base
      ? outer
      : this.#base;
  }

  get [label](): string {
    return `withValue(${(this.#key as Key<unknown>).name})`;
  }
}

/** Key of the last entry of a list of values that continues in a foreign context. */
const foreign = Symbol("values of a foreign context");

/** Key by which a context finds the node that ends it, through any wrapper. */
const nodeKey: Key<Node> = createKey<Node>("node");

/** The list of values that a child of `parent` starts with. */
function scopeOf(parent: Context): ValueContext | undefined {
  if (parent instanceof ValueContext) return parent;
  if (parent instanceof NeverDone) return NeverDone.scope(parent);
  if (parent instanceof Node) return Node.scope(parent);
  return new ValueContext(parent, foreign, parent);
}

/** Something from outside its list that can end a node: a foreign signal, say. */
export abstract class Tie {
  /** The node it was made for; those below inherit it. */
  readonly node: Node;
  /** The next tie above. */
  readonly outer: Tie | undefined;
  /** The last walk that has come by. */
  #walk = 0;
  static #walks = 0;

  constructor(node: Node, outer: Tie | undefined) {
    this.node = node;
    this.outer = outer;
  }

  /** Refreshes all that are above one of `ties` and not among them, each once. */
  static refreshAbove(ties: Iterable<Tie>): void {
    const walk = ++Tie.#walks;
    for (const tie of ties) tie.#walk = walk;
    for (const { outer } of ties) {
      let tie = outer;
      for (; tie !== undefined && tie.#walk !== walk; tie = tie.outer) {
        tie.#walk = walk;
        tie.refresh();
      }
    }
  }

  /** When the other side is due, in ms of {@linkcode clock}; Infinity if never. */
  get due(): number {
    return Infinity;
  }

  /** Marks the node if the other side has ended (invariant 4). */
  abstract refresh(): void;

  /** Called when the node has been marked. */
  abstract release(): void;
}

/** The other side of a tie: a signal, or a context that is not ours. */
interface Source {
  readonly signal: AbortSignal;
  readonly deadline?: Date | undefined;
}

/** Joins a node to a signal from outside the tree. */
class SourceTie extends Tie {
  readonly #joint: Joint;

  constructor(node: Node, outer: Tie | undefined, joint: Joint) {
    super(node, outer);
    this.#joint = joint;
    joint.add(this);
  }

  override get due(): number {
    return this.#joint.due;
  }

  override refresh(): void {
    this.#joint.refresh();
  }

  override release(): void {
    this.#joint.delete(this);
  }
}

/** All nodes that are joined to one source, which ends them together (invariant 3). */
class Joint {
  static readonly #joints = new WeakMap<object, Joint>();
  readonly #key: object;
  readonly #source: Source;
  readonly #endingOf: () => Ending;
  #ending: Ending | undefined;
  readonly #ties = new Set<SourceTie>();
  // A signal of our own to listen on: a listener on the source's would cost 20 us
  // if that has a thousand others.
  readonly #joined: AbortSignal;
  // What ended before is marked first, as cancel() does.
  readonly #listener = (): void =>
    Node.settle(() => {
      Node.markDue(clock.now());
      Tie.refreshAbove(this.#ties);
      this.refresh();
    });

  static of(key: object, source: Source, endingOf: () => Ending): Joint {
    let joint = Joint.#joints.get(key);
    if (joint === undefined) {
      joint = new Joint(key, source, endingOf);
      Joint.#joints.set(key, joint);
    }
    return joint;
  }

  private constructor(key: object, source: Source, endingOf: () => Ending) {
    this.#key = key;
    this.#source = source;
    this.#endingOf = endingOf;
    this.#joined = AbortSignal.any([source.signal]);
    this.#joined.addEventListener("abort", this.#listener);
  }

  get due(): number {
    const { deadline } = this.#source;
    return deadline ? clock.fromWall(deadline.getTime()) : Infinity;
  }

  add(tie: SourceTie): void {
    this.#ties.add(tie);
  }

  delete(tie: SourceTie): void {
    this.#ties.delete(tie);
    if (this.#ties.size > 0) return;
    this.#joined.removeEventListener("abort", this.#listener);
    // Kept if it has ended: nodes that are joined later end with the same err.
    if (this.#ending === undefined) Joint.#joints.delete(this.#key);
  }

  /** Marks all nodes if the source has ended. */
  refresh(): void {
    if (this.#ties.size === 0 || !this.#source.signal.aborted) return;
    // The source may be a custom context: this is the last call into it.
    this.#ending ??= this.#endingOf();
    for (const { node } of this.#ties) Node.mark(node, this.#ending);
  }
}

/** Maximum depth of nested looks that notify (invariant 4). */
const deepestLook = 32;

/** A context that can end. */
export class Node extends TreeContext implements CancelableContext {
  readonly #parent: Context;
  readonly #scope: ValueContext | undefined;
  /** The nearest deadline above or here, unless it was ignored or adopted. */
  #due: DeadlineNode | undefined;
  /** The nearest tie above or here. */
  #tie: Tie | undefined;

  // The nodes below, in order of creation. A Set would take 40 bytes more for each
  // and five times as long.
  #first: Node | undefined;
  #last: Node | undefined;
  #previous: Node | undefined;
  /** The next sibling; once the node is marked, the next to be notified. */
  #next: Node | undefined;

  /** Set when the node is marked. */
  #ending: Ending | undefined;
  /** Set when the signal or the promise is first read. A leaf is its own. */
  #subscriber: Subscriber | undefined;
  #cancel: ((cause?: unknown) => void) | undefined;

  constructor(parent: Context) {
    super();
    this.#parent = parent;
    const base = Node.nearest(parent);
    if (base === undefined) {
      this.#scope = scopeOf(parent);
      this.#joinForeign(parent);
    } else {
      // If not the node itself, the parent is a ValueContext over it.
      this.#scope = parent === base ? base.#scope : parent as ValueContext;
      this.#due = base.#due;
      this.#tie = base.#tie;
      if (base.#ending === undefined) base.#append(this);
      else this.#ending = base.#ending;
    }
    if (observer !== undefined) observer.created(this);
  }

  get signal(): AbortSignal {
    const ending = this.#refresh();
    const observers = this.#observe();
    return ending === undefined
      ? observers.signal
      : observers.abortedSignal(ending);
  }

  get done(): Promise<void> {
    const ending = this.#refresh();
    const observers = this.#observe();
    return ending === undefined ? observers.done : observers.resolvedDone();
  }

  get err(): ContextError | undefined {
    return this.#refresh()?.err;
  }

  get deadline(): Date | undefined {
    const due = Node.due(this);
    return due === Infinity ? undefined : clock.toDate(due);
  }

  value<T>(key: Key<T>): T | undefined {
    return key === nodeKey as Key<unknown>
      ? this as unknown as T
      : ValueContext.lookUp(this.#scope, key);
  }

  // Bound, and created when first read: `using` never reads it.
  get cancel(): (cause?: unknown) => void {
    return this.#cancel ??= (cause) => this.#end(Ending.canceled(cause));
  }

  [Symbol.dispose](): void {
    if (this.#ending !== undefined) return;
    if (this.#subscriber === undefined && this.#first === undefined) {
      // Nobody can tell whether a deadline came first: no look at the clock.
      return Node.mark(this, Ending.canceled());
    }
    this.#end(Ending.canceled());
  }

  #end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    // Deadlines that have passed, here, above or below, came before this.
    if (this.#first !== undefined && !deadlines.isEmpty) Node.expire();
    this.#refresh();
    Node.end(this, ending);
  }

  override get [parent](): Context {
    return this.#parent;
  }

  override get [label](): string {
    return "withCancel";
  }

  /** Joins the node to the context that `parent` is based on, if that is foreign. */
  #joinForeign(parent: Context): void {
    if (parent instanceof NeverDone) return;
    const base = parent instanceof ValueContext
      ? ValueContext.base(parent)
      : parent;
    if (base instanceof NeverDone) return;
    Node.join(this, base, base, () => Ending.of(base.err, causeOf(base)));
  }

  /** Refreshes the node and returns its ending, if it has ended (invariant 4). */
  #refresh(): Ending | undefined {
    if (this.#ending === undefined) {
      if (this.#due !== undefined) Node.expire(clock.now());
      if (this.#tie !== undefined) Node.#refreshTies(this.#tie);
    }
    return this.#ending;
  }

  static #refreshTies(nearest: Tie): void {
    for (
      let tie: Tie | undefined = nearest;
      tie !== undefined;
      tie = tie.outer
    ) {
      tie.refresh();
    }
    if (Node.#marked !== undefined) Node.#notifyLook();
  }

  #observe(): Observers {
    if (this.#subscriber === undefined) this.#subscribe(new Observers());
    return this.#subscriber as Observers;
  }

  /** From here on until it is marked, the node holds the queue of deadlines. */
  #subscribe(subscriber: Subscriber): void {
    this.#subscriber = subscriber;
    if (this.#ending === undefined && this.#due !== undefined) deadlines.hold();
  }

  #append(child: Node): void {
    child.#previous = this.#last;
    if (this.#last === undefined) this.#first = child;
    else this.#last.#next = child;
    this.#last = child;
  }

  /** Takes the node out of the list it is in. */
  #leave(): void {
    const base = Node.nearest(this.#parent);
    if (base === undefined) return;
    const previous = this.#previous;
    const next = this.#next;
    if (previous !== undefined) previous.#next = next;
    else if (base.#first === this) base.#first = next;
    if (next !== undefined) next.#previous = previous;
    else if (base.#last === this) base.#last = previous;
    this.#previous = this.#next = undefined;
  }

  /** Marked nodes with a subscriber that is still to be notified, in order. */
  static #marked: Node | undefined;
  static #lastMarked: Node | undefined;
  /** Depth of the loops that notify, each called by a subscriber of the one before. */
  static #depth = 0;
  /** Number of those loops that a look has started. */
  static #looks = 0;

  /** Ends `root` and everything below it. */
  static end(root: Node, ending: Ending): void {
    if (root.#ending !== undefined) return;
    if (Node.#depth > 0) assertStackSpace();
    Node.mark(root, ending);
    if (Node.#marked !== undefined) Node.#notify();
  }

  /** Ends what is due at `now`; for looks. */
  static expire(now: number = clock.now()): void {
    if (!deadlines.isDue(now)) return;
    Node.markDue(now);
    Node.#notifyLook();
  }

  /** Marks all that is due at `now`. */
  static markDue(now: number): void {
    if (Node.#depth > 0) assertStackSpace();
    for (let due; (due = deadlines.takeDue(now)) !== undefined;) {
      Node.mark(due, due[expiry]());
    }
  }

  /** Runs `mark`, which marks nodes, and then notifies, even if it throws. */
  static settle(mark: () => void): void {
    try {
      mark();
    } finally {
      Node.#notify();
    }
  }

  /**
   * Marks `root` and everything below it (invariant 1). The children of what is
   * being marked are appended to one list: ancestors come first, without a stack.
   */
  static mark(root: Node, ending: Ending): void {
    if (root.#ending !== undefined) return;
    root.#leave();
    let last = root;
    let node: Node | undefined = root;
    do {
      node.#ending = ending;
      if (observer !== undefined) observer.ended(node, ending);
      const first: Node | undefined = node.#first;
      if (first !== undefined) {
        last.#next = first;
        last = node.#last!;
        node.#first = node.#last = undefined;
      }
      if (node.#due !== undefined) node.#leaveQueue();
      if (node.#tie !== undefined) node.#releaseTies();
      const next: Node | undefined = node.#next;
      node.#previous = node.#next = undefined;
      if (node.#subscriber !== undefined) node.#awaitTurn();
      node = next;
    } while (node !== undefined);
  }

  /** Takes the node out of the queue of deadlines and stops holding it. */
  #leaveQueue(): void {
    const due = this.#due!;
    if (due === this as unknown) deadlines.remove(due);
    if (this.#subscriber !== undefined) deadlines.release();
  }

  #releaseTies(): void {
    let tie: Tie | undefined = this.#tie;
    for (; tie?.node === this; tie = tie.outer) tie.release();
  }

  /** Appends the node to the list of nodes to notify. */
  #awaitTurn(): void {
    if (Node.#marked === undefined) Node.#marked = this;
    else Node.#lastMarked!.#next = this;
    Node.#lastMarked = this;
  }

  /** Notifies the subscribers of what was marked (invariants 2 and 5). */
  static #notify(): void {
    Node.#depth++;
    // Loops over what deeply nested looks have left, too.
    while (Node.#marked !== undefined) {
      let node: Node | undefined = Node.#marked;
      Node.#marked = Node.#lastMarked = undefined;
      while (node !== undefined) {
        const next: Node | undefined = node.#next;
        node.#next = undefined;
        try {
          node.#subscriber!.notify(node.#ending!);
        } catch (error) {
          report(error);
        }
        node = next;
      }
    }
    Node.#depth--;
  }

  /** The same for a look (invariant 4). */
  static #notifyLook(): void {
    if (Node.#looks >= deepestLook) return;
    Node.#looks++;
    Node.#notify();
    Node.#looks--;
  }

  /** The node that `ctx` ends with, if it is one of ours. */
  static nearest(ctx: Context): Node | undefined {
    if (ctx instanceof Node) return ctx;
    // The most frequent first: a check that fails costs 2 ns.
    if (ctx instanceof NeverDone || !(ctx instanceof ValueContext)) return;
    const base = ValueContext.base(ctx);
    return base instanceof Node ? base : undefined;
  }

  static scope(node: Node): ValueContext | undefined {
    return node.#scope;
  }

  /** Refreshes `node` and returns its ending, if it has ended. */
  static refresh(node: Node): Ending | undefined {
    return node.#refresh();
  }

  /** The same for any context, of this package or not. */
  static endingOf(ctx: Context): Ending | undefined {
    const node = Node.nearest(ctx);
    if (node !== undefined) return node.#refresh();
    return ctx.err === undefined ? undefined : Ending.of(ctx.err, causeOf(ctx));
  }

  /** When `ctx` is due, in ms of {@linkcode clock}; Infinity without a deadline. */
  static due(ctx: Context): number {
    const node = Node.nearest(ctx);
    if (node === undefined) {
      const { deadline } = ctx;
      return deadline ? clock.fromWall(deadline.getTime()) : Infinity;
    }
    let due = node.#due === undefined
      ? Infinity
      : DeadlineNode.dueAt(node.#due);
    for (let tie = node.#tie; tie !== undefined; tie = tie.outer) {
      due = Math.min(due, tie.due);
    }
    return due;
  }

  /** The way in which `ctx` ends if its deadline comes first; undefined without one. */
  static expiryOf(ctx: Context): Ending | undefined {
    const node = Node.nearest(ctx);
    if (node === undefined || node.#due === undefined) return undefined;
    return node.#due[expiry]();
  }

  /**
   * Joins `node` to `source`, which ends it with what `endingOf` returns. Nodes
   * with the same `key` are joined to the same source.
   */
  static join(
    node: Node,
    key: object,
    source: Source,
    endingOf: () => Ending,
  ): void {
    if (node.#ending !== undefined) return;
    const joint = Joint.of(key, source, endingOf);
    node.#tie = new SourceTie(node, node.#tie, joint);
    // Only then: a look at all ties above would make a chain of them quadratic.
    if (source.signal.aborted) node.#refresh();
  }

  /** Adds `tie`, whose outer one is that of its node. */
  static tie(node: Node, tie: Tie): void {
    node.#tie = tie;
    node.#refresh();
  }

  /** The nearest tie above or at `node`. */
  static tieOf(node: Node): Tie | undefined {
    return node.#tie;
  }

  /** The children of `node`, and the number of its leaves. */
  static registry(node: Node): { children: Node[]; leaves: number } {
    const children: Node[] = [];
    let leaves = 0;
    for (let at = node.#first; at !== undefined; at = at.#next) {
      if (at.#subscriber === at as unknown) leaves++;
      else children.push(at);
    }
    return { children, leaves };
  }

  /** The open nodes below `node`, leaves included, in order of creation. */
  static below(node: Node): Node[] {
    const below: Node[] = [];
    for (let at = node.#first; at !== undefined; at = at.#next) below.push(at);
    return below;
  }

  /** The node that lists `node` while it is open; undefined at the top of a tree. */
  static base(node: Node): Node | undefined {
    return Node.nearest(node.#parent);
  }

  /** Makes a leaf its own subscriber; notifies it at once if it has ended. */
  protected static start(leaf: Node & Subscriber): void {
    const ending = leaf.#refresh();
    if (ending === undefined) leaf.#subscribe(leaf);
    else leaf.notify(ending);
  }

  /** Takes a leaf away without notifying it; false if it has ended. */
  protected static stop(leaf: Node): boolean {
    if (leaf.#ending !== undefined) return false;
    if (leaf.#subscriber !== undefined && leaf.#due !== undefined) {
      deadlines.release();
    }
    leaf.#subscriber = undefined;
    Node.mark(leaf, stopped);
    return true;
  }

  /** Takes the deadline from `node`, which then ends by it when a node above does. */
  protected static ignoreDue(node: Node): void {
    node.#due = undefined;
  }

  /** Makes the deadline of `other` that of `node` if it comes first. */
  protected static adoptDue(node: Node, other: Context): void {
    const source = Node.nearest(other);
    if (source === undefined || source.#due === undefined) return;
    if (node.#due === undefined || Node.due(source) < Node.due(node)) {
      node.#due = source.#due;
    }
  }

  static isMarked(node: Node): boolean {
    return node.#ending !== undefined;
  }

  /** Returns whether `node` is a leaf, which only exists while something waits. */
  static isWait(node: Node): boolean {
    return (node.#subscriber as unknown) === node;
  }

  /** Returns whether the tree or the queue of deadlines refers to `node`. */
  static isHeld(node: Node): boolean {
    return Node.isWait(node) || DeadlineNode.isQueued(node) ||
      Node.nearest(node.#parent) !== undefined;
  }

  /** The node and the contexts above it that it was made from. */
  static lineage(node: Node): Context[] {
    const lineage: Context[] = [];
    let at: Context | undefined = node;
    for (; at instanceof TreeContext; at = at[parent]) lineage.push(at);
    return lineage;
  }

  /** Makes `node` the deadline of itself and what is below; returns that above. */
  protected static setDue(node: DeadlineNode): DeadlineNode | undefined {
    const above = node.#due;
    node.#due = node;
    return above;
  }
}

/** The ending of leaves that were stopped; nobody reads it. */
const stopped = Ending.canceled();

/** Something that waits for the end of a context. */
export abstract class Leaf extends Node implements Subscriber {
  /** From here on {@linkcode Leaf.notify} is called once `ctx` is done; or now. */
  start(): this {
    Node.start(this);
    return this;
  }

  /** Stops waiting; returns false if it has been notified, or is about to be. */
  stop(): boolean {
    return Node.stop(this);
  }

  abstract notify(ending: Ending): void;
}

/** A leaf that calls a function, within the cancellation. */
export class Watch extends Leaf {
  readonly #f: (ending: Ending) => void;

  constructor(ctx: Context, f: (ending: Ending) => void) {
    super(ctx);
    this.#f = f;
  }

  notify(ending: Ending): void {
    this.#f(ending);
  }
}

/** A watch that keeps no process alive: it does not hold the queue of deadlines. */
export class QuietWatch extends Watch {
  override start(): this {
    Node.refresh(this);
    Node.ignoreDue(this);
    return super.start();
  }
}

/**
 * A node with a deadline of its own, by which it ends with a `DeadlineExceeded`.
 * Subclasses end in other ways. `withTimeout` creates this class itself: each level
 * of classes with private fields costs its constructor 8 ns.
 */
export class DeadlineNode extends Node {
  static #made = 0;

  #at: number;
  /** Place in the queue, which writes it. */
  #place = nowhere;
  readonly #order = DeadlineNode.#made++;
  /** The nearest grace period above, whose end may still move forward. */
  readonly #grace: GraceNode | undefined;
  /** The cause of the end by this deadline. */
  readonly #cause: unknown;

  constructor(parent: Context, at: number, cause?: unknown) {
    super(parent);
    this.#at = at;
    this.#cause = cause;
    const above = Node.setDue(this);
    this.#grace = above instanceof GraceNode ? above : above && above.#grace;
  }

  static readonly queue: DeadlineQueue<DeadlineNode> = new DeadlineQueue({
    at: (node: DeadlineNode) => node.#at,
    place: (node) => node.#place,
    move: (node, place) => node.#place = place,
    // Deadlines that are due together end in the order in which they were made.
    isBefore: (one, other) =>
      one.#at < other.#at ||
      (one.#at === other.#at && one.#order < other.#order),
  }, (now) => Node.settle(() => Node.markDue(now)));

  /** Returns whether `node` is in the queue. */
  static isQueued(node: Node): boolean {
    return #place in node && node.#place !== nowhere;
  }

  /** The time of its own deadline, in ms of {@linkcode clock}. */
  static at(node: DeadlineNode): number {
    return node.#at;
  }

  /** When `node` is due by any deadline, in ms of {@linkcode clock}. */
  static dueAt(node: DeadlineNode): number {
    let due = node instanceof GraceNode ? node[graceEnd] : node.#at;
    for (let at = node.#grace; at !== undefined; at = at.#grace) {
      due = Math.min(due, at[graceEnd]);
    }
    return due;
  }

  /** Puts `node` into the queue, or ends it at once if it is due. */
  static enqueue(node: DeadlineNode, now: number): void {
    if (Node.isMarked(node)) return;
    if (node.#at > now) return deadlines.add(node, now);
    // The parent may have come to its end as well, and before this.
    Node.refresh(node);
    Node.end(node, node[expiry]());
  }

  /** Makes `node` due at `at`, which is earlier than it was. */
  static advance(node: DeadlineNode, at: number, now: number): void {
    deadlines.remove(node);
    node.#at = at;
    DeadlineNode.enqueue(node, now);
  }

  [expiry](): Ending {
    return Ending.exceeded(this.#cause);
  }

  override get [label](): string {
    const date = clock.toDate(this.#at).toISOString();
    return `withDeadline(${date} [${Math.round(this.#at - clock.now())}ms])`;
  }
}

/**
 * A deadline that can move to an earlier time: when a grace period begins, or when the
 * other side of a port sends its own.
 */
export abstract class GraceNode extends DeadlineNode {
  abstract get [graceEnd](): number;
}

/** The deadlines of the process. */
export const deadlines: DeadlineQueue<DeadlineNode> = DeadlineNode.queue;

/** The clock of all deadlines. */
export const clock: Clock = deadlines.clock;

/** Throws the RangeError of a full stack here, before anything was changed. */
function assertStackSpace(frames = 250): number {
  return frames === 0 ? 0 : 1 + assertStackSpace(frames - 1);
}

/** Reports an error as the platform does that of an event listener. */
function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Returns the cause of the end of `ctx`; see the function `cause`. */
export function causeOf(ctx: Context): unknown {
  const node = Node.nearest(ctx);
  if (node !== undefined) return Node.refresh(node)?.cause;
  const { err } = ctx;
  if (err === undefined && !ctx.signal.aborted) return undefined;
  const inner = ctx.value(nodeKey);
  const ending = inner instanceof Node ? Node.refresh(inner) : undefined;
  return ending === undefined ? err ?? ctx.signal.reason : ending.cause;
}
