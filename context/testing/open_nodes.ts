/** The contexts and waits that were created while a test runs and have not ended. */

import {
  type CapturedStack,
  captureStack,
  type CreationSite,
  creationSite,
} from "../creation_site.ts";
import { label, Node } from "../tree.ts";
import {
  observeTree,
  type Purpose,
  type TreeObserver,
} from "../tree_observer.ts";

/** A context or a wait that is open. */
export interface OpenNode {
  readonly node: Node;
  /** The call and the line that created it. */
  readonly site: CreationSite;
}

/** A node that has not ended. */
interface Entry {
  /** Weak, so that what the test has dropped can be collected. */
  readonly ref: WeakRef<Node>;
  /** Until the site is known: it keeps the node, and others in its frames, alive. */
  stack: CapturedStack | undefined;
  site: CreationSite | undefined;
}

/** Work that a context is for. */
interface Work {
  readonly purpose: Purpose;
  readonly describe: () => string;
}

/** Follows the tree from its creation until it is disposed of. */
export class OpenNodes implements TreeObserver, Disposable {
  readonly #entries = new Map<number, Entry>();
  readonly #ids = new WeakMap<Node, number>();
  readonly #works = new WeakMap<object, Work>();
  readonly #observing: Disposable;
  #created = 0;
  #events = 0;

  constructor() {
    this.#observing = observeTree(this);
  }

  /** Number of nodes that were created or have ended so far. */
  get events(): number {
    return this.#events;
  }

  /**
   * The nodes that are open now, in order of creation. Nothing here keeps them alive
   * any longer once the turn is over.
   */
  open(): OpenNode[] {
    const open: OpenNode[] = [];
    for (const [id, entry] of this.#entries) {
      const node = entry.ref.deref();
      if (node === undefined) this.#entries.delete(id);
      else open.push({ node, site: siteOf(entry) });
    }
    return open;
  }

  /** The name of what `node` belongs to, such as a server, if it has one. */
  describe(node: object): string | undefined {
    return this.#works.get(node)?.describe();
  }

  /** Kind of work that `node` is for, if it is known. */
  purposeOf(node: object): Purpose | undefined {
    return this.#works.get(node)?.purpose;
  }

  created(node: Node): void {
    this.#events++;
    // Made under a context that is done: nothing will say that it ends.
    if (Node.isMarked(node)) return;
    const id = this.#created++;
    this.#ids.set(node, id);
    this.#entries.set(id, {
      ref: new WeakRef(node),
      stack: captureStack(),
      site: undefined,
    });
  }

  ended(node: Node): void {
    this.#events++;
    const id = this.#ids.get(node);
    if (id !== undefined) this.#entries.delete(id);
  }

  described(ctx: object, purpose: Purpose, describe: () => string): void {
    this.#works.set(ctx, { purpose, describe });
  }

  [Symbol.dispose](): void {
    this.#observing[Symbol.dispose]();
  }
}

/** Found when it is first needed, which takes longer than to capture a stack. */
function siteOf(entry: Entry): CreationSite {
  entry.site ??= creationSite(entry.stack!);
  entry.stack = undefined;
  return entry.site;
}

/** Names the call that created a node. A sleep reads as `sleep(1000)`. */
export function callOf({ node, site }: OpenNode): string {
  const text = node[label];
  return text.startsWith("sleep(") ? text : site.call;
}
