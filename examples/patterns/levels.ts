/**
 * Two levels of tasks, each with a time limit of its own: its end reaches those
 * below it, all of them, and nobody else.
 *
 *     main: 4 seconds for tasks 1, 2 and 3
 *     `- task 1: 2 seconds for tasks 1.1 and 1.2
 *
 * - In Go: `context.WithTimeout` at each level, `<-ctx.Done()` in each task. All
 *   of them see the same "context deadline exceeded", whichever limit it was,
 *   unless one takes `WithTimeoutCause` (Go 1.21).
 * - Here: each limit has a cause, and the tasks say which one has ended them. The
 *   deadlines of a tree come in their order, also on a machine too busy to look at
 *   the clock in between. A limit longer than the one above it would change
 *   nothing: nobody outlives a parent.
 *
 *     deno run examples/patterns/levels.ts
 *
 * ```text
 * task 1.1: ended, task 1's 2 s are over
 * task 1.2: ended, task 1's 2 s are over
 * task 1: goes on without them
 * task 2: ended, main's 4 s are over
 * task 3: ended, main's 4 s are over
 * task 1: ended, main's 4 s are over
 * main: all tasks have ended
 * ```
 *
 * @module
 */

import { cause, type Context, group, main, withTimeout } from "@curfew/context";

/** Works until ctx is done. */
async function work(ctx: Context, name: string): Promise<void> {
  await ctx.done;
  console.log(`${name}: ended, ${cause(ctx)}`);
}

/** Has tasks of its own, for half the time it has itself. */
async function task1(ctx: Context): Promise<void> {
  using limit = withTimeout(ctx, 2 * second, {
    cause: "task 1's 2 s are over",
  });
  await using below = group(limit);
  below.go((ctx) => work(ctx, "task 1.1"));
  below.go((ctx) => work(ctx, "task 1.2"));
  await below.wait();
  console.log("task 1: goes on without them");
  await work(ctx, "task 1");
}

async function levels(parent: Context): Promise<void> {
  using limit = withTimeout(parent, 4 * second, {
    cause: "main's 4 s are over",
  });
  await using below = group(limit);
  below.go(task1);
  below.go((ctx) => work(ctx, "task 2"));
  below.go((ctx) => work(ctx, "task 3"));
  await below.wait();
  console.log("main: all tasks have ended");
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** A second in ms; shorter with `--fast`. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(levels);
