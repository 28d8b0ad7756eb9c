/**
 * Stops a task that watches something, with a context.
 *
 * - In Go: `ctx, cancel := context.WithCancel(context.Background())`, a `select`
 *   with `<-ctx.Done()` in the task, `cancel()` in main, and a sleep of some
 *   seconds in the hope that the task has ended by then.
 * - Here: the loop over `every` ends with its context, at once and not at the next
 *   look, and knows the cause. Main waits for the task itself. Ctrl-C ends both,
 *   since the context is a child of the one that `main` makes.
 *
 *     deno run examples/patterns/one_watcher.ts
 *
 * ```text
 * watcher: look 1, all is well
 * watcher: look 2, all is well
 * watcher: look 3, all is well
 * watcher: look 4, all is well
 * watcher: look 5, all is well
 * main: stop
 * watcher: stopped, main has seen enough
 * main: the watcher has ended
 * ```
 *
 * @module
 */

import {
  cause,
  type Context,
  every,
  group,
  main,
  sleep,
  withCancel,
} from "@curfew/context";

async function watch(ctx: Context): Promise<void> {
  for await (const look of every(ctx, second)) {
    console.log(`watcher: look ${look}, all is well`);
  }
  console.log(`watcher: stopped, ${cause(ctx)}`);
}

async function watchForAWhile(parent: Context): Promise<void> {
  using ctx = withCancel(parent);
  await using tasks = group(ctx);
  tasks.go(watch);
  // In between two looks.
  await sleep(ctx, 5.5 * second);
  console.log("main: stop");
  ctx.cancel("main has seen enough");
  await tasks.wait();
  console.log("main: the watcher has ended");
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** A second in ms; shorter with `--fast`. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(watchForAWhile);
