import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  Canceled,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  type Group,
  group,
  type GroupOptions,
  orDone,
  sleep,
  snapshot,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");
const key = createKey<string>("key");
const hour = 3_600_000;

/** A task that runs until its context is done, and then ends well. */
async function untilCancelled(ctx: Context): Promise<void> {
  await ctx.done;
}

/** Keeps a group with a limit of 1 busy; the result lets it go on. */
function occupy(tasks: Group): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  tasks.go(() => promise);
  return resolve;
}

Deno.test("group.wait() resolves once all tasks have ended", async () => {
  const tasks = group(background());
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  tasks.go(() => first.promise);
  tasks.go(() => second.promise);
  const wait = outcomeOf(tasks.wait());
  first.resolve();
  await turn();
  assertEquals(wait.state, "pending");
  second.resolve();
  await turn();
  assertEquals(wait.state, "resolved");
});

Deno.test("group.wait() gives the first error, after all tasks have ended", async () => {
  const tasks = group(background());
  const last = Promise.withResolvers<void>();
  tasks.go(() => last.promise);
  tasks.go(() => Promise.reject(broken));
  const wait = outcomeOf(tasks.wait());
  await turn();
  assertEquals(wait.state, "pending");
  last.resolve();
  await turn();
  assertEquals(wait.state, "rejected");
  assertStrictEquals(wait.error, broken);
});

Deno.test("group.wait() drops later errors, and gives the same error each time", async () => {
  const tasks = group(background());
  tasks.go(() => turn().then(() => Promise.reject(new Error("later"))));
  tasks.go(() => Promise.reject(broken));
  tasks.go(() => Promise.reject(new Error("second")));
  const together = await Promise.allSettled([tasks.wait(), tasks.wait()]);
  for (const wait of together) {
    assert(wait.status === "rejected");
    assertStrictEquals(wait.reason, broken);
  }
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("group.wait() of an error that is undefined rejects with that", async () => {
  const tasks = group(background());
  tasks.go(() => Promise.reject(undefined));
  const wait = outcomeOf(tasks.wait());
  await turn();
  assertEquals(wait, { state: "rejected", error: undefined });
});

// How a task can fail.
const failures: [how: string, task: () => unknown][] = [
  ["throws", () => {
    throw broken;
  }],
  ["rejects", () => Promise.reject(broken)],
  ["rejects later", () => turn().then(() => Promise.reject(broken))],
];
for (const [how, task] of failures) {
  Deno.test(`group.ctx is done with the error as its cause when a task ${how}`, async () => {
    const tasks = group(background());
    const other = Promise.withResolvers<Context>();
    tasks.go(async (ctx) => {
      await ctx.done;
      other.resolve(ctx);
    });
    tasks.go(task);
    const ctx = await other.promise;
    assertStrictEquals(ctx, tasks.ctx);
    assertInstanceOf(assertDone(ctx), Canceled);
    assertStrictEquals(cause(ctx), broken);
    assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
    assertStrictEquals(cause(ctx), broken);
  });

  Deno.test(`group.go() resolves and tryGo() is true for a task that ${how}`, async () => {
    const tasks = group(background());
    await tasks.go(task);
    assertEquals(tasks.tryGo(task), true);
    assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
  });

  Deno.test(`group leaves no rejection unhandled when a task ${how}`, async () => {
    const reasons = await unhandledIn(async () => {
      // deno-lint-ignore curfew/floating-group -- the test needs it floating
      const tasks = group(background(), { limit: 1 });
      tasks.go(task);
      tasks.go(task);
      tasks.tryGo(task);
      await turn();
    });
    assertEquals(reasons, []);
  });
}

Deno.test("group.ctx is open until wait() has waited, and done after that", async () => {
  const tasks = group(background());
  tasks.go(() => turn());
  const wait = tasks.wait();
  assertOpen(tasks.ctx);
  await wait;
  assertDone(tasks.ctx);
});

Deno.test("group.ctx is done after wait() without any task", async () => {
  const tasks = group(background());
  await tasks.wait();
  assertDone(tasks.ctx);
});

Deno.test("group.ctx has the values of the context it was made from, and ends with it", async () => {
  const parent = withCancel(background());
  const tasks = group(withValue(parent, key, "value"));
  assertEquals(tasks.ctx.value(key), "value");
  tasks.go(untilCancelled);
  parent.cancel("closing time");
  assertDone(tasks.ctx);
  assertEquals(cause(tasks.ctx), "closing time");
  await tasks.wait();
});

Deno.test("group.wait() rejects with the parent's end where a task passes that on", async () => {
  using parent = withTimeout(background(), 1);
  const tasks = group(parent);
  tasks.go((ctx) => sleep(ctx, hour));
  const error = await assertRejects(() => tasks.wait(), DeadlineExceeded);
  assertStrictEquals(error, parent.err);
});

Deno.test("group on a done context hands that to its tasks", async () => {
  const parent = withCancel(background());
  parent.cancel();
  const tasks = group(parent);
  const seen: unknown[] = [];
  await tasks.go((ctx) => seen.push(ctx.err));
  assertEquals(seen, [parent.err]);
  await tasks.wait();
});

Deno.test("group shows in the string of its context", async () => {
  const tasks = group(withCancel(background()));
  assertEquals(String(tasks.ctx), "background.withCancel.group");
  await tasks.wait();
});

Deno.test("group with a limit of 42: 42 times tryGo() is true, then false, and true after wait()", async () => {
  const tasks = group(background(), { limit: 42 });
  const { promise, resolve } = Promise.withResolvers<void>();
  for (let i = 1; i <= 42; i++) {
    assertEquals(tasks.tryGo(() => promise), true);
    assertEquals(tasks.active, i);
  }
  assertEquals(tasks.tryGo(() => promise), false);
  assertEquals(tasks.active, 42);
  resolve();
  await tasks.wait();
  assertEquals(tasks.active, 0);
  assertEquals(tasks.tryGo(() => {}), true);
  await tasks.wait();
});

Deno.test("group.tryGo() does not run later what it has refused", async () => {
  const tasks = group(background(), { limit: 1 });
  const release = occupy(tasks);
  let ran = false;
  assertEquals(tasks.tryGo(() => ran = true), false);
  release();
  await tasks.wait();
  assertEquals(ran, false);
});

Deno.test("group with a limit of 0: tryGo() is false, and go() starts nothing", async () => {
  const parent = withCancel(background());
  const tasks = group(parent, { limit: 0 });
  let ran = false;
  assertEquals(tasks.tryGo(() => ran = true), false);
  const started = outcomeOf(tasks.go(() => ran = true));
  await turn();
  assertEquals(started.state, "pending");
  parent.cancel();
  await turn();
  assertEquals(started.state, "resolved");
  assertEquals(tasks.tryGo(() => ran = true), false);
  await tasks.wait();
  assertEquals(ran, false);
});

Deno.test("group with a limit of 10: of 1,000 tasks never more than 10 run", async () => {
  const tasks = group(background(), { limit: 10 });
  let running = 0;
  let most = 0;
  let ended = 0;
  for (let i = 0; i < 1000; i++) {
    tasks.go(async () => {
      running++;
      // What has returned counts until the group has noticed.
      assert(running <= tasks.active);
      most = Math.max(most, tasks.active);
      for (let turns = i % 7; turns > 0; turns--) await undefined;
      running--;
      ended++;
    });
  }
  await tasks.wait();
  assertEquals([most, ended], [10, 1000]);
});

const unlimited: (GroupOptions | undefined)[] = [
  undefined,
  {},
  { limit: -1 },
  { limit: -Infinity },
  { limit: Infinity },
];
for (const options of unlimited) {
  Deno.test(`group(ctx, ${Deno.inspect(options)}) has no limit`, async () => {
    await using tasks = group(background(), options);
    for (let i = 0; i < 1000; i++) assert(tasks.tryGo(untilCancelled));
    assertEquals(tasks.active, 1000);
  });
}

Deno.test("group.go() runs a task at once where there is room", async () => {
  const tasks = group(background(), { limit: 1 });
  const release = Promise.withResolvers<void>();
  let running = false;
  const started = tasks.go(() => {
    running = true;
    return release.promise;
  });
  assertEquals(running, true);
  await started;
  release.resolve();
  await tasks.wait();
});

Deno.test("group.go() lets 1,000,000 wait, each for as long as the one before takes", async () => {
  const tasks = group(background(), { limit: 1 });
  const go = occupy(tasks);
  const count = 1_000_000;
  let ran = 0;
  for (let i = 0; i < count; i++) tasks.go(() => void ran++);
  go();
  await tasks.wait();
  assertEquals(ran, count);
});

Deno.test("group.go() resolves when the task has started, not when it has ended", async () => {
  const tasks = group(background(), { limit: 1 });
  const release = occupy(tasks);
  const second = Promise.withResolvers<void>();
  let running = false;
  const started = outcomeOf(tasks.go(() => {
    running = true;
    return second.promise;
  }));
  await turn();
  assertEquals([running, started.state], [false, "pending"]);
  release();
  await turn();
  assertEquals([running, started.state], [true, "resolved"]);
  assertEquals(tasks.active, 1);
  second.resolve();
  await tasks.wait();
});

Deno.test("group.go() runs those that have to wait in order", async () => {
  const tasks = group(background(), { limit: 1 });
  const order: number[] = [];
  for (let i = 0; i < 5; i++) {
    tasks.go(async () => {
      await turn();
      order.push(i);
    });
  }
  await tasks.wait();
  assertEquals(order, [0, 1, 2, 3, 4]);
});

Deno.test("group runs one function as often as it is given, each as a task of its own", async () => {
  const tasks = group(background());
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = () => promise;
  tasks.go(task);
  tasks.go(task);
  assertEquals(tasks.active, 2);
  resolve();
  await tasks.wait();
  assertEquals(tasks.active, 0);
});

Deno.test("group.wait() waits for what a task starts, too", async () => {
  const tasks = group(background(), { limit: 1 });
  const order: string[] = [];
  tasks.go(async () => {
    await turn();
    order.push("outer");
    tasks.go(async () => {
      await turn();
      order.push("inner");
    });
  });
  await tasks.wait();
  assertEquals(order, ["outer", "inner"]);
});

// What keeps a task that has to wait for its turn from ever running.
const ends: [
  how: string,
  end: (tasks: Group, parent: { cancel(): void }) => unknown,
][] = [
  ["another one fails", (tasks) => assertRejects(() => tasks.wait())],
  ["the parent is cancelled", (_, parent) => parent.cancel()],
  ["the group is left", (tasks) => tasks[Symbol.asyncDispose]()],
];
for (const [how, end] of ends) {
  Deno.test(`group.go() resolves without running what still had to wait when ${how}`, async () => {
    const parent = withCancel(background());
    const tasks = group(parent, { limit: 1 });
    let ran = 0;
    tasks.go(async (ctx) => {
      if (how === "another one fails") throw broken;
      await ctx.done;
    });
    const started = [tasks.go(() => ran++), tasks.go(() => ran++)];
    await end(tasks, parent);
    await Promise.all(started);
    await turn();
    assertEquals([ran, tasks.active], [0, 0]);
  });
}

Deno.test("group.go() lets nothing wait for its turn any more once the group has ended", async () => {
  const parent = withCancel(background());
  const tasks = group(parent, { limit: 1 });
  const release = occupy(tasks);
  parent.cancel();
  let ran = false;
  await tasks.go(() => ran = true);
  release();
  await tasks.wait();
  assertEquals(ran, false);
});

Deno.test("group left by `await using` cancels what still runs and waits for it", async () => {
  let ended = 0;
  let left: Group;
  {
    await using tasks = left = group(background());
    for (let i = 0; i < 3; i++) {
      tasks.go(async (ctx) => {
        await ctx.done;
        await turn();
        ended++;
      });
    }
    assertEquals(tasks.active, 3);
  }
  assertEquals([ended, left.active], [3, 0]);
  assertDone(left.ctx);
});

Deno.test("group left by `await using` when its tasks have ended is left at once", async () => {
  await using tasks = group(background());
  await tasks.go(() => {});
  await tasks.wait();
});

// How a task may pass on that the group has been left.
const passedOn: [how: string, task: (ctx: Context) => unknown][] = [
  ["err", async (ctx) => {
    await ctx.done;
    throw ctx.err;
  }],
  ["sleep()", (ctx) => sleep(ctx, hour)],
  ["orDone()", (ctx) => orDone(ctx, new Promise(() => {}))],
  ["the signal's reason", async (ctx) => {
    await ctx.done;
    ctx.signal.throwIfAborted();
  }],
  ["the err of a child", async (ctx) => {
    using step = withTimeout(ctx, hour);
    await sleep(step, hour);
  }],
];
for (const [how, task] of passedOn) {
  Deno.test(`group left by \`await using\` takes its own cancellation for no error: ${how}`, async () => {
    await using tasks = group(background());
    tasks.go(task);
    await turn();
    assertEquals(tasks.active, 1);
  });
}

Deno.test("group that is left twice at a time takes its own cancellation for no error", async () => {
  const tasks = group(background());
  tasks.go((ctx) => sleep(ctx, hour));
  await Promise.all([
    tasks[Symbol.asyncDispose](),
    tasks[Symbol.asyncDispose](),
  ]);
});

Deno.test("group left by `await using` throws the error that nobody has waited for", async () => {
  for (const [, task] of failures) {
    const error = await assertRejects(async () => {
      await using tasks = group(background());
      tasks.go((ctx) => sleep(ctx, hour));
      tasks.go(task);
      await turn();
    });
    assertStrictEquals(error, broken);
  }
});

Deno.test("group left by `await using` throws what a task fails with after that", async () => {
  const error = await assertRejects(async () => {
    await using tasks = group(background());
    tasks.go((ctx) => sleep(ctx, hour));
    tasks.go(async (ctx) => {
      await ctx.done;
      await turn();
      throw broken;
    });
  });
  assertStrictEquals(error, broken);
});

Deno.test("group left by `await using` throws a task's own time-out", async () => {
  await assertRejects(async () => {
    await using tasks = group(background());
    await tasks.go((ctx) => sleep(withTimeout(ctx, 0), hour));
    await turn();
  }, DeadlineExceeded);
});

Deno.test("group left by `await using` does not throw what wait() has given already", async () => {
  await using tasks = group(background());
  tasks.go(() => Promise.reject(broken));
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("group left by `await using` leaves the error of the block in sight", async () => {
  const mistake = new Error("mistake");
  const error = await assertRejects(async () => {
    await using tasks = group(background());
    tasks.go(() => Promise.reject(broken));
    await turn();
    throw mistake;
  }, SuppressedError);
  assertStrictEquals(error.error, broken);
  assertStrictEquals(error.suppressed, mistake);
});

Deno.test("group left by `await using` leaves its parent open", async () => {
  using parent = withCancel(background());
  {
    await using tasks = group(parent);
    tasks.go(untilCancelled);
  }
  assertOpen(parent);
});

Deno.test("group leaves no rejection unhandled when it is left", async () => {
  const reasons = await unhandledIn(async () => {
    for (const [, task] of [...failures, ...passedOn]) {
      const tasks = group(background(), { limit: 1 });
      tasks.go(task);
      tasks.go(task);
      await tasks[Symbol.asyncDispose]().then(() => {}, () => {});
    }
  });
  assertEquals(reasons, []);
});

Deno.test("group is a child of its parent until it has been waited for", async () => {
  using parent = withCancel(background());
  const tasks = group(parent, { limit: 1 });
  tasks.go(() => turn());
  tasks.go(() => turn());
  const { children } = snapshot(parent);
  assertEquals(children.map(({ label }) => label), [
    "background.withCancel.group",
  ]);
  await tasks.wait();
  assertEquals(snapshot(parent).children, []);
});

Deno.test("group keeps nothing on its context once no task has to wait for its turn", async () => {
  await using tasks = group(background(), { limit: 1 });
  const release = occupy(tasks);
  const started = tasks.go(() => {});
  assertEquals(snapshot(tasks.ctx).afterFuncs, 1);
  release();
  await started;
  await turn();
  assertEquals(snapshot(tasks.ctx).afterFuncs, 0);
});

for (const wrong of [null, undefined]) {
  Deno.test(`group(${wrong}) is a TypeError`, () => {
    assertThrows(
      () => group(wrong as unknown as Context),
      TypeError,
      "expected a context, got ",
    );
  });
}

for (const limit of [NaN, "3", null]) {
  Deno.test(`group() with a limit of ${Deno.inspect(limit)} is a TypeError`, () => {
    assertThrows(
      () => group(background(), { limit: limit as number }),
      TypeError,
      "group: limit must be a number",
    );
  });
}

for (const limit of [-1, 0]) {
  Deno.test(`group with a limit of ${limit}: what is no function is a TypeError`, async () => {
    const tasks = group(background(), { limit });
    const wrong = 7 as unknown as () => void;
    assertThrows(() => tasks.tryGo(wrong), TypeError, "must be a function");
    assertThrows(() => tasks.go(wrong), TypeError, "must be a function");
    assertEquals(tasks.active, 0);
    await tasks.wait();
  });
}
