/** Signals and promises of contexts. */

import type { Ending } from "./ending.ts";

/** A receiver of the end of a node. */
export interface Subscriber {
  /** Called once, after the node has been marked (tree.ts). */
  notify(ending: Ending): void;
}

/** Maximum depth of listeners that each abort the next signal by reading it. */
const deepestEarlyAbort = 32;

/** The signal and the promise of a node, created when first read. */
export class Observers implements Subscriber {
  /**
   * Never read. V8 discards the code that it has optimized for a class when a garbage
   * collection finds no instance; this one is always there.
   */
  static readonly #kept = new Observers();
  static #earlyAborts = 0;
  /** Cached: reading `signal.aborted` costs as much as this whole getter. */
  #isAborted = false;
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

  /**
   * The signal of a node that has been marked. If its turn to be notified has not
   * come, it is aborted early. Where that would nest too deeply, the reader gets
   * a stand-in that is aborted, and the signal itself is when its turn comes.
   */
  abortedSignal(ending: Ending): AbortSignal {
    if (this.#isAborted) return this.signal;
    if (this.#signal === undefined) {
      this.#isAborted = true;
      return this.#signal = AbortSignal.abort(ending.err);
    }
    if (Observers.#earlyAborts >= deepestEarlyAbort) {
      return AbortSignal.abort(ending.err);
    }
    Observers.#earlyAborts++;
    try {
      this.#abort(ending);
    } finally {
      Observers.#earlyAborts--;
    }
    return this.#signal;
  }

  /** The promise of a node that has been marked. */
  resolvedDone(): Promise<void> {
    const { done } = this;
    this.#resolve!();
    return done;
  }

  notify(ending: Ending): void {
    this.#resolve?.();
    this.#abort(ending);
  }

  #abort(ending: Ending): void {
    if (this.#isAborted || this.#controller === undefined) return;
    this.#isAborted = true;
    this.#controller.abort(ending.err);
  }
}
