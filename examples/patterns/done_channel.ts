/**
 * Stopping a task with a channel, and where that stops being pleasant.
 *
 * - In Go: `stop := make(chan bool)`. The task polls it in a `select` whose
 *   `default` does a second's work.
 * - One level of tasks needs no more. The price: the task notices at its next
 *   poll and not before. A value would reach one task only, so the channel is
 *   closed instead.
 * - With two levels, each level needs a channel of its own, and the tasks in
 *   between need code that passes the news on. If one forgets to, or fails first,
 *   the tasks below it run forever.
 * - Here: one context. It reaches every level by itself, in the middle of a wait,
 *   with the reason; a `group` waits for the tasks below, and ends them if one
 *   fails.
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
import { delay } from "@std/async/delay";

/** Go's `chan struct{}`: carries no values, and any number of tasks can see its end. */
class Stop {
  #closed = false;
  readonly #end = Promise.withResolvers<void>();

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the channel is closed. */
  get end(): Promise<void> {
    return this.#end.promise;
  }

  close(): void {
    this.#closed = true;
    this.#end.resolve();
  }
}

/** Polls the channel once a second. */
async function byChannel(stop: Stop, name: string): Promise<void> {
  while (!stop.closed) {
    console.log(`${name}: goes on`);
    await delay(second);
  }
  console.log(`${name}: stopped`);
}

/** A task with tasks below it, which has to pass the news on. */
async function parentByChannel(stop: Stop): Promise<void> {
  const stopBelow = new Stop();
  const below = [
    byChannel(stopBelow, "task 1.1"),
    byChannel(stopBelow, "task 1.2"),
  ];
  await stop.end;
  console.log("task 1: passes it on");
  stopBelow.close();
  await Promise.all(below);
  console.log("task 1: has ended after them");
}

async function byContext(ctx: Context, name: string): Promise<void> {
  for await (const _ of every(ctx, second)) console.log(`${name}: goes on`);
  console.log(`${name}: stopped, ${cause(ctx)}`);
}

/** The same with a context, which needs nothing passed on. */
async function parentByContext(ctx: Context): Promise<void> {
  await using below = group(ctx);
  below.go((ctx) => byContext(ctx, "task 1.1"));
  below.go((ctx) => byContext(ctx, "task 1.2"));
  await below.wait();
  console.log("task 1: has ended after them");
}

/** Stops one level with a channel, then two, then two with a context. */
async function stopThem(parent: Context): Promise<void> {
  const one = new Stop();
  const task = byChannel(one, "task");
  await sleep(parent, 4.5 * second);
  console.log("main: stop, by a channel");
  one.close();
  await task;

  const two = new Stop();
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
/** Pace of the tasks, in ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(stopThem);
