// Makes and ends a great many contexts under one that lives on, and prints the
// size of the heap on the way. Needs the flag --expose-gc of V8.

import {
  afterFunc,
  background,
  type CancelableContext,
  type Context,
  createKey,
  snapshot,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "../custom_context.ts";

const { gc } = globalThis as unknown as { gc(): void };

const hour = 3_600_000;
const key = createKey<number>("key");
const foreign = new AbortController();

/** One round under the context that lives on; run a great many times. */
type Once = (parent: CancelableContext, i: number) => void;

const programs: { [name: string]: [count: number, once: Once] } = {
  "withCancel": [1_000_000, (parent) => {
    withCancel(parent).cancel();
  }],

  "withCancel with its signal used": [1_000_000, (parent) => {
    using ctx = withCancel(parent);
    void ctx.signal;
  }],

  "withCancel with its promise used": [1_000_000, (parent) => {
    using ctx = withCancel(parent);
    ctx.done.then(() => {});
  }],

  "withTimeout": [1_000_000, (parent, i) => {
    using _ctx = withTimeout(parent, hour + i % 1000);
  }],

  "withTimeout with its signal used": [1_000_000, (parent, i) => {
    using ctx = withTimeout(parent, hour + i % 1000);
    void ctx.signal;
  }],

  "withTimeout that ends by itself": [200_000, (parent) => {
    void withTimeout(parent, 1).signal;
  }],

  "withValue over withCancel": [1_000_000, (parent, i) => {
    using _ctx = withCancel(withValue(parent, key, i));
  }],

  "withoutCancel": [1_000_000, (parent) => {
    withCancel(withoutCancel(parent));
  }],

  "afterFunc stopped": [1_000_000, (parent) => {
    const stop = afterFunc(parent, () => {});
    stop();
  }],

  "afterFunc run": [400_000, (parent) => {
    using ctx = withCancel(parent);
    afterFunc(ctx, () => {});
  }],

  "withSignal": [100_000, (parent) => {
    using _ctx = withSignal(parent, foreign.signal);
  }],

  "withSignal on a wrapper": [100_000, (parent) => {
    using _ctx = withSignal(new Wrapper(parent), foreign.signal);
  }],

  "child of a wrapper": [100_000, (parent) => {
    using _ctx = withCancel(new Wrapper(parent));
  }],

  "done parents": [400_000, (parent) => {
    const ctx = withCancel(parent);
    const child = withTimeout(withCancel(ctx), hour);
    void child.signal;
    afterFunc(child, () => {});
    ctx.cancel();
  }],
};

/** The size of the heap, when all that is over has been taken. */
async function size(parent: Context): Promise<number> {
  // Those that end by themselves have to come to it.
  do await new Promise((resolve) => setTimeout(resolve, 5)); while (
    snapshot(parent).children.length > 0
  );
  // Weakly held objects go a turn of the event loop later.
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve));
  }
  return Deno.memoryUsage().heapUsed;
}

const [count, once] = programs[Deno.args[0]!]!;
const parent = withCancel(background());
const heap: number[] = [];
const rounds = 5;
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < count / rounds; i++) {
    once(parent, i);
    // The microtasks must have their turn, or it is they that fill the heap.
    if (i % 10_000 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  heap.push(await size(parent));
}
const { afterFuncs, children } = snapshot(parent);
console.log(
  JSON.stringify({ heap, made: count, left: afterFuncs + children.length }),
);
// Left to itself, one run in 25 of Deno 2.9.6 crashes after this, in taking down a
// heap that has been as large (exit code 139).
Deno.exit();
