/** The beginning of a shutdown, for work that is still in flight. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { createKey, type Key } from "./key.ts";
import { label, Node, QuietWatch, Tie } from "./tree.ts";

/**
 * The context whose end begins the drain that concerns a context below. Set by
 * `withGrace`, and by servers for their handlers.
 */
export const drainingKey: Key<Context> = createKey("draining");

/** The result for each context, so that asking again adds nothing to the tree. */
const drains = new WeakMap<Context, Context>();

/**
 * Returns a context that is done when the shutdown begins, or when `ctx` is done,
 * whichever is first. The ctx of a request, a connection or a job stays open until
 * the end of the grace period, so that it can be finished; anything that could go
 * on for as long, such as an event stream, ends with `draining(ctx)` instead.
 *
 * The shutdown begins when the context of the server, or the parent of the nearest
 * `withGrace`, is done; for a server after its lame-duck period. Without either
 * above it, the result is done when `ctx` is. Its deadline is that of whichever
 * comes first.
 *
 * @param ctx The context of a handler, or one derived from it.
 * @returns A context with the values of `ctx`; always the same for the same `ctx`.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example An event stream that says goodbye
 * ```ts
 * import { background, draining, every, withCancel, withGrace } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const service = withCancel(background());
 * using ctx = withGrace(service, 1_000); // a server gives its handlers such a ctx
 * const sent: string[] = [];
 * for await (const tick of every(draining(ctx), 1)) {
 *   sent.push(`tick ${tick}`);
 *   service.cancel();
 * }
 * if (ctx.err === undefined) sent.push("goodbye"); // there is time for this
 * assertEquals(sent, ["tick 1", "goodbye"]);
 * ```
 */
export function draining(ctx: Context): Context {
  assertContext("draining", ctx);
  const beginning = ctx.value(drainingKey);
  if (beginning === undefined) return ctx;
  let drain = drains.get(ctx);
  if (drain === undefined) {
    drain = new Drain(ctx, beginning);
    drains.set(ctx, drain);
  }
  return drain;
}

/** Ends with its parent or with the context whose end begins the drain. */
class Drain extends Node {
  constructor(ctx: Context, beginning: Context) {
    super(ctx);
    if (Node.isMarked(this)) return;
    Node.adoptDue(this, beginning);
    Node.tie(this, new DrainTie(this, beginning));
  }

  override get [label](): string {
    return "draining";
  }
}

class DrainTie extends Tie {
  readonly #beginning: Context;
  readonly #watch: QuietWatch;

  constructor(drain: Drain, beginning: Context) {
    super(drain, Node.tieOf(drain));
    this.#beginning = beginning;
    this.#watch = new QuietWatch(beginning, (ending) => Node.end(drain, ending))
      .start();
  }

  override get due(): number {
    return Node.due(this.#beginning);
  }

  override refresh(): void {
    const ending = Node.endingOf(this.#beginning);
    if (ending !== undefined) Node.mark(this.node, ending);
  }

  override release(): void {
    this.#watch.stop();
  }
}
