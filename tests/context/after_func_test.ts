import { AsyncLocalStorage } from "node:async_hooks";
import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type CancelableContext,
  cause,
  type Context,
  snapshot,
  todo,
  withCancel,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { assertDone } from "./assert_done.ts";
import { ChildProcess } from "./child_process.ts";
import { OwnSignal } from "./custom_context.ts";

/** Counts its calls. */
function counter() {
  const f = () => void f.calls++;
  f.calls = 0;
  return f;
}

/** Resolves when all microtasks have run that wait now. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

Deno.test("afterFunc() does not run before ctx is done", async () => {
  using ctx = withCancel(background());
  const f = counter();
  afterFunc(ctx, f);
  await microtasks();
  assertEquals(f.calls, 0);
});

Deno.test("afterFunc() runs once after cancel", async () => {
  const ctx = withCancel(background());
  const f = counter();
  afterFunc(ctx, f);
  ctx.cancel();
  ctx.cancel();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() runs once after a timeout", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1000);
  const f = counter();
  afterFunc(ctx, f);
  time.tick(999);
  await microtasks();
  assertEquals(f.calls, 0);
  time.tick(1);
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() runs for a ctx that is done, but not within the call", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const f = counter();
  afterFunc(ctx, f);
  assertEquals(f.calls, 0);
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() never runs within cancel() itself", async () => {
  const ctx = withCancel(background());
  const f = counter();
  afterFunc(ctx, f);
  ctx.cancel();
  assertEquals(f.calls, 0);
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() runs for a cancel of an ancestor", async () => {
  const parent = withCancel(background());
  const f = counter();
  afterFunc(withCancel(parent), f);
  parent.cancel();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() calls without arguments", async () => {
  const ctx = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  afterFunc(ctx, (...args: unknown[]) => resolve(args));
  ctx.cancel("why");
  assertEquals(await promise, []);
});

Deno.test("stop() before ctx is done is true, and f never runs", async () => {
  const ctx = withCancel(background());
  const f = counter();
  const stop = afterFunc(ctx, f);
  assertEquals(stop(), true);
  ctx.cancel();
  await microtasks();
  assertEquals(f.calls, 0);
});

Deno.test("stop() a second time is false", () => {
  using ctx = withCancel(background());
  const stop = afterFunc(ctx, () => {});
  stop();
  assertEquals(stop(), false);
});

Deno.test("stop() after f ran is false", async () => {
  const ctx = withCancel(background());
  const stop = afterFunc(ctx, () => {});
  ctx.cancel();
  await microtasks();
  assertEquals(stop(), false);
});

Deno.test("stop() between cancel and f is false, and f runs", async () => {
  const ctx = withCancel(background());
  const f = counter();
  const stop = afterFunc(ctx, f);
  ctx.cancel();
  assertEquals(stop(), false);
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("stop() for a ctx that was done at the call is false", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const f = counter();
  assertEquals(afterFunc(ctx, f)(), false);
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("two registrations of one function are independent", async () => {
  const ctx = withCancel(background());
  const f = counter();
  const stop = afterFunc(ctx, f);
  afterFunc(ctx, f);
  assertEquals(snapshot(ctx).afterFuncs, 2);
  assertEquals(stop(), true);
  ctx.cancel();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("registrations run in the order in which they were made", async () => {
  const ctx = withCancel(background());
  const order: number[] = [];
  for (const i of [1, 2, 3]) afterFunc(ctx, () => order.push(i));
  ctx.cancel();
  await microtasks();
  assertEquals(order, [1, 2, 3]);
});

for (
  const [name, root] of [
    ["background()", background()],
    ["todo()", todo()],
    ["withoutCancel()", withoutCancel(background())],
  ] as const
) {
  Deno.test(`afterFunc() on ${name} never runs, and stop() is true once`, async () => {
    const f = counter();
    const stop = afterFunc(root, f);
    await microtasks();
    assertEquals([stop(), stop()], [true, false]);
    await microtasks();
    assertEquals(f.calls, 0);
  });
}

Deno.test("afterFunc() on a custom context runs when that is done", async () => {
  const ctx = new OwnSignal(background());
  const f = counter();
  afterFunc(ctx, f);
  await microtasks();
  assertEquals(f.calls, 0);
  ctx.end();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("stop() on a custom context keeps f from running", async () => {
  const ctx = new OwnSignal(background());
  const f = counter();
  const stop = afterFunc(ctx, f);
  assertEquals(stop(), true);
  ctx.end();
  await microtasks();
  assertEquals(f.calls, 0);
});

Deno.test("afterFunc() in an afterFunc runs too", async () => {
  const ctx = withCancel(background());
  const f = counter();
  afterFunc(ctx, () => afterFunc(ctx, f));
  ctx.cancel();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("afterFunc() in an abort listener of ctx runs too", async () => {
  const ctx = withCancel(background());
  const f = counter();
  ctx.signal.addEventListener("abort", () => afterFunc(ctx, f));
  ctx.cancel();
  await microtasks();
  assertEquals(f.calls, 1);
});

Deno.test("an afterFunc that throws stops no other and is an uncaught error of its own", async () => {
  const { code, stdout } = await new ChildProcess(
    "uncaught.ts",
    "afterFuncs that throw",
  )
    .end();
  const lines = stdout.trim().split("\n");
  assertEquals(lines[0], "cancel() has returned");
  assertEquals(lines.slice(1).toSorted(), [
    "fourth",
    "second",
    "uncaught: first",
    "uncaught: third",
  ]);
  assertEquals(code, 0);
});

/** A context that ends with `ctx`, and also with `other` and its cause. */
function merge(ctx: Context, other: Context): CancelableContext {
  const merged = withCancel(ctx);
  const stop = afterFunc(other, () => merged.cancel(cause(other)));
  afterFunc(merged, stop);
  return merged;
}

Deno.test("two contexts are merged by afterFunc() and withCancel()", async () => {
  const [one, two] = [withCancel(background()), withCancel(background())];
  const merged = merge(one, two);
  two.cancel("two's");
  await merged.done;
  assertDone(merged);
  assertEquals(cause(merged), "two's");
  one.cancel("one's");
  assertEquals(cause(merged), "two's");
});

Deno.test("a merged context that ends with the first leaves nothing on the second", async () => {
  const [one, two] = [withCancel(background()), withCancel(background())];
  const merged = merge(one, two);
  one.cancel("one's");
  await microtasks();
  assertEquals(cause(merged), "one's");
  assertEquals(snapshot(two).afterFuncs, 0);
});

Deno.test("a read from a socket is interrupted by afterFunc()", async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const [conn, peer] = await Promise.all([
    Deno.connect({ port: listener.addr.port, hostname: "127.0.0.1" }),
    listener.accept(),
  ]);
  using _peer = peer;
  const ctx = withCancel(background());
  const stop = afterFunc(ctx, () => conn.close());
  const read = assertRejects(() => conn.read(new Uint8Array(1)));
  ctx.cancel();
  await read;
  assertEquals(stop(), false);
});

for (const wrong of [null, undefined, {}, 7]) {
  Deno.test(`afterFunc() on ${wrong} is a TypeError`, () => {
    assertThrows(
      () => afterFunc(wrong as Context, () => {}),
      TypeError,
      "afterFunc",
    );
  });
}

Deno.test("afterFunc() of no function is a TypeError, and nothing is registered", () => {
  using ctx = withCancel(background());
  const wrong = undefined as unknown as () => void;
  assertThrows(() => afterFunc(ctx, wrong), TypeError, "afterFunc");
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("afterFunc() sees the context as it ended", async () => {
  const ctx = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<unknown>();
  afterFunc(ctx, () => resolve(ctx.err));
  ctx.cancel();
  assertStrictEquals(await promise, ctx.err);
});

Deno.test("afterFunc() runs f in the async context of the cancellation, unless f is bound", async () => {
  const id = new AsyncLocalStorage<string>();
  const ctx = withCancel(background());
  const seen: unknown[] = [];
  id.run("registration", () => {
    afterFunc(ctx, () => seen.push(id.getStore()));
    afterFunc(ctx, AsyncLocalStorage.bind(() => seen.push(id.getStore())));
  });
  id.run("cancellation", ctx.cancel);
  await microtasks();
  assertEquals(seen, ["cancellation", "registration"]);
});
