/**
 * Stops three tasks at once, with one `cancel`.
 *
 * - In Go: the same `ctx` is given to three goroutines, and `cancel()` closes the
 *   channel that each of them selects on. Main cannot see which of them
 *   have ended without a `sync.WaitGroup` beside it.
 * - Here: when `cancel` returns, every context under it is done, as main shows by
 *   looking. The `group` knows its tasks, so to wait for them takes nothing more.
 *
 *     deno run examples/patterns/many_watchers.ts
 *
 * ```text
 * gate: watches
 * tower: watches
 * cellar: watches
 * main: 3 tasks are to stop
 * main: their context is done: true
 * gate: stopped, the night is over
 * tower: stopped, the night is over
 * cellar: stopped, the night is over
 * main: all have ended
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

async function watch(ctx: Context, name: string): Promise<void> {
  for await (const _ of every(ctx, 2 * second)) {
    console.log(`${name}: watches`);
  }
  console.log(`${name}: stopped, ${cause(ctx)}`);
}

async function watchAll(parent: Context): Promise<void> {
  using ctx = withCancel(parent);
  await using tasks = group(ctx);
  for (const name of ["gate", "tower", "cellar"]) {
    tasks.go((ctx) => watch(ctx, name));
  }
  await sleep(ctx, 3 * second);
  console.log(`main: ${tasks.active} tasks are to stop`);
  ctx.cancel("the night is over");
  console.log(`main: their context is done: ${tasks.ctx.err !== undefined}`);
  await tasks.wait();
  console.log("main: all have ended");
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** A second in ms; shorter with `--fast`. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(watchAll);
