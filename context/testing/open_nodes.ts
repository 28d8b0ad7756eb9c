/** The contexts and waits that were created while a test runs and have not ended. */

import {
  type CapturedStack,
  captureStack,
  type CreationSite,
  creationSite,
} from "../creation_site.ts";
import { label, type Node } from "../tree.ts";
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

/** Follows the tree from its creation until it is disposed of. */
export class OpenNodes implements TreeObserver, Disposable {
  /** Weak, so that what the test has dropped can be collected. */
  readonly #nodes = new Map<number, WeakRef<Node>>();
  readonly #stacks = new Map<number, CapturedStack>();
  readonly #ids = new WeakMap<Node, number>();
  readonly #described = new WeakMap<object, () => string>();
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

  /** The nodes that are open now, in order of creation. */
  open(): OpenNode[] {
    const open: OpenNode[] = [];
    for (const [id, ref] of this.#nodes) {
      const node = ref.deref();
      if (node === undefined) this.#forget(id);
      else open.push({ node, site: creationSite(this.#stacks.get(id)!) });
    }
    return open;
  }

  /** The name of what `node` belongs to, such as a server, if it has one. */
  describe(node: object): string | undefined {
    return this.#described.get(node)?.();
  }

  created(node: Node): void {
    this.#events++;
    const id = this.#created++;
    this.#ids.set(node, id);
    this.#nodes.set(id, new WeakRef(node));
    this.#stacks.set(id, captureStack());
  }

  ended(node: Node): void {
    this.#events++;
    const id = this.#ids.get(node);
    if (id !== undefined) this.#forget(id);
  }

  described(ctx: object, _purpose: Purpose, describe: () => string): void {
    this.#described.set(ctx, describe);
  }

  [Symbol.dispose](): void {
    this.#observing[Symbol.dispose]();
  }

  #forget(id: number): void {
    this.#nodes.delete(id);
    this.#stacks.delete(id);
  }
}

/** Names the call that created a node. A sleep reads as `sleep(1000)`. */
export function callOf({ node, site }: OpenNode): string {
  const text = node[label];
  return text.startsWith("sleep(") ? text : site.call;
}
