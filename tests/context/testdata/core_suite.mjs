// What must hold of context/ in every runtime. Run by node_test.ts on the built
// package: `node --test core_suite.mjs`.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  afterFunc,
  background,
  Canceled,
  cause,
  createKey,
  DeadlineExceeded,
  every,
  group,
  main,
  notifyContext,
  orDone,
  remaining,
  sleep,
  snapshot,
  untilDone,
  WaitGroup,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context/context";

test("a cancel ends the subtree at once, and nothing else", () => {
  const parent = withCancel(background());
  const child = withCancel(parent);
  const sibling = withCancel(parent);
  child.cancel("enough");
  assert.equal(child.signal.aborted, true);
  assert.equal(child.signal.reason, child.err);
  assert.equal(cause(child), "enough");
  assert.equal(sibling.err, undefined);
  parent.cancel();
  assert.equal(sibling.err, parent.err);
  assert.ok(parent.err instanceof Canceled);
  assert.ok(parent.err instanceof DOMException);
  assert.equal(parent.err.name, "AbortError");
});

test("signals taken earlier fire within cancel(), ancestors first", () => {
  const parent = withCancel(background());
  const child = withCancel(parent);
  const fired = [];
  child.signal.addEventListener("abort", () => fired.push("child"));
  parent.signal.addEventListener("abort", () => fired.push("parent"));
  parent.cancel();
  assert.deepEqual(fired, ["parent", "child"]);
});

test("main() and notifyContext() need Deno, and say so", () => {
  const saying = (caller) => ({
    name: "TypeError",
    message: new RegExp(`^${caller}: this needs Deno`),
  });
  assert.throws(() => main(() => {}), saying("main"));
  assert.throws(() => notifyContext(background()), saying("notifyContext"));
});

test("the whole package loads, and its servers say that they need Deno", async () => {
  const { dialTcp, serveHttp, serveTcp, serveUdp, udpPeers } = await import(
    "@curfew/context"
  );
  const options = { port: 0 };
  for (const serve of [serveHttp, serveTcp, serveUdp, udpPeers]) {
    assert.throws(() => serve(background(), options, () => {}), {
      name: "TypeError",
      message: new RegExp(`^${serve.name}: this needs Deno`),
    });
  }
  await assert.rejects(() => dialTcp(background(), options), {
    name: "TypeError",
    message: /^dialTcp: this needs Deno/,
  });
});

test("a deadline ends its context by itself", async () => {
  const ctx = withTimeout(background(), 5, { cause: "too slow" });
  await ctx.done;
  assert.ok(ctx.err instanceof DeadlineExceeded);
  assert.equal(cause(ctx), "too slow");
  assert.equal(remaining(ctx), 0);
});

test("a deadline that has passed is seen although no timer could fire", () => {
  const ctx = withTimeout(background(), 5);
  const start = Date.now();
  while (Date.now() - start <= 5);
  assert.equal(ctx.err?.name, "TimeoutError");
});

test("values go down, and nowhere else", () => {
  const key = createKey("user");
  const ctx = withValue(withCancel(background()), key, "ada");
  assert.equal(withoutCancel(ctx).value(key), "ada");
  assert.equal(ctx.value(createKey("user")), undefined);
  assert.equal(String(ctx), "background.withCancel.withValue(user)");
  assert.throws(() => ctx.value("user"), TypeError);
});

test("console.log() shows the calls that made a context", () => {
  assert.equal(inspect(withCancel(background())), "background.withCancel");
});

test("foreign signals are joined", () => {
  const foreign = new AbortController();
  const ctx = withSignal(background(), foreign.signal);
  foreign.abort("stop");
  assert.equal(cause(ctx), "stop");
});

test("afterFunc() runs once ctx is done, unless it is stopped", async () => {
  const ctx = withCancel(background());
  const ran = [];
  afterFunc(ctx, () => ran.push("one"));
  assert.equal(afterFunc(ctx, () => ran.push("two"))(), true);
  ctx.cancel();
  await ctx.done;
  assert.deepEqual(ran, ["one"]);
});

test("a platform call takes a context for its options", () => {
  const ctx = withCancel(background());
  const bus = new EventTarget();
  let heard = 0;
  bus.addEventListener("message", () => heard++, ctx);
  bus.dispatchEvent(new Event("message"));
  ctx.cancel();
  bus.dispatchEvent(new Event("message"));
  assert.equal(heard, 1);
});

test("sleep() and every() keep the process alive until they are over", async () => {
  const ctx = withCancel(background());
  await sleep(ctx, 2);
  const ticks = [];
  for await (const tick of every(ctx, 2)) {
    ticks.push(tick);
    if (ticks.length === 3) break;
  }
  assert.equal(ticks.length, 3);
  assert.deepEqual(snapshot(ctx).afterFuncs, 0);
  ctx.cancel();
});

test("orDone() and untilDone() end with ctx", async () => {
  // deno-lint-ignore curfew/lost-cancel -- ends at its deadline
  const ctx = withTimeout(background(), 5);
  await assert.rejects(
    () => orDone(ctx, new Promise(() => {})),
    (error) => error === ctx.err,
  );
  for await (const _ of untilDone(ctx, [1])) assert.fail();
});

test("a group gives the first error and cancels the others", async () => {
  const tasks = group(background(), { limit: 2 });
  tasks.go((ctx) => orDone(ctx, new Promise(() => {})));
  tasks.go(() => Promise.reject(new Error("first")));
  await assert.rejects(() => tasks.wait(), /first/);
});

test("untilDone() cancels a silent stream at the end of ctx, or when it is left", async () => {
  for (const how of ["ctx ends", "it is left"]) {
    const ctx = withCancel(background());
    let canceled = false;
    const stream = new ReadableStream({ cancel: () => void (canceled = true) });
    const items = untilDone(ctx, stream);
    const next = items.next();
    if (how === "ctx ends") ctx.cancel();
    else await items.return();
    assert.deepEqual(await next, { done: true, value: undefined });
    assert.deepEqual([canceled, stream.locked], [true, false]);
    ctx.cancel();
  }
});

test("a group returns results and keeps the async context of queued tasks", async () => {
  const id = new AsyncLocalStorage();
  const tasks = group(background(), { limit: 1 });
  const results = ["a", "b", "c"].map((name) =>
    id.run(name, () =>
      tasks.run(async () => {
        await sleep(background(), 1);
        return id.getStore();
      }))
  );
  assert.deepEqual(await Promise.all(results), ["a", "b", "c"]);
  await tasks.wait();
});

test("a group does not throw again at its end what run() has thrown", async () => {
  const tasks = group(background());
  const failing = () => tasks.run(() => Promise.reject(new Error("broken")));
  await assert.rejects(failing, /broken/);
  await tasks[Symbol.asyncDispose]();
});

test("a WaitGroup waits for all", async () => {
  const tasks = new WaitGroup();
  let ended = 0;
  for (let i = 0; i < 3; i++) {
    tasks.go(async () => {
      await sleep(background(), 1);
      ended++;
    });
  }
  await tasks.wait();
  assert.equal(ended, 3);
});
