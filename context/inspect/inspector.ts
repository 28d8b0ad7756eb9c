/** Looking into a running program. */

import { assertOptions } from "../assert_options.ts";
import { shown } from "../shown.ts";
import type { EndedContext } from "./ended_context.ts";
import { EventQueue, type InspectEvent } from "./event_queue.ts";
import { type LiveTree, liveTree, type TreeLimits } from "./live_tree.ts";
import { Recorder } from "./recorder.ts";
import { type Suspects, suspects } from "./suspects.ts";

/** Options for {@linkcode inspect}. */
export interface InspectOptions {
  /**
   * Keeps the lines that create and end contexts: true for all, or the share of
   * contexts to sample, from 0 to 1. False by default. Each context then costs
   * about as much as a small request.
   */
  stacks?: boolean | number;
  /**
   * Number of ended contexts to keep; 200 by default. Half of them are those that
   * ended for a reason, which is a cause or a deadline, so that ordinary ends do not
   * push them out.
   */
  recent?: number;
}

/** A view of all contexts of the process; see {@linkcode inspect}. */
export interface Inspector extends Disposable, AsyncIterable<InspectEvent> {
  /**
   * Returns the open contexts. A context appears under the one it was made from,
   * even if it does not end with it: a request under its server.
   *
   * @param limits Bounds of the result; none by default. Contexts that they leave
   * out are counted.
   */
  tree(limits?: Partial<TreeLimits>): LiveTree;
  /** Returns what ended lately, the latest first. */
  recent(): EndedContext[];
  /**
   * Returns the open contexts that are older than `olderThan` ms, by the place that
   * created them, and those that were dropped without being ended. Servers, groups,
   * tasks, the context of `main` and contexts with others below them are left out.
   *
   * @param options Minimum age in ms; 60,000 by default.
   * @throws {RangeError} If `olderThan` is not a number of ms, 0 or more.
   */
  suspects(options?: { olderThan?: number }): Suspects;
  /**
   * Iterates over what happens from now on. The queue of a reader holds 1,000
   * events; more are dropped, and counted by an event of type `lost`.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<InspectEvent>;
  /** Stops recording, and ends the iterations. */
  [Symbol.dispose](): void;
}

/**
 * Starts to record the contexts of the process: what is open, what it is for and
 * since when, and what ended lately and why. Contexts that are older than the
 * inspector are shown if it can reach them from newer ones, without their age.
 *
 * An inspector keeps no context alive for longer than a second. It never shows
 * values, only the names of their keys; causes are shown as text.
 *
 * @param options Stacks and the number of ended contexts to keep.
 * @returns The inspector. Dispose of it to stop recording.
 * @throws {TypeError} If `options` is not an object.
 * @throws {RangeError} If `stacks` is a number that is not from 0 to 1, or `recent`
 * not an integer of at least 0.
 *
 * @example
 * ```ts
 * import { background, withCancel, withTimeout } from "@curfew/context";
 * import { inspect } from "@curfew/context/inspect";
 * import { assertEquals } from "@std/assert";
 *
 * using inspector = inspect({ stacks: true });
 * const ctx = withCancel(background());
 * using _step = withTimeout(ctx, 60_000);
 * const [top] = inspector.tree().children;
 * assertEquals(top?.children[0]?.label, "withDeadline");
 * ctx.cancel(new Error("the disk is full"));
 * assertEquals(inspector.recent()[0]?.causes, ["Error: the disk is full"]);
 * ```
 */
export function inspect(options: InspectOptions = {}): Inspector {
  assertOptions("inspect", options);
  const { stacks = false, recent = 200 } = options;
  const sampling = Number(stacks);
  if (!(sampling >= 0 && sampling <= 1)) {
    throw new RangeError(
      `inspect: expected stacks to be a boolean or a number from 0 to 1, got ${
        shown(stacks)
      }`,
    );
  }
  if (!(Number.isInteger(recent) && recent >= 0)) {
    throw new RangeError(
      `inspect: expected recent to be an integer >= 0, got ${shown(recent)}`,
    );
  }
  return new TreeInspector(new Recorder({ sampling, recent }));
}

class TreeInspector implements Inspector {
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  tree(limits: Partial<TreeLimits> = {}): LiveTree {
    const { children = Infinity, contexts = Infinity, depth = Infinity } =
      limits;
    return liveTree(this.#recorder, { children, contexts, depth });
  }

  recent(): EndedContext[] {
    return this.#recorder.recent();
  }

  suspects({ olderThan = 60_000 }: { olderThan?: number } = {}): Suspects {
    if (!(olderThan >= 0)) {
      throw new RangeError(
        `suspects: expected olderThan to be a number of ms >= 0, got ${
          shown(olderThan)
        }`,
      );
    }
    return suspects(this.#recorder, olderThan);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<InspectEvent> {
    return new EventQueue((queue) => this.#recorder.subscribe(queue));
  }

  [Symbol.dispose](): void {
    this.#recorder[Symbol.dispose]();
  }
}
