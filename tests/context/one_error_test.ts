// One error object for each cancellation: everything that ended in it shares the
// error, and nothing else does.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type Context,
  createKey,
  draining,
  orDone,
  sleep,
  WaitGroup,
  withCancel,
  withGrace,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";

const key = createKey<number>("key");

/** Contexts that are done, those of one cancellation in one group. */
const cancellations: { [name: string]: (time: FakeTime) => Context[][] } = {
  "plain cancellations": () =>
    [1, 2, 3].map(() => {
      const ctx = withCancel(background());
      ctx.cancel();
      return [ctx];
    }),
  "cancellations for the same cause": () =>
    [1, 2].map(() => {
      const ctx = withCancel(background());
      ctx.cancel("enough");
      return [ctx];
    }),
  "disposals": () =>
    [1, 2].map(() => {
      using ctx = withCancel(background());
      return [ctx];
    }),
  "timeouts": (time) => {
    const contexts = [1, 2, 3].map(() => [withTimeout(background(), 5)]);
    time.tick(5);
    return contexts;
  },
  "timeouts that have passed when they are made": () =>
    [1, 2].map(() => [withTimeout(background(), 0)]),
  "timeouts with the same cause": (time) => {
    const options = { cause: "slow" };
    const contexts = [1, 2].map(() => [withTimeout(background(), 5, options)]);
    time.tick(5);
    return contexts;
  },
  "a whole tree": () => {
    const root = withCancel(background());
    const value = withValue(root, key, 1);
    const contexts = [
      ...[root, value, withCancel(value), withTimeout(root, 1_000)],
      ...[withSignal(root, new AbortController().signal), new Wrapper(root)],
      withCancel(new Wrapper(root)),
    ];
    root.cancel();
    return [[...contexts, withCancel(root), withTimeout(root, 0)]];
  },
  "a parent and a child that are due together": (time) => {
    const parent = withTimeout(background(), 5);
    const child = withTimeout(parent, 5);
    time.tick(5);
    return [[parent, child]];
  },
  "a child that ended before its parent": () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    child.cancel();
    parent.cancel();
    return [[parent], [child]];
  },
  "contexts that one foreign signal ends": () => {
    const controller = new AbortController();
    const join = () => withSignal(background(), controller.signal);
    const contexts = [join(), join()];
    controller.abort("enough");
    return [contexts];
  },
  "two foreign signals with the same reason": () =>
    [1, 2].map(() => [withSignal(background(), AbortSignal.abort("enough"))]),
  "a context that is kept from its parent's end": () => {
    const parent = withCancel(background());
    const child = withCancel(withoutCancel(parent));
    parent.cancel();
    child.cancel();
    return [[parent], [child]];
  },
  "a grace period": (time) => {
    const parent = withCancel(background());
    const ctx = withGrace(parent, 1_000);
    const drain = draining(ctx);
    parent.cancel();
    void drain.err;
    time.tick(1_000);
    return [[parent, drain], [ctx]];
  },
};

for (const [name, cancel] of Object.entries(cancellations)) {
  Deno.test(`each cancellation has one error of its own: ${name}`, () => {
    using time = new FakeTime();
    const groups = cancel(time);
    const errors = groups.map((group) => new Set(group.map(({ err }) => err)));
    for (const shared of errors) {
      assert(!shared.has(undefined), "a context is open");
      assertEquals(shared.size, 1);
    }
    assertEquals(
      new Set(errors.flatMap((set) => [...set])).size,
      groups.length,
    );
  });
}

Deno.test("everything that waits for a context ends with its error", async () => {
  const ctx = withCancel(background());
  const group = new WaitGroup();
  group.add(1);
  const waits = [
    sleep(ctx, 1_000),
    orDone(ctx, new Promise(() => {})),
    group.wait(ctx),
  ].map((wait) => Promise.resolve(wait).then(() => {}, (error) => error));
  let reason: unknown;
  ctx.signal.addEventListener("abort", () => reason = ctx.signal.reason);
  let seen: unknown;
  afterFunc(ctx, () => seen = ctx.err);
  ctx.cancel();
  for (const error of [...await Promise.all(waits), reason, seen]) {
    assertStrictEquals(error, ctx.err);
  }
});

Deno.test("an error that was annotated is that of its own request only", async () => {
  using time = new FakeTime();
  const reported = new Map<unknown, string>();
  for (const request of ["GET /a", "GET /b", "GET /c"]) {
    using ctx = withTimeout(background(), 5);
    const error = sleep(ctx, 1_000).catch((error) => error);
    await time.tickAsync(5);
    const annotated = await error as { request?: string };
    annotated.request ??= request;
    reported.set(annotated, annotated.request);
  }
  assertEquals([...reported.values()], ["GET /a", "GET /b", "GET /c"]);
});
