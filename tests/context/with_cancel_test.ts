import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type CancelableContext,
  Canceled,
  cause,
  type Context,
  createKey,
  snapshot,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { ChildProcess } from "./child_process.ts";
import { Wrapper } from "./custom_context.ts";

const key = createKey<string>("key");

/** Returns the number of contexts and afterFuncs that are registered on `ctx`. */
function registered(ctx: Context): number {
  const { afterFuncs, children } = snapshot(ctx);
  return afterFuncs + children.length;
}

/** A tree of six: root over left and right, each over two more. */
function family() {
  const root = withCancel(background());
  const [left, right] = [withCancel(root), withCancel(root)];
  const [a, b] = [withCancel(left), withCancel(left)];
  const [c, d] = [withCancel(right), withCancel(right)];
  return { root, left, right, a, b, c, d };
}

/** `length` contexts one under the other; the first and the last of them. */
function chain(length: number, derive: (ctx: Context) => Context) {
  const first = withCancel(background());
  let last: Context = first;
  for (let i = 1; i < length; i++) last = derive(last);
  return { first, last };
}

Deno.test("withCancel() is open until its cancel is called", () => {
  const ctx = withCancel(background());
  assertOpen(ctx);
  ctx.cancel();
  assertInstanceOf(assertDone(ctx), Canceled);
});

Deno.test("withCancel(), a wrapper around it and a child of that end with one err, at once", () => {
  const ctx = withCancel(background());
  const wrapper = new Wrapper(ctx);
  const child = withCancel(wrapper);
  [ctx, wrapper, child].forEach(assertOpen);
  ctx.cancel();
  const err = assertDone(ctx);
  assertStrictEquals(assertDone(wrapper), err);
  assertStrictEquals(assertDone(child), err);
});

Deno.test("cancel() of a child leaves its parent and its siblings alone", () => {
  const { root, left, right } = family();
  left.cancel();
  assertDone(left);
  assertOpen(root);
  assertOpen(right);
});

const subtrees: Record<string, string[]> = {
  root: ["root", "left", "right", "a", "b", "c", "d"],
  left: ["left", "a", "b"],
  right: ["right", "c", "d"],
  a: ["a"],
  d: ["d"],
};
for (const [name, subtree] of Object.entries(subtrees)) {
  Deno.test(`cancel() of ${name} ends exactly ${subtree.join(", ")}`, () => {
    const tree: Record<string, CancelableContext> = family();
    tree[name]!.cancel();
    const done = Object.keys(tree).filter((each) => tree[each]!.err);
    assertEquals(done.sort(), subtree.toSorted());
  });
}

Deno.test("a context has one entry while a child of it is open", () => {
  const ctx = withCancel(background());
  assertEquals(registered(ctx), 0);
  const child = withCancel(ctx);
  assertEquals(registered(ctx), 1);
  child.cancel();
  assertEquals(registered(ctx), 0);
});

Deno.test("a context has one entry while a timeout child of it is open", () => {
  const ctx = withCancel(background());
  const child = withTimeout(ctx, 1000);
  assertEquals(registered(ctx), 1);
  child.cancel();
  assertEquals(registered(ctx), 0);
});

Deno.test("a context has no entry for a child whose time is over", () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const child = withTimeout(ctx, 1000);
  time.tick(1000);
  assertEquals(registered(ctx), 0);
  assertDone(child, "TimeoutError");
});

Deno.test("a context has one entry until an afterFunc on it is stopped", () => {
  const ctx = withCancel(background());
  const stop = afterFunc(ctx, () => {});
  assertEquals(registered(ctx), 1);
  stop();
  assertEquals(registered(ctx), 0);
});

Deno.test("a value context is no entry: what is under it links to the nearest cancelable", () => {
  const ctx = withCancel(background());
  const value = withValue(withValue(ctx, key, "a"), key, "b");
  assertEquals(registered(ctx), 0);
  const child = withCancel(value);
  assertEquals(registered(ctx), 1);
  child.cancel();
  assertEquals(registered(ctx), 0);
});

Deno.test("a canceled context has no entries", () => {
  const { root, left } = family();
  afterFunc(left, () => {});
  root.cancel();
  assertEquals(registered(root), 0);
  assertEquals(registered(left), 0);
});

Deno.test("entries are taken out in any order", () => {
  const parent = withCancel(background());
  const children = Array.from({ length: 5 }, () => withCancel(parent));
  for (const [i, left] of [[2, 4], [0, 3], [4, 2], [1, 1], [3, 0]] as const) {
    children[i]!.cancel();
    assertEquals(registered(parent), left);
  }
  using _another = withCancel(parent);
  assertEquals(registered(parent), 1);
});

Deno.test("withCancel() on a done parent is done at construction, with its err and cause", () => {
  const parent = withCancel(background());
  parent.cancel("enough");
  const child = withCancel(parent);
  assertStrictEquals(assertDone(child), parent.err);
  assertEquals(cause(child), "enough");
  assertEquals(registered(parent), 0);
});

Deno.test("withCancel() in an abort listener of the parent is done at construction", () => {
  const parent = withCancel(background());
  let child: CancelableContext | undefined;
  parent.signal.addEventListener("abort", () => {
    child = withCancel(parent);
    assertStrictEquals(assertDone(child), parent.err);
  });
  parent.cancel("enough");
  assertEquals(cause(child!), "enough");
});

Deno.test("withCancel() under a descendant, in an abort listener of the ancestor, is done at construction", () => {
  const { root, a } = family();
  let child: CancelableContext | undefined;
  root.signal.addEventListener("abort", () => {
    child = withCancel(a);
    assertStrictEquals(assertDone(child), root.err);
  });
  root.cancel("enough");
  assertEquals(cause(child!), "enough");
});

Deno.test("withCancel() in an afterFunc of the parent is done at construction", async () => {
  const parent = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<CancelableContext>();
  afterFunc(parent, () => resolve(withCancel(parent)));
  parent.cancel("enough");
  const child = await promise;
  assertStrictEquals(assertDone(child), parent.err);
  assertEquals(cause(child), "enough");
});

Deno.test("cancel() a second time changes neither err nor cause", () => {
  const ctx = withCancel(background());
  ctx.cancel("first");
  const err = assertDone(ctx);
  ctx.cancel("second");
  assertStrictEquals(assertDone(ctx), err);
  assertEquals(cause(ctx), "first");
});

Deno.test("err is the same object on every read", () => {
  const ctx = withCancel(background());
  ctx.cancel("why");
  assertStrictEquals(ctx.err, ctx.err);
  assertStrictEquals(withCancel(ctx).err, ctx.err);
});

Deno.test("cancel() needs no receiver: it can be handed on as a function", () => {
  const ctx = withCancel(background());
  const { cancel } = ctx;
  [new Error("why")].forEach((error) => cancel(error));
  assertDone(ctx);
  assertStrictEquals(ctx.cancel, cancel);
});

Deno.test("using ends the context with its block, without a cause", () => {
  let kept: Context;
  {
    using ctx = withCancel(background());
    assertOpen(kept = ctx);
  }
  assertStrictEquals(cause(kept), assertDone(kept));
});

Deno.test("using leaves the cause alone that a cancel gave before", () => {
  let kept: Context;
  {
    using ctx = withCancel(background());
    kept = ctx;
    ctx.cancel("why");
  }
  assertEquals(cause(kept), "why");
});

Deno.test("done resolves, and does not reject, when the context is canceled", async () => {
  const ctx = withCancel(background());
  const { done } = ctx;
  ctx.cancel(new Error("why"));
  assertEquals(await done, undefined);
});

Deno.test("done has not resolved before the context is done", async () => {
  const ctx = withCancel(background());
  let settled = false;
  const done = ctx.done.then(() => settled = true);
  await Promise.resolve();
  assertEquals(settled, false);
  ctx.cancel();
  await done;
});

Deno.test("done of a context that is done already resolves", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  assertEquals(await ctx.done, undefined);
});

Deno.test("done and signal are made once", () => {
  using ctx = withCancel(background());
  assertStrictEquals(ctx.done, ctx.done);
  assertStrictEquals(ctx.signal, ctx.signal);
  const { signal } = ctx;
  ctx.cancel();
  assertStrictEquals(ctx.signal, signal);
});

Deno.test("cancel() has ended every descendant when it returns", () => {
  const tree = family();
  const signals = Object.values(tree).map((ctx) => ctx.signal);
  tree.root.cancel();
  assertEquals(signals.map((signal) => signal.aborted), Array(7).fill(true));
});

Deno.test("signals taken earlier fire ancestors first, whatever order they were taken in", () => {
  const tree = family();
  const order: string[] = [];
  for (const [name, ctx] of Object.entries(tree).reverse()) {
    ctx.signal.addEventListener("abort", () => order.push(name));
  }
  tree.root.cancel();
  assertEquals(order, ["root", "left", "right", "a", "b", "c", "d"]);
});

Deno.test("a listener sees no half-canceled tree, wherever in it it looks", () => {
  const tree = family();
  const everybody = Object.values(tree);
  let looks = 0;
  for (const ctx of everybody) {
    ctx.signal.addEventListener("abort", () => {
      for (const other of everybody) assertDone(other);
      looks++;
    });
  }
  tree.root.cancel();
  assertEquals(looks, everybody.length);
});

Deno.test("a listener sees open what is outside the subtree that is canceled", () => {
  const { root, left, right, a, c } = family();
  let looks = 0;
  a.signal.addEventListener("abort", () => {
    for (const other of [root, right, c]) assertOpen(other);
    assertDone(left);
    looks++;
  });
  left.cancel();
  assertEquals(looks, 1);
});

Deno.test("a listener that asks for a signal for the first time gets an aborted one", () => {
  const { root, d } = family();
  let seen: boolean | undefined;
  root.signal.addEventListener("abort", () => seen = d.signal.aborted);
  root.cancel();
  assertEquals(seen, true);
});

Deno.test("a listener that reads a descendant's signal finds it aborted, and each listener runs once", () => {
  const { root, left, a, b } = family();
  const order: string[] = [];
  root.signal.addEventListener("abort", () => {
    order.push("root");
    assert(a.signal.aborted);
    order.push("read");
  });
  for (const [name, ctx] of Object.entries({ left, a, b })) {
    ctx.signal.addEventListener("abort", () => order.push(name));
  }
  root.cancel();
  assertEquals(order, ["root", "a", "read", "left", "b"]);
});

Deno.test("a listener that awaits done of a descendant gets its answer", async () => {
  const { root, d } = family();
  const { promise, resolve } = Promise.withResolvers<Promise<void>>();
  root.signal.addEventListener("abort", () => resolve(d.done));
  root.cancel();
  await promise;
});

Deno.test("cancel() in a listener of another's cancel is complete when it returns", () => {
  const one = family();
  const two = family();
  let seen = 0;
  two.d.signal.addEventListener("abort", () => seen++);
  one.root.signal.addEventListener("abort", () => {
    two.root.cancel("inner");
    assertEquals(seen, 1);
    Object.values(two).forEach((ctx) => assertDone(ctx));
  });
  one.root.cancel("outer");
  assertEquals(cause(one.d), "outer");
  assertEquals(cause(two.d), "inner");
});

Deno.test("cancel() of a context in a listener of its own cancel changes nothing", () => {
  const { root, d } = family();
  root.signal.addEventListener("abort", () => {
    root.cancel("inner");
    d.cancel("inner");
  });
  root.cancel("outer");
  assertEquals(cause(root), "outer");
  assertEquals(cause(d), "outer");
});

Deno.test("cancel() of an ancestor in a listener of a descendant ends the rest with its cause", () => {
  const { root, left, right, a } = family();
  a.signal.addEventListener("abort", () => root.cancel("inner"));
  a.cancel("outer");
  assertEquals([a, left, right, root].map(cause), [
    "outer",
    "inner",
    "inner",
    "inner",
  ]);
});

Deno.test("cancel() of every context in the listener of the one before it ends all", () => {
  const contexts = Array.from({ length: 100 }, () => withCancel(background()));
  contexts.forEach((ctx, i) => {
    ctx.signal.addEventListener("abort", () => contexts[i + 1]?.cancel(i));
  });
  contexts[0]!.cancel();
  contexts.forEach((ctx) => assertDone(ctx));
  assertEquals(cause(contexts[99]!), 98);
});

/** All orders in which one can take what is in `items`. */
function permutations<T>(items: T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, i) =>
    permutations(items.toSpliced(i, 1)).map((rest) => [first, ...rest])
  );
}

Deno.test("cancels of a tree in any order leave all done, each with its first cause", () => {
  const names = ["root", "left", "a", "c", "right"] as const;
  const parents = {
    root: "",
    left: "root",
    a: "left",
    c: "right",
    right: "root",
  };
  for (const order of permutations([...names])) {
    const tree = family();
    const causes: Record<string, string> = {};
    for (const name of order) {
      tree[name].cancel(name);
      for (const each of names) {
        let at: string = each;
        while (at !== "" && at !== name) {
          at = parents[at as keyof typeof parents];
        }
        if (at === name) causes[each] ??= name;
      }
    }
    for (const name of names) assertEquals(cause(tree[name]), causes[name]);
    assertDone(tree.b);
    assertDone(tree.d);
  }
});

Deno.test("an abort listener that throws stops no other and is an uncaught error of its own", async () => {
  const { code, stdout } = await new ChildProcess(
    "uncaught.ts",
    "abort listeners that throw",
  ).end();
  assertEquals(stdout.trim().split("\n"), [
    "uncaught: parent's",
    "second of parent",
    "uncaught: child's",
    "second of child",
    "cancel() has returned",
    "true true",
  ]);
  assertEquals(code, 0);
});

Deno.test("an abort listener that throws ends the process if nobody prevents it", async () => {
  const { code, stderr } = await new ChildProcess(
    "uncaught.ts",
    "nobody prevents it",
  )
    .end();
  assertEquals(code, 1);
  assert(stderr.includes("Uncaught"), stderr);
  assert(stderr.includes("from the listener"), stderr);
});

Deno.test("a dropped middle context cuts nothing below it off", async () => {
  const { stdout } = await new ChildProcess(
    "garbage.ts",
    "middle",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(stdout, "AbortError: root's cause\n");
});

Deno.test("a dropped parent cancels nothing", async () => {
  const { stdout } = await new ChildProcess(
    "garbage.ts",
    "parent",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(stdout, "open\n");
});

Deno.test("a listener runs although nothing else refers to the context", async () => {
  const { stdout } = await new ChildProcess(
    "garbage.ts",
    "listener",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(stdout, "told\n");
});

Deno.test("a context that is done and dropped is collected under a live parent", async () => {
  const { stdout } = await new ChildProcess(
    "garbage.ts",
    "child",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(stdout, "collected: true\n");
});

Deno.test("a context that is done holds none that ended with it", async () => {
  const { stdout } = await new ChildProcess(
    "garbage.ts",
    "siblings",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(stdout, "collected: true\nAbortError\n");
});

Deno.test("a chain of 100,000 contexts is built, read and canceled", () => {
  const { first, last } = chain(100_000, withCancel);
  assertOpen(last);
  first.cancel("why");
  assertStrictEquals(assertDone(last), first.err);
  assertEquals(cause(last), "why");
});

Deno.test("a chain of 100,000 contexts is canceled from its lower end", () => {
  const all: CancelableContext[] = [withCancel(background())];
  while (all.length < 100_000) all.push(withCancel(all.at(-1)!));
  for (const ctx of all.toReversed()) ctx.cancel();
  assertDone(all[0]!);
  assertEquals(registered(all[0]!), 0);
});

Deno.test("a chain of 100,000 contexts, each with its signal taken, is canceled", () => {
  const signals: AbortSignal[] = [];
  const { first } = chain(100_000, (ctx) => {
    const child = withCancel(ctx);
    signals.push(child.signal);
    return child;
  });
  first.cancel();
  assertEquals(signals.every((signal) => signal.aborted), true);
});

Deno.test("a chain of 100,000 mixed contexts has its values, its string and its snapshot", () => {
  const bottom = createKey<number>("bottom");
  let i = 0;
  const { first, last } = chain(
    100_000,
    (ctx) => i++ % 2 === 0 ? withValue(ctx, bottom, i) : withCancel(ctx),
  );
  assertEquals(last.value(bottom), 99_999);
  assertEquals(last.value(key), undefined);
  assertEquals(
    String(last),
    "background.withCancel" + ".withValue(bottom).withCancel".repeat(49_999) +
      ".withValue(bottom)",
  );
  let depth = 0;
  for (
    let at = snapshot(first).children[0];
    at !== undefined;
    at = at.children[0]
  ) depth++;
  assertEquals(depth, 49_999);
  first.cancel();
  assertDone(last);
});

Deno.test("fetch() with the signal of a context that is done rejects with its err", async () => {
  const ctx = withCancel(background());
  ctx.cancel("why");
  const thrown = await assertRejects(() =>
    fetch("data:,hello", { signal: ctx.signal })
  );
  assertStrictEquals(thrown, ctx.err);
});

Deno.test("fetch() in flight rejects with err when its context is canceled", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => {
      asked.resolve();
      return answer.promise;
    },
  );
  const ctx = withCancel(background());
  const reply = fetch(`http://127.0.0.1:${server.addr.port}/`, {
    signal: ctx.signal,
  });
  await asked.promise;
  ctx.cancel("why");
  const thrown = await assertRejects(() => reply);
  assertStrictEquals(thrown, ctx.err);
  answer.resolve(new Response());
});

for (const parent of [null, undefined]) {
  Deno.test(`withCancel(${parent}) is a TypeError that says so`, () => {
    assertThrows(
      () => withCancel(parent as unknown as Context),
      TypeError,
      "expected a context, got ",
    );
  });
}
