/**
 * The tree: what the contexts of this package are made of.
 *
 * Three kinds. A {@linkcode NeverDone} has nothing that could end it, so nothing
 * is ever registered on one. A {@linkcode Node} can end: it is in the list of
 * the node above it until it has. A {@linkcode ValueContext} adds one value and
 * leaves all else to the context it is based on; it is in no list.
 *
 * Nothing here waits and nothing recurses: a cancel walks one list, a look-up
 * another. What costs something (a signal, a promise, an error with its stack)
 * is made when it is first asked for.
 */

import type { CancelableContext, Context } from "./context.ts";
import { deadlines, type QueuedDeadline } from "./deadline_queue.ts";
import { Canceled, type ContextError, DeadlineExceeded } from "./errors.ts";
import { assertKey, createKey, type Key } from "./key.ts";

/** How a context ended: one record for all that ended with it. */
export class Ending {
  static readonly canceled: Ending = new Ending(Canceled);
  static readonly exceeded: Ending = new Ending(DeadlineExceeded);

  readonly #kind: typeof Canceled | typeof DeadlineExceeded;
  readonly #cause: unknown;
  #err: ContextError | undefined;

  private constructor(
    kind: typeof Canceled | typeof DeadlineExceeded,
    cause?: unknown,
  ) {
    this.#kind = kind;
    this.#cause = cause;
  }

  static canceledBy(cause: unknown): Ending {
    return isCause(cause) ? new Ending(Canceled, cause) : Ending.canceled;
  }

  static exceededWith(cause: unknown): Ending {
    return isCause(cause)
      ? new Ending(DeadlineExceeded, cause)
      : Ending.exceeded;
  }

  /** The end that a foreign context, which is done, hands down. */
  static of(ctx: Context): Ending {
    const { err } = ctx;
    const cause = causeOf(ctx);
    // By its name: it may be the platform's, or of another copy of this package.
    const kind = err?.name === "TimeoutError" ? DeadlineExceeded : Canceled;
    if (err instanceof kind) {
      const ending = new Ending(kind, cause === err ? undefined : cause);
      if (cause === err || cause === err.cause) ending.#err = err;
      return ending;
    }
    return kind === Canceled
      ? Ending.canceledBy(cause)
      : Ending.exceededWith(cause);
  }

  /** Made when first read: a DOMException takes 7 us, most of it its stack. */
  get err(): ContextError {
    if (this.#err === undefined) {
      const err = this.#err = new this.#kind(this.#cause);
      // The stack would tell who looked first, not who cancelled.
      Object.defineProperty(err, "stack", {
        value: `${err.name}: ${err.message}`,
        writable: true,
        configurable: true,
      });
    }
    return this.#err;
  }

  get cause(): unknown {
    return isCause(this.#cause) ? this.#cause : this.err;
  }
}

function isCause(cause: unknown): boolean {
  return cause !== undefined && cause !== null;
}

/** What is told when a node has ended. */
export interface Watch {
  fire(ending: Ending): void;
}

/** The two faces a node shows to others: its signal and its promise. */
class Observers implements Watch {
  /** To ask the signal itself takes as long as all of our own getter. */
  aborted = false;
  #controller: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #done: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#controller = new AbortController();
      this.#signal = this.#controller.signal;
    }
    return this.#signal;
  }

  get done(): Promise<void> {
    return this.#done ??= new Promise((resolve) => this.#resolve = resolve);
  }

  abort(ending: Ending): void {
    if (this.aborted || this.#controller === undefined) return;
    this.aborted = true;
    this.#controller.abort(ending.err);
  }

  resolve(): void {
    this.#resolve?.();
  }

  fire(ending: Ending): void {
    this.resolve();
    this.abort(ending);
  }
}

/** What the contexts of this package have in common: how they read. */
export abstract class TreeContext implements Context {
  abstract readonly signal: AbortSignal;
  abstract readonly done: Promise<void>;
  abstract readonly err: ContextError | undefined;
  abstract readonly deadline: Date | undefined;
  abstract value<T>(key: Key<T>): T | undefined;

  /** The context this one was made from. */
  protected abstract get parent(): Context | undefined;
  /** The call that made it. */
  protected abstract get label(): string;

  /** The calls that made the context, from the root on. */
  toString(): string {
    return TreeContext.describe(this);
  }

  /**
   * The same, going up no further than to `top`, whose string is known. A walk
   * down a deep tree would otherwise cost the square of its depth.
   */
  static describe(ctx: Context, top?: Context, prefix = ""): string {
    const calls: string[] = [];
    let at: Context | undefined = ctx;
    for (; at instanceof TreeContext && at !== top; at = at.parent) {
      calls.push(at.label);
    }
    if (at !== undefined) calls.push(at === top ? prefix : nameOf(at));
    // Not join(), which copies: the strings of a deep tree share their prefixes.
    return calls.reduceRight((text, call) => `${text}.${call}`);
  }

  /** What `console.log` shows in Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** What `console.log` shows in Node. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** A foreign context's own string, or else the name of its class. */
function nameOf(ctx: Context): string {
  // One without a prototype has neither.
  const { toString = Object.prototype.toString, constructor = Object } = ctx;
  if (toString !== Object.prototype.toString) return String(ctx);
  const { name } = constructor;
  return name === "Object" ? "Context" : name;
}

/** A root, or what `withoutCancel` makes: nothing can end it. */
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

  // A new one each time: a shared promise that never settles would keep every
  // reaction that was ever added to it, for the life of the process.
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
    // Below here nothing is to be known of the nodes above.
    return key === nodeKey as Key<unknown>
      ? undefined
      : ValueContext.lookUp(this.#scope, key);
  }

  static scope(ctx: NeverDone): ValueContext | undefined {
    return ctx.#scope;
  }

  protected get parent(): Context | undefined {
    return this.#parent;
  }

  protected get label(): string {
    return this.#label;
  }
}

/** One value more than the context it is based on. */
export class ValueContext extends TreeContext {
  readonly #key: unknown;
  readonly #value: unknown;
  /** The next value above, over whatever nodes stand between. */
  readonly #outer: ValueContext | undefined;
  /** The nearest context above that is not of this class. */
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

  /** The values above are one list, however many nodes stand between them. */
  static lookUp<T>(
    scope: ValueContext | undefined,
    key: Key<T>,
  ): T | undefined {
    let last: ValueContext | undefined;
    for (let at = scope; at !== undefined; at = at.#outer) {
      if (at.#key === key) return at.read() as T;
      last = at;
    }
    assertKey(key);
    return last !== undefined && last.#key === foreign
      ? (last.#value as Context).value(key)
      : undefined;
  }

  static base(ctx: ValueContext): Context {
    return ctx.#base;
  }

  /** The value itself. */
  protected read(): unknown {
    return this.#value;
  }

  protected get parent(): Context {
    // Under another value the base is shared; under a node the next value is
    // further up, on a base of its own. So the parent needs no field.
    const outer = this.#outer;
    return outer !== undefined && outer.#key !== foreign &&
        outer.#base === this.#base
      ? outer
      : this.#base;
  }

  protected get label(): string {
    return `withValue(${(this.#key as Key<unknown>).name})`;
  }
}

/** The key of the last entry in a list of values that goes on elsewhere. */
const foreign = Symbol("values of a foreign context");

/** Under which a context finds the node that ends it, through any wrapper. */
const nodeKey: Key<Node> = createKey<Node>("node");

/** Where the values of a child of `parent` begin. */
function scopeOf(parent: Context): ValueContext | undefined {
  if (parent instanceof ValueContext) return parent;
  if (parent instanceof Node) return Node.scope(parent);
  if (parent instanceof NeverDone) return NeverDone.scope(parent);
  return new ValueContext(parent, foreign, parent);
}

/** What a tie listens to: a bag with a signal, or a whole context. */
interface Source {
  readonly signal: AbortSignal;
  readonly deadline?: Date | undefined;
}

/**
 * What joins a node to a signal from outside the tree: one that was given to
 * `withSignal`, or that of a context which is not ours.
 */
class Tie {
  readonly #node: Node;
  readonly #source: Source;
  readonly #ending: () => Ending;
  readonly #onEnd: (() => void) | undefined;
  /** The next one above. */
  readonly outer: Tie | undefined;
  // A signal of our own to listen on: a listener on the foreign one would cost
  // 20 us where a thousand others are, and keep what is dropped alive.
  readonly #joined: AbortSignal;

  constructor(
    node: Node,
    source: Source,
    outer: Tie | undefined,
    ending: () => Ending,
    onEnd?: () => void,
  ) {
    this.#node = node;
    this.#source = source;
    this.outer = outer;
    this.#ending = ending;
    this.#onEnd = onEnd;
    this.#joined = AbortSignal.any([source.signal]);
    this.#joined.addEventListener("abort", this.pull);
  }

  /** Ends the node if the signal has been aborted. */
  readonly pull = (): void => {
    if (this.#source.signal.aborted) Node.end(this.#node, this.#ending());
  };

  loosen(): void {
    this.#joined.removeEventListener("abort", this.pull);
    this.#onEnd?.();
  }

  belongsTo(node: Node): boolean {
    return this.#node === node;
  }

  /** The deadline of a foreign context, Infinity without one. */
  get due(): number {
    return this.#source.deadline?.getTime() ?? Infinity;
  }
}

/** A context that can end. */
export class Node extends TreeContext implements CancelableContext {
  readonly #parent: Context;
  readonly #scope: ValueContext | undefined;
  /** The nearest deadline above or here. */
  #due: DeadlineNode | undefined;
  /** The nearest tie above or here. */
  #tie: Tie | undefined;

  // The list of what is under this node, in order of creation. A Set would cost
  // 40 bytes an entry more and five times the time.
  #first: Node | undefined;
  #last: Node | undefined;
  #previous: Node | undefined;
  #next: Node | undefined;

  #ending: Ending | undefined;
  #watch: Watch | undefined;
  #cancel: ((cause?: unknown) => void) | undefined;

  constructor(parent: Context) {
    super();
    this.#parent = parent;
    this.#scope = scopeOf(parent);
    const base = parent instanceof ValueContext
      ? ValueContext.base(parent)
      : parent;
    if (base instanceof Node) {
      this.#due = base.#due;
      this.#tie = base.#tie;
      if (base.#ending === undefined) base.#append(this);
      else this.#ending = base.#ending;
    } else if (!(base instanceof NeverDone)) {
      Node.tie(this, base, () => Ending.of(base));
    }
  }

  get signal(): AbortSignal {
    const ended = this.#look() !== undefined;
    const observers = this.#observe();
    const { signal } = observers;
    if (ended && !observers.aborted) {
      // Asked for by a listener of an earlier one in the same cancel: those
      // before it come first.
      Node.#fire();
      observers.abort(this.#ending!);
    }
    return signal;
  }

  get done(): Promise<void> {
    const ended = this.#look() !== undefined;
    const observers = this.#observe();
    const { done } = observers;
    if (ended) observers.resolve();
    return done;
  }

  get err(): ContextError | undefined {
    return this.#look()?.err;
  }

  get deadline(): Date | undefined {
    const due = Node.due(this);
    return due === Infinity ? undefined : new Date(due);
  }

  value<T>(key: Key<T>): T | undefined {
    return key === nodeKey as Key<unknown>
      ? this as unknown as T
      : ValueContext.lookUp(this.#scope, key);
  }

  // Bound, and made when first read, for `using` never reads it.
  get cancel(): (cause?: unknown) => void {
    return this.#cancel ??= (cause) => this.#end(Ending.canceledBy(cause));
  }

  [Symbol.dispose](): void {
    this.#end(Ending.canceled);
  }

  #end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    // What is due above, here or below was due before this. One look at the
    // clock: whatever is due stands in the queue. Without any of them, none.
    if (this.#due !== undefined || this.#first !== undefined) {
      deadlines.expireDue();
    }
    for (let tie = this.#tie; tie !== undefined; tie = tie.outer) tie.pull();
    if (this.#ending === undefined) Node.end(this, ending);
  }

  protected get parent(): Context {
    return this.#parent;
  }

  protected get label(): string {
    return "withCancel";
  }

  /**
   * How the node has ended, if it has. A deadline that has passed and a signal
   * that was aborted count, even if nobody has told us yet.
   */
  #look(): Ending | undefined {
    if (this.#ending === undefined) {
      const due = this.#due;
      if (due !== undefined) {
        deadlines.followClock();
        if (due.at <= Date.now()) deadlines.expireDue();
      }
      for (let tie = this.#tie; tie !== undefined; tie = tie.outer) tie.pull();
    }
    return this.#ending;
  }

  #observe(): Observers {
    if (this.#watch === undefined) {
      this.#watch = new Observers();
      if (this.#ending === undefined && this.#due !== undefined) {
        deadlines.hold();
      }
    }
    return this.#watch as Observers;
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

  /**
   * Ends `root` and all that is under it, then tells those who watch.
   *
   * First every node is marked, so that nobody who is told sees a tree that is
   * half cancelled. The children of what is being marked are appended to one
   * list, which is why ancestors come first and no stack is needed.
   */
  static end(root: Node, ending: Ending): void {
    if (root.#ending !== undefined) return;
    root.#leave();
    let last = root;
    let node: Node | undefined = root;
    do {
      node.#ending = ending;
      const first: Node | undefined = node.#first;
      if (first !== undefined) {
        last.#next = first;
        last = node.#last!;
        node.#first = node.#last = undefined;
      }
      if (node.#due !== undefined) {
        if (node.#due === node) deadlines.remove(node.#due);
        if (node.#watch !== undefined) deadlines.release();
      }
      // One to a foreign parent, and on top of it one to what was given.
      let tie: Tie | undefined = node.#tie;
      for (; tie?.belongsTo(node); tie = tie.outer) tie.loosen();
      if (node.#watch !== undefined) Node.#ended.push(node);
      const next: Node | undefined = node.#next;
      node.#previous = node.#next = undefined;
      node = next;
    } while (node !== undefined);
    Node.#fire();
  }

  /** Ended nodes whose watchers are still to be told, in order. */
  static #ended: Node[] = [];
  static #told = 0;

  /**
   * Tells them. Whoever is told may cancel more or look at a later one: the
   * inner call then goes on with the list where the outer one stands.
   */
  static #fire(): void {
    while (Node.#told < Node.#ended.length) {
      const node = Node.#ended[Node.#told++]!;
      node.#watch!.fire(node.#ending!);
    }
    if (Node.#told > 0) {
      Node.#ended = [];
      Node.#told = 0;
    }
  }

  /** The node that `ctx` ends with, if it is one of ours. */
  static nearest(ctx: Context): Node | undefined {
    const base = ctx instanceof ValueContext ? ValueContext.base(ctx) : ctx;
    return base instanceof Node ? base : undefined;
  }

  /** How `node` has ended, if it has. */
  static ending(node: Node): Ending | undefined {
    return node.#look();
  }

  static scope(node: Node): ValueContext | undefined {
    return node.#scope;
  }

  /** When `ctx` is due, in ms since the epoch; Infinity without a deadline. */
  static due(ctx: Context): number {
    const node = Node.nearest(ctx);
    if (node === undefined) return ctx.deadline?.getTime() ?? Infinity;
    if (node.#due !== undefined) return node.#due.at;
    let due = Infinity;
    for (let tie = node.#tie; tie !== undefined; tie = tie.outer) {
      due = Math.min(due, tie.due);
    }
    return due;
  }

  /** Joins `node` to `source`; `onEnd` is called when the node has ended. */
  static tie(
    node: Node,
    source: Source,
    ending: () => Ending,
    onEnd?: () => void,
  ): void {
    if (node.#ending !== undefined) return onEnd?.();
    node.#tie = new Tie(node, source, node.#tie, ending, onEnd);
    node.#tie.pull();
  }

  /** A leaf under `ctx` that is there only for its watch. */
  static watch(ctx: Context, watch: Watch): Node {
    const leaf = new Node(ctx);
    if (leaf.#look() !== undefined) {
      watch.fire(leaf.#ending!);
    } else {
      leaf.#watch = watch;
      if (leaf.#due !== undefined) deadlines.hold();
    }
    return leaf;
  }

  /** Takes such a leaf away without firing it; false if it has been fired. */
  static unwatch(leaf: Node): boolean {
    if (leaf.#ending !== undefined) return false;
    if (leaf.#due !== undefined) deadlines.release();
    leaf.#watch = undefined;
    Node.end(leaf, Ending.canceled);
    return true;
  }

  /** A node with a deadline of its own; ended at once where that has passed. */
  static withDeadline(
    parent: Context,
    at: number,
    now: number,
    exceeded: Ending,
  ): Node {
    const node = new DeadlineNode(parent, at, exceeded);
    node.#due = node;
    if (node.#ending !== undefined) return node;
    if (at > now) {
      deadlines.add(node, now);
    } else {
      // The parent's time may be over as well; then that is the end.
      const above = Node.nearest(parent);
      if (above !== undefined) above.#look();
      Node.end(node, exceeded);
    }
    return node;
  }

  /** What is registered on `node`: its children, and the watches of leaves. */
  static registry(node: Node): { children: Node[]; watches: Watch[] } {
    const children: Node[] = [];
    const watches: Watch[] = [];
    for (let at = node.#first; at !== undefined; at = at.#next) {
      const watch = at.#watch;
      if (watch === undefined || watch instanceof Observers) children.push(at);
      else watches.push(watch);
    }
    return { children, watches };
  }
}

/** A node with a deadline of its own. */
class DeadlineNode extends Node implements QueuedDeadline {
  at: number;
  place = -1;
  order = 0;
  readonly #exceeded: Ending;

  constructor(parent: Context, at: number, exceeded: Ending) {
    super(parent);
    this.at = at;
    this.#exceeded = exceeded;
  }

  expire(): void {
    Node.end(this, this.#exceeded);
  }

  protected override get label(): string {
    const at = new Date(this.at).toISOString();
    return `withDeadline(${at} [${Math.round(this.at - Date.now())}ms])`;
  }
}

/** Why `ctx` is done; see the function `cause`. */
export function causeOf(ctx: Context): unknown {
  const node = Node.nearest(ctx);
  if (node !== undefined) return Node.ending(node)?.cause;
  const { err } = ctx;
  if (err === undefined && !ctx.signal.aborted) return undefined;
  const inner = ctx.value(nodeKey);
  const ending = inner instanceof Node ? Node.ending(inner) : undefined;
  return ending === undefined ? err ?? ctx.signal.reason : ending.cause;
}

/** Throws what a user is told who derives a context from something else. */
export function assertParent(parent: Context): void {
  if (isContext(parent)) return;
  if (parent === null || parent === undefined) {
    throw new TypeError("cannot create a context from a null parent");
  }
  throw new TypeError(
    `cannot create a context from ${typeof parent}: the parent is no context`,
  );
}

/** The same for `caller`, which only looks at a context. */
export function assertContext(caller: string, ctx: Context): void {
  if (isContext(ctx)) return;
  const given = ctx === null ? "null" : typeof ctx;
  throw new TypeError(`${caller}: expected a context, got ${given}`);
}

function isContext(ctx: Context | null | undefined): boolean {
  return ctx instanceof TreeContext ||
    (typeof ctx === "object" && ctx !== null && "signal" in ctx &&
      typeof ctx.value === "function");
}
