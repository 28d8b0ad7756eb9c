/**
 * The one hook of the tree: told about every node that is created or ends. It
 * costs nothing measurable while nothing observes. The leak check of
 * `@curfew/context/testing` and the inspector use it.
 */

import type { Context } from "./context.ts";
import type { Ending } from "./ending.ts";
import type { Node } from "./tree.ts";

/** Kind of work that a context is for. `timer` is one of a server's own. */
export type Purpose =
  | "server"
  | "request"
  | "connection"
  | "peer"
  | "group"
  | "task"
  | "timer";

/**
 * Observes the tree. Its methods run within the calls of users, so they must not
 * throw, derive, look at a context or call user code.
 */
export interface TreeObserver {
  /**
   * A context, or a leaf that waits for one, was created. The fields of its
   * subclass are not set yet: read its label later.
   */
  created(node: Node): void;
  /** The node was marked with `ending`, in the call that ended it. */
  ended(node: Node, ending: Ending): void;
  /**
   * `describe` says what `ctx` is for. Contexts with the same function are parts of
   * the same work.
   */
  described(ctx: Context, purpose: Purpose, describe: () => string): void;
}

/** The observers, as one; undefined if there are none. */
export let observer: TreeObserver | undefined;

let observers: readonly TreeObserver[] = [];

/** Adds an observer until the result is disposed of. */
export function observeTree(added: TreeObserver): Disposable {
  use([...observers, added]);
  return {
    [Symbol.dispose]: () => use(observers.filter((other) => other !== added)),
  };
}

function use(next: readonly TreeObserver[]): void {
  observers = next;
  observer = next.length > 1 ? new FanOut(next) : next[0];
}

class FanOut implements TreeObserver {
  readonly #observers: readonly TreeObserver[];

  constructor(observers: readonly TreeObserver[]) {
    this.#observers = observers;
  }

  created(node: Node): void {
    for (const each of this.#observers) each.created(node);
  }

  ended(node: Node, ending: Ending): void {
    for (const each of this.#observers) each.ended(node, ending);
  }

  described(ctx: Context, purpose: Purpose, describe: () => string): void {
    for (const each of this.#observers) each.described(ctx, purpose, describe);
  }
}
