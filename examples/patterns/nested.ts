/**
 * Contexts under contexts: each task learns of the end of its own, or of any
 * above it, whichever comes first.
 *
 *     withCancel                        work1
 *     `- withDeadline, in 3 seconds     work2
 *        `- OtherContext, our own type
 *           `- withValue                work3
 *
 * - In Go: the same tree, with `type otherContext struct { context.Context }` in
 *   it, and sleeps long enough to see first the deadline end work2 and work3, then
 *   `cancel` end work1. The value's key is a string, which any package might use.
 * - Here: main waits for the tasks, not for a time. A context of another type is a
 *   good parent: its end and its values come through. The key comes from
 *   `createKey`, is typed, and equals no other.
 * - work3 hears of the end before work2: what `OtherContext` passes on is a signal,
 *   which is aborted before the waits on the same context are notified.
 *
 *     deno run examples/patterns/nested.ts
 *
 * ```text
 * work1: is running (no note)
 * work2: is running (no note)
 * work3: is running (andes, pass from main)
 * work3: is told: TimeoutError: context deadline exceeded
 * work2: is told: TimeoutError: context deadline exceeded
 * main: work2 and work3 have ended
 * work1: is running (no note)
 * work1: is told: main has nothing more to do
 * main: all have ended
 * ```
 *
 * @module
 */

import {
  cause,
  type Context,
  type ContextError,
  createKey,
  every,
  type Key,
  main,
  sleep,
  withCancel,
  withDeadline,
  withValue,
} from "@curfew/context";

/** A context type of our own; a real one might log or count. */
class OtherContext implements Context {
  readonly #inner: Context;

  constructor(inner: Context) {
    this.#inner = inner;
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  get done(): Promise<void> {
    return this.#inner.done;
  }

  get err(): ContextError | undefined {
    return this.#inner.err;
  }

  get deadline(): Date | undefined {
    return this.#inner.deadline;
  }

  value<T>(key: Key<T>): T | undefined {
    return this.#inner.value(key);
  }
}

const noteKey = createKey<string>("note");

async function work(ctx: Context, name: string): Promise<void> {
  const note = ctx.value(noteKey) ?? "no note";
  for await (const _ of every(ctx, 2 * second)) {
    console.log(`${name}: is running (${note})`);
  }
  console.log(`${name}: is told: ${cause(ctx)}`);
}

async function nest(parent: Context): Promise<void> {
  using a = withCancel(parent);
  using b = withDeadline(a, Date.now() + 3 * second);
  const c = withValue(new OtherContext(b), noteKey, "andes, pass from main");

  const work1 = work(a, "work1");
  const work2 = work(b, "work2");
  const work3 = work(c, "work3");
  await Promise.all([work2, work3]);
  console.log("main: work2 and work3 have ended");
  await sleep(parent, 2 * second);
  a.cancel("main has nothing more to do");
  await work1;
  console.log("main: all have ended");
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** Pace of the tasks, in ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(nest);
