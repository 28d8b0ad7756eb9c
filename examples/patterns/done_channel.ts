/**
 * Stopping a task by a channel, and where that stops being pleasant.
 *
 * - In Go: `stop := make(chan bool)`, and in the task a `select` that looks into
 *   it, does a second's work by `default`, and looks again.
 * - With one level of tasks that is all it takes. What it costs: the task is told
 *   at its next look and not before. To send a value would tell one task only, so
 *   the channel is closed.
 * - With two levels each level needs a channel of its own, and the tasks in
 *   between the code that passes the news on. Where one forgets to, or fails
 *   before it could, those under it run for ever.
 * - Here: one context. It reaches every level by itself, in the middle of a wait,
 *   with the reason; a `group` waits for those below, and ends them if one fails.
 *
 *     deno run examples/patterns/done_channel.ts
 *
 * ```text
 * task: goes on
 * task: goes on
 * task: goes on
 * task: goes on
 * task: goes on
 * main: stop, by a channel
 * task: stopped
 * task 1.1: goes on
 * task 1.2: goes on
 * task 1.1: goes on
 * task 1.2: goes on
 * main: stop both levels, by a channel each
 * task 1: passes it on
 * task 1.1: stopped
 * task 1.2: stopped
 * task 1: has ended after them
 * task 1.1: goes on
 * task 1.2: goes on
 * main: stop both levels, by a context
 * task 1.1: stopped, that will do
 * task 1.2: stopped, that will do
 * task 1: has ended after them
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
import { Channel } from "@std/async/channel";
import { delay } from "@std/async/delay";

/** Nothing is ever sent: it is closed, which any number of tasks can see. */
type Stop = Channel<never>;

/** Looks every second whether it may go on. */
async function byChannel(stop: Stop, name: string): Promise<void> {
  while (stop.tryReceive().state === "empty") {
    console.log(`${name}: goes on`);
    await delay(second);
  }
  console.log(`${name}: stopped`);
}

/** A task with tasks under it: hears of the end, and has to pass it on. */
async function parentByChannel(stop: Stop): Promise<void> {
  const stopBelow: Stop = new Channel();
  const below = [
    byChannel(stopBelow, "task 1.1"),
    byChannel(stopBelow, "task 1.2"),
  ];
  await stop.receive().catch(() => console.log("task 1: passes it on"));
  stopBelow.close();
  await Promise.all(below);
  console.log("task 1: has ended after them");
}

async function byContext(ctx: Context, name: string): Promise<void> {
  for await (const _ of every(ctx, second)) console.log(`${name}: goes on`);
  console.log(`${name}: stopped, ${cause(ctx)}`);
}

/** The same with a context: there is nothing to pass on. */
async function parentByContext(ctx: Context): Promise<void> {
  await using below = group(ctx);
  below.go((ctx) => byContext(ctx, "task 1.1"));
  below.go((ctx) => byContext(ctx, "task 1.2"));
  await below.wait();
  console.log("task 1: has ended after them");
}

/** Stops a task of one level, then one of two, then the same by a context. */
async function stopThem(parent: Context): Promise<void> {
  const one: Stop = new Channel();
  const task = byChannel(one, "task");
  await sleep(parent, 4.5 * second);
  console.log("main: stop, by a channel");
  one.close();
  await task;

  const two: Stop = new Channel();
  const tasks = parentByChannel(two);
  await sleep(parent, 1.5 * second);
  console.log("main: stop both levels, by a channel each");
  two.close();
  await tasks;

  using ctx = withCancel(parent);
  const sameTasks = parentByContext(ctx);
  await sleep(parent, 1.5 * second);
  console.log("main: stop both levels, by a context");
  ctx.cancel("that will do");
  await sameTasks;
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** In ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(stopThem);
