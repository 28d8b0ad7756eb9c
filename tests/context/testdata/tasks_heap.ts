// Waits a great many times on one context that lives on, and prints the size of
// the heap from time to time. Needs V8's flag --expose-gc.

import {
  background,
  type CancelableContext,
  type Context,
  every,
  group,
  orDone,
  requestInit,
  sleep,
  snapshot,
  untilDone,
  WaitGroup,
  withCancel,
} from "@curfew/context";

const { gc } = globalThis as unknown as { gc(): void };

const hour = 3_600_000;

/** One of a great many waits on the context that lives on. */
type Once = (parent: CancelableContext) => void | Promise<void>;

/** Does nothing with its arguments. */
function ignore(): void {}

/** An iterable whose first item never comes. */
const stuck: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(ignore) }),
};

/** A WaitGroup with a task that never ends. */
const endless = new WaitGroup();
endless.add();

/** A signal of the program that lives as long as it does. */
const appSignal = new AbortController().signal;

// Fewer of those that need turns of the event loop. The waits of one batch are
// concurrent.
const programs: { [name: string]: [count: number, once: Once] } = {
  "sleep that ctx ends": [1_000_000, (parent) => {
    using ctx = withCancel(parent);
    sleep(ctx, hour).catch(ignore);
  }],

  "sleep that ends by itself": [100_000, (parent) => sleep(parent, 0)],

  "orDone that the promise ends": [1_000_000, async (parent) => {
    await orDone(parent, Promise.resolve());
  }],

  "orDone that a failure ends": [1_000_000, (parent) => {
    return orDone(parent, Promise.reject()).catch(ignore);
  }],

  "orDone that ctx ends": [1_000_000, (parent) => {
    using ctx = withCancel(parent);
    orDone(ctx, new Promise(ignore)).catch(ignore);
  }],

  "requestInit with a request": [100_000, (parent) => {
    const options = requestInit(parent, { signal: appSignal });
    new Request("http://localhost/", options);
  }],

  "every with break": [100_000, async (parent) => {
    for await (const _ of every(parent, 1)) break;
  }],

  "every that ctx ends": [100_000, async (parent) => {
    using ctx = withCancel(parent);
    const ticks = every(ctx, hour)[Symbol.asyncIterator]();
    const end = ticks.next();
    ctx.cancel();
    await end;
  }],

  "every that is left while it waits": [100_000, async (parent) => {
    const ticks = every(parent, hour);
    ticks.next();
    await ticks.return();
  }],

  "untilDone with break": [1_000_000, async (parent) => {
    for await (const _ of untilDone(parent, [1, 2, 3])) break;
  }],

  "untilDone that ctx ends": [100_000, async (parent) => {
    using ctx = withCancel(parent);
    const end = untilDone(ctx, stuck).next();
    ctx.cancel();
    await end;
  }],

  "untilDone that is left while it waits": [100_000, async (parent) => {
    const items = untilDone(parent, stuck);
    items.next();
    await items.return();
  }],

  "untilDone of a stream that ctx ends": [100_000, async (parent) => {
    using ctx = withCancel(parent);
    const end = untilDone(ctx, new ReadableStream()).next();
    ctx.cancel();
    await end;
  }],

  "group with a queue": [100_000, async (parent) => {
    const tasks = group(parent, { limit: 1 });
    tasks.go(ignore);
    tasks.go(ignore);
    await tasks.wait();
  }],

  "group with results": [100_000, async (parent) => {
    await using tasks = group(parent, { limit: 1 });
    await Promise.all([tasks.run(ignore), tasks.run(ignore)]);
  }],

  "group that is left": [100_000, async (parent) => {
    await using tasks = group(parent, { limit: 1 });
    tasks.go((ctx) => ctx.done);
    tasks.go(ignore);
  }],

  "WaitGroup whose wait ctx ends": [100_000, async (parent) => {
    using ctx = withCancel(parent);
    const wait = endless.wait(ctx);
    ctx.cancel();
    await wait.catch(ignore);
  }],

  "WaitGroup": [100_000, async (parent) => {
    const tasks = new WaitGroup();
    tasks.go(ignore);
    await tasks.wait(parent);
  }],
};

/** Returns the size of the heap after a garbage collection. */
async function size(): Promise<number> {
  // Weakly held objects are freed a turn of the event loop later.
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve));
    gc();
  }
  return Deno.memoryUsage().heapUsed;
}

/** Returns the number of children and leaves of `ctx`. */
function registered(ctx: Context): number {
  const { afterFuncs, children } = snapshot(ctx);
  return afterFuncs + children.length;
}

const [count, once] = programs[Deno.args[0]!]!;
const parent = withCancel(background());
const heap: number[] = [];
const rounds = 5;
const batch = 5_000;
for (let round = 0; round < rounds; round++) {
  for (let made = 0; made < count / rounds; made += batch) {
    await Promise.all(Array.from({ length: batch }, () => once(parent)));
  }
  heap.push(await size());
}
console.log(JSON.stringify({ heap, made: count, left: registered(parent) }));
// As in heap.ts.
Deno.exit();
