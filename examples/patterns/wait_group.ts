/**
 * Two tasks at once, and nothing ends before both are over.
 *
 * - In Go: a `sync.WaitGroup`. `Add(2)` before, `defer wg.Done()` in each task,
 *   `wg.Wait()` in main, which would end under its tasks otherwise. One `Done`
 *   forgotten, and it waits for ever; Go 1.25 has `wg.Go` for that.
 * - Here: `go` counts a task, and counts it off however it ends. `wait` rejects
 *   with the first error of a task, which in Go is lost, and it can be given a
 *   context that ends the wait. The tasks take one too, so Ctrl-C ends them.
 *
 *     deno run examples/patterns/wait_group.ts
 *
 * ```text
 * task 1: begins
 * task 2: begins
 * main: waits for 2 tasks
 * task 1: is over
 * task 2: is over
 * main: all tasks are over
 * ```
 *
 * @module
 */

import { type Context, main, sleep, WaitGroup } from "@curfew/context";

/** Something that takes two seconds. */
async function work(ctx: Context, name: string): Promise<void> {
  console.log(`${name}: begins`);
  await sleep(ctx, 2 * second);
  console.log(`${name}: is over`);
}

async function waitForBoth(ctx: Context): Promise<void> {
  const tasks = new WaitGroup();
  tasks.go(() => work(ctx, "task 1"));
  tasks.go(() => work(ctx, "task 2"));
  console.log(`main: waits for ${tasks.count} tasks`);
  await tasks.wait();
  console.log("main: all tasks are over");
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** A second in ms; shorter with `--fast`. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(waitForBoth);
