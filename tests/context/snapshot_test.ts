import { assertEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type Context,
  createKey,
  snapshot,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";

const key = createKey<string>("key");

/** Start of the fake time. */
const noon = Date.UTC(2026, 10, 22, 12);

Deno.test("snapshot() is a plain copy of the tree from ctx down", () => {
  using _time = new FakeTime(noon);
  using root = withCancel(background());
  using _first = withCancel(root);
  using step = withTimeout(withValue(root, key, "secret"), 1500);
  using _below = withSignal(step, new AbortController().signal);
  afterFunc(root, () => {});
  afterFunc(step, () => {});
  afterFunc(step, () => {});
  const deadline = new Date(noon + 1500);
  const timed = "background.withCancel.withValue(key)" +
    ".withDeadline(2026-11-22T12:00:01.500Z [1500ms])";
  assertEquals(snapshot(root), {
    label: "background.withCancel",
    afterFuncs: 1,
    children: [
      {
        label: "background.withCancel.withCancel",
        afterFuncs: 0,
        children: [],
      },
      {
        label: timed,
        deadline,
        afterFuncs: 2,
        children: [{
          label: `${timed}.withSignal`,
          deadline,
          afterFuncs: 0,
          children: [],
        }],
      },
    ],
  });
});

Deno.test("snapshot() of a value context is that of the context it is based on", () => {
  using ctx = withCancel(background());
  using _child = withCancel(ctx);
  assertEquals(snapshot(withValue(ctx, key, "value")), snapshot(ctx));
});

Deno.test("snapshot() of a context that is done has its err and nothing under it", () => {
  const ctx = withCancel(background());
  withCancel(ctx);
  afterFunc(ctx, () => {});
  ctx.cancel("why");
  assertEquals(snapshot(ctx), {
    label: "background.withCancel",
    err: ctx.err!,
    afterFuncs: 0,
    children: [],
  });
});

Deno.test("snapshot() leaves out a child whose time is over though no timer has fired", () => {
  using root = withCancel(background());
  const step = withTimeout(root, 2);
  while (Date.now() <= step.deadline!.getTime());
  assertEquals(snapshot(root).children, []);
});

Deno.test("snapshot() does not show what is under withoutCancel()", () => {
  using root = withCancel(background());
  const detached = withoutCancel(root);
  using _child = withCancel(detached);
  assertEquals(snapshot(root).children, []);
  assertEquals(snapshot(detached), {
    label: "background.withCancel.withoutCancel",
    afterFuncs: 0,
    children: [],
  });
});

Deno.test("snapshot() of a custom context has its own state", () => {
  using _time = new FakeTime(noon);
  const inner = withTimeout(background(), 1000);
  const ctx = new Wrapper(inner);
  assertEquals(snapshot(ctx), {
    label: "Wrapper",
    deadline: new Date(noon + 1000),
    afterFuncs: 0,
    children: [],
  });
  inner.cancel();
  assertEquals(snapshot(ctx).err, inner.err!);
});

Deno.test("snapshot() does not follow the tree", () => {
  const root = withCancel(background());
  const before = snapshot(root);
  using _child = withCancel(root);
  root.cancel();
  assertEquals(before, {
    label: "background.withCancel",
    afterFuncs: 0,
    children: [],
  });
});

Deno.test("snapshot() can be changed without harm to the tree", () => {
  using root = withTimeout(background(), 3_600_000);
  using _child = withCancel(root);
  const copy = snapshot(root);
  copy.deadline!.setTime(0);
  copy.children.length = 0;
  assertEquals(root.err, undefined);
  assertEquals(snapshot(root).children.length, 1);
});

Deno.test("snapshot() makes no signal: it holds no process open", () => {
  using time = new FakeTime();
  using root = withTimeout(background(), 1000);
  snapshot(root);
  assertEquals(time.next(), false);
});

for (const wrong of [null, undefined, {}, 7]) {
  Deno.test(`snapshot(${wrong}) is a TypeError`, () => {
    assertThrows(() => snapshot(wrong as Context), TypeError, "snapshot");
  });
}
