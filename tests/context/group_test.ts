import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
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
  type CancelableContext,
  Canceled,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  type Group,
  group,
  type GroupOptions,
  isCanceled,
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

/** A task that runs until its context is done and then ends well. */
async function untilCanceled(ctx: Context): Promise<void> {
  await ctx.done;
}

/** Keeps a group with a limit of 1 busy until the returned function is called. */
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

Deno.test("group.wait() rejects with the first failure, after all tasks have ended", async () => {
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

Deno.test("group.wait() drops later failures and rejects with the same one each time", async () => {
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

Deno.test("group.wait() rejects with an error that is undefined", async () => {
  const tasks = group(background());
  tasks.go(() => Promise.reject(undefined));
  const wait = outcomeOf(tasks.wait());
  await turn();
  assertEquals(wait, { state: "rejected", error: undefined });
});

// Tasks that fail.
const failures: [how: string, task: () => unknown][] = [
  ["throws", () => {
    throw broken;
  }],
  ["rejects", () => Promise.reject(broken)],
  ["rejects later", () => turn().then(() => Promise.reject(broken))],
];
for (const [how, task] of failures) {
  Deno.test(`group.ctx is done with the failure as its cause when a task ${how}`, async () => {
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

  Deno.test(`group.go() resolves and tryGo() returns true for a task that ${how}`, async () => {
    const tasks = group(background());
    assertEquals(tasks.tryGo(task), true);
    await tasks.go(task);
    assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
  });

  Deno.test(`group leaves no rejection unhandled if a task ${how}`, async () => {
    const reasons = await unhandledIn(async () => {
      // deno-lint-ignore curfew/floating-group -- the test needs it floating
      const tasks = group(background(), { limit: 1 });
      tasks.go(task);
      tasks.go(task);
      tasks.run(task);
      tasks.tryGo(task);
      await turn();
    });
    assertEquals(reasons, []);
  });
}

Deno.test("group.ctx is open until wait() has waited and done after that", async () => {
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

Deno.test("group.ctx has the values of its parent and ends with it", async () => {
  const parent = withCancel(background());
  const tasks = group(withValue(parent, key, "value"));
  assertEquals(tasks.ctx.value(key), "value");
  tasks.go(untilCanceled);
  parent.cancel("closing time");
  assertDone(tasks.ctx);
  assertEquals(cause(tasks.ctx), "closing time");
  await tasks.wait();
});

Deno.test("group.wait() rejects with the end of the parent if a task passes it on", async () => {
  using parent = withTimeout(background(), 1);
  const tasks = group(parent);
  tasks.go((ctx) => sleep(ctx, hour));
  const error = await assertRejects(() => tasks.wait(), DeadlineExceeded);
  assertStrictEquals(error, parent.err);
});

Deno.test("group shows in the string of its context", async () => {
  const tasks = group(withCancel(background()));
  assertEquals(String(tasks.ctx), "background.withCancel.group");
  await tasks.wait();
});

Deno.test("group.tryGo() with a limit of 42 returns true 42 times, then false", async () => {
  const tasks = group(background(), { limit: 42 });
  const { promise, resolve } = Promise.withResolvers<void>();
  for (let i = 1; i <= 42; i++) {
    assertEquals(tasks.tryGo(() => promise), true);
    assertEquals(tasks.active, i);
  }
  assertEquals(tasks.tryGo(() => promise), false);
  assertEquals(tasks.active, 42);
  resolve();
  await turn();
  assertEquals(tasks.active, 0);
  assertEquals(tasks.tryGo(() => {}), true);
  await tasks.wait();
  assertEquals(tasks.active, 0);
});

Deno.test("group.tryGo() never runs a task that it has refused", async () => {
  const tasks = group(background(), { limit: 1 });
  const release = occupy(tasks);
  let ran = false;
  assertEquals(tasks.tryGo(() => ran = true), false);
  release();
  await tasks.wait();
  assertEquals(ran, false);
});

Deno.test("group with a limit of 10 never runs more than 10 of 1,000 tasks", async () => {
  const tasks = group(background(), { limit: 10 });
  let running = 0;
  let most = 0;
  let ended = 0;
  for (let i = 0; i < 1000; i++) {
    tasks.go(async () => {
      running++;
      // A task that has returned counts until the group has noticed it.
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
  { limit: Infinity },
];
for (const options of unlimited) {
  Deno.test(`group(ctx, ${Deno.inspect(options)}) has no limit`, async () => {
    await using tasks = group(background(), options);
    for (let i = 0; i < 1000; i++) assert(tasks.tryGo(untilCanceled));
    assertEquals(tasks.active, 1000);
  });
}

Deno.test("group.go() runs a task at once if the limit allows it", async () => {
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

Deno.test("group.go() queues 1,000,000 tasks", async () => {
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

Deno.test("group.go() runs queued tasks in order", async () => {
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

Deno.test("group runs one function as often as it is given", async () => {
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

Deno.test("group.wait() waits for tasks that a task starts", async () => {
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

// Ends of a group, before the queued tasks have had their turn.
const ends: [
  how: string,
  end: (tasks: Group, parent: CancelableContext) => unknown,
][] = [
  ["another one fails", (tasks) => assertRejects(() => tasks.wait())],
  ["the parent is canceled", (_, parent) => parent.cancel()],
  ["the block is left", (tasks) => tasks[Symbol.asyncDispose]()],
];
for (const [how, end] of ends) {
  Deno.test(`group drops queued tasks when ${how}: go() resolves, run() rejects with ctx.err`, async () => {
    const parent = withCancel(background());
    const tasks = group(parent, { limit: 1 });
    let ran = 0;
    tasks.go(async (ctx) => {
      if (how === "another one fails") throw broken;
      await ctx.done;
    });
    const started = [tasks.go(() => ran++), tasks.go(() => ran++)];
    const result = outcomeOf(tasks.run(() => ran++));
    await end(tasks, parent);
    await Promise.all(started);
    await turn();
    assertEquals([ran, tasks.active], [0, 0]);
    assertStrictEquals(result.error, tasks.ctx.err);
    assertEquals(result.state, "rejected");
  });
}

// Groups that have ended.
const ended: [how: string, make: () => Group | Promise<Group>][] = [
  ["its parent was done", () => {
    const parent = withCancel(background());
    parent.cancel();
    return group(parent);
  }],
  ["the deadline of its parent has passed, which no timer has reported", () => {
    const tasks = group(withTimeout(background(), 1));
    for (const start = Date.now(); Date.now() < start + 3;);
    return tasks;
  }],
  ["its block was left", async () => {
    const tasks = group(background());
    await tasks[Symbol.asyncDispose]();
    return tasks;
  }],
  ["it was waited for", async () => {
    const tasks = group(background());
    await tasks.wait();
    return tasks;
  }],
  ["its parent was canceled while a task runs", () => {
    const parent = withCancel(background());
    const tasks = group(parent, { limit: 1 });
    tasks.go(() => turn());
    parent.cancel();
    return tasks;
  }],
];
for (const [how, make] of ended) {
  for (const call of ["go", "run"] as const) {
    Deno.test(`group.${call}() drops the task if ${how}, and wait() rejects with ctx.err`, async () => {
      const tasks = await make();
      let ran = false;
      const returned = outcomeOf<unknown>(tasks[call](() => ran = true));
      await turn();
      assertEquals(ran, false);
      if (call === "go") {
        assertEquals(returned, { state: "resolved", value: undefined });
      } else {
        assertEquals(returned.state, "rejected");
        assertStrictEquals(returned.error, tasks.ctx.err);
      }
      for (let i = 0; i < 2; i++) {
        const error = await assertRejects(() => tasks.wait());
        assertStrictEquals(error, tasks.ctx.err);
      }
      await tasks[Symbol.asyncDispose]();
    });
  }

  Deno.test(`group.tryGo() returns false if ${how}, which drops nothing`, async () => {
    const tasks = await make();
    let ran = false;
    assertEquals(tasks.tryGo(() => ran = true), false);
    await tasks.wait();
    assertEquals(ran, false);
  });
}

// Microtasks between the end of a task and the cancellation: in one of these
// cases the next task has got its turn but has not started.
for (let microtasks = 0; microtasks < 12; microtasks++) {
  Deno.test(`group accounts for every task if its parent is canceled ${microtasks} microtasks after a task ends`, async () => {
    const parent = withCancel(background());
    const tasks = group(parent, { limit: 1 });
    const release = occupy(tasks);
    let ran = 0;
    const queued = [tasks.go(() => ran++), tasks.go(() => ran++)];
    const results = [1, 2].map((n) =>
      outcomeOf(tasks.run((ctx) => {
        assertEquals(ctx.err, undefined);
        ran++;
        return n;
      }))
    );
    release();
    for (let i = 0; i < microtasks; i++) await undefined;
    parent.cancel();
    await Promise.all(queued);
    const wait = outcomeOf(tasks.wait());
    await turn();
    assertEquals(tasks.active, 0);
    assertEquals(wait.state, ran === 4 ? "resolved" : "rejected");
    if (ran < 4) assertStrictEquals(wait.error, parent.err);
    const resolved = results.filter(({ state }) => state === "resolved");
    assertEquals(resolved.length, Math.max(0, ran - 2));
    for (const { state, error } of results) {
      if (state === "rejected") assertStrictEquals(error, parent.err);
    }
  });
}

Deno.test("group cancels what still runs when its block is left, and waits for it", async () => {
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

Deno.test("group whose tasks have ended lets its block be left at once", async () => {
  await using tasks = group(background());
  await tasks.go(() => {});
  await tasks.wait();
});

// Errors with which a task passes on that the block was left.
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
  ["its cause", async (ctx) => {
    await ctx.done;
    throw cause(ctx);
  }],
  ["an error with err as its cause", async (ctx) => {
    await ctx.done;
    throw new Error("job 7", { cause: ctx.err });
  }],
  [
    "an AggregateError",
    (ctx) =>
      Promise.all([sleep(ctx, hour), sleep(ctx, hour)]).catch((error) => {
        throw new AggregateError([error, ctx.err]);
      }),
  ],
  ["a SuppressedError", async (ctx) => {
    await ctx.done;
    throw new SuppressedError(ctx.err, ctx.err);
  }],
  ["node:timers", (ctx) => delay(hour, null, { signal: ctx.signal })],
  [
    "node:events",
    (ctx) => once(new EventEmitter(), "never", { signal: ctx.signal }),
  ],
];
for (const [how, task] of passedOn) {
  for (const call of ["go", "run"] as const) {
    Deno.test(`group throws nothing for its own cancellation when its block is left: ${call}(), ${how}`, async () => {
      await using tasks = group(background());
      tasks[call](task);
      await turn();
      assertEquals(tasks.active, 1);
    });
  }

  Deno.test(`group does not hide an error of the block behind the end of its parent: ${how}`, async () => {
    const error = await assertRejects(async () => {
      using parent = withCancel(background());
      await using tasks = group(parent);
      tasks.go(task);
      await turn();
      parent.cancel();
      throw broken;
    });
    assertStrictEquals(error, broken);
  });

  Deno.test(`group.wait() rejects if a task has only passed on the end of its block: ${how}`, async () => {
    const tasks = group(background());
    tasks.go(task);
    await turn();
    await tasks[Symbol.asyncDispose]();
    const error = await assertRejects(() => tasks.wait());
    assert(isCanceled(tasks.ctx, error));
  });

  Deno.test(`group.wait() prefers a failure to an earlier error that passes on the end of ctx: ${how}`, async () => {
    const parent = withCancel(background());
    await using tasks = group(parent);
    tasks.go(task);
    tasks.go(async (ctx) => {
      await ctx.done;
      await turn();
      throw broken;
    });
    await turn();
    parent.cancel();
    assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
  });
}

Deno.test("group throws nothing for its own cancellation when its block is left twice at a time", async () => {
  const tasks = group(background());
  tasks.go((ctx) => sleep(ctx, hour));
  await Promise.all([
    tasks[Symbol.asyncDispose](),
    tasks[Symbol.asyncDispose](),
  ]);
});

Deno.test("group throws the failure at the end of its block if wait() was not called", async () => {
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

Deno.test("group throws a failure that comes after its block was left", async () => {
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

Deno.test("group throws a timeout of the task's own at the end of its block", async () => {
  await assertRejects(async () => {
    await using tasks = group(background());
    await tasks.go((ctx) => sleep(withTimeout(ctx, 0), hour));
    await turn();
  }, DeadlineExceeded);
});

Deno.test("group does not throw at the end of its block what wait() has thrown", async () => {
  await using tasks = group(background());
  tasks.go(() => Promise.reject(broken));
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("group that fails does not hide the error of its block", async () => {
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

Deno.test("group leaves its parent open when its block is left", async () => {
  using parent = withCancel(background());
  {
    await using tasks = group(parent);
    tasks.go(untilCanceled);
  }
  assertOpen(parent);
});

Deno.test("group leaves no rejection unhandled when its block is left", async () => {
  const reasons = await unhandledIn(async () => {
    for (const [, task] of [...failures, ...passedOn]) {
      const tasks = group(background(), { limit: 1 });
      tasks.go(task);
      tasks.go(task);
      tasks.run(task);
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

Deno.test("group keeps nothing on its ctx once no task is queued", async () => {
  await using tasks = group(background(), { limit: 1 });
  const release = occupy(tasks);
  const started = tasks.go(() => {});
  const next = tasks.go(() => {});
  assertEquals(snapshot(tasks.ctx).afterFuncs, 1);
  release();
  await started;
  await next;
  await turn();
  assertEquals(snapshot(tasks.ctx).afterFuncs, 0);
});

for (const wrong of [null, undefined]) {
  Deno.test(`group(${wrong}) throws a TypeError`, () => {
    assertThrows(
      () => group(wrong as unknown as Context),
      TypeError,
      "expected a context, got ",
    );
  });
}

// Limits that make no sense.
const wrongLimits = [0, -1, 1.5, NaN, -Infinity, "3", null, 2n];
for (const limit of wrongLimits) {
  Deno.test(`group() with a limit of ${Deno.inspect(limit)} throws a RangeError`, () => {
    using parent = withCancel(background());
    assertThrows(
      () => group(parent, { limit: limit as number }),
      RangeError,
      `group: expected limit to be an integer >= 1 or Infinity, got ${
        Deno.inspect(limit)
      }`,
    );
    assertEquals(snapshot(parent).children, []);
  });
}

for (const call of ["go", "run", "tryGo"] as const) {
  for (const how of ["free", "full", "ended"]) {
    Deno.test(`group.${call}() of a number throws a TypeError if the group is ${how}`, async () => {
      await using tasks = group(background(), { limit: 1 });
      if (how === "full") tasks.go(untilCanceled);
      if (how === "ended") await tasks.wait();
      const { active } = tasks;
      assertThrows(
        () => tasks[call](7 as unknown as () => void),
        TypeError,
        "group: expected a task to be a function, got 7",
      );
      assertEquals(tasks.active, active);
      if (how === "ended") await tasks.wait();
    });
  }
}

Deno.test("group.run() resolves with the results of the tasks, in any order of their ends", async () => {
  await using tasks = group(background(), { limit: 2 });
  const results = await Promise.all([
    tasks.run(() => turn().then(() => "later")),
    tasks.run(() => "at once"),
    tasks.run((ctx) => ctx === tasks.ctx),
    tasks.run(() => Promise.resolve(undefined)),
  ]);
  assertEquals(results, ["later", "at once", true, undefined]);
  await tasks.wait();
});

Deno.test("group.run() runs a task at once if the limit allows it, else in its turn", async () => {
  await using tasks = group(background(), { limit: 1 });
  const order: string[] = [];
  const first = tasks.run(() => {
    order.push("first");
    return turn();
  });
  const second = tasks.run(() => void order.push("second"));
  tasks.go(() => void order.push("third"));
  assertEquals(order, ["first"]);
  await first;
  await second;
  assertEquals(order.slice(0, 2), ["first", "second"]);
  await tasks.wait();
  assertEquals(order, ["first", "second", "third"]);
});

for (const [how, task] of failures) {
  for (const limit of [1, 2]) {
    const name = `a task that ${how}, ${limit === 1 ? "queued" : "at once"}`;

    Deno.test(`group.run() rejects with the failure, which ends the group: ${name}`, async () => {
      const tasks = group(background(), { limit });
      tasks.go(() => turn());
      const result = tasks.run(task);
      assertStrictEquals(await assertRejects(() => result), broken);
      assertDone(tasks.ctx);
      assertStrictEquals(cause(tasks.ctx), broken);
      assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
    });

    Deno.test(`group does not throw again what run() has thrown: ${name}`, async () => {
      const error = await assertRejects(async () => {
        await using tasks = group(background(), { limit });
        tasks.go(() => turn());
        await tasks.run(task);
      });
      assertStrictEquals(error, broken);
    });

    Deno.test(`group throws a failure of run() whose promise nothing awaits: ${name}`, async () => {
      const reasons = await unhandledIn(async () => {
        const error = await assertRejects(async () => {
          await using tasks = group(background(), { limit });
          tasks.go(() => turn());
          tasks.run(task);
          await turn();
          await turn();
        });
        assertStrictEquals(error, broken);
      });
      assertEquals(reasons, []);
    });
  }
}

// Ways to get the outcome of run().
const readers: [name: string, read: (result: Promise<unknown>) => unknown][] = [
  ["await", async (result) => {
    try {
      await result;
    } catch {
      // Seen.
    }
  }],
  ["then()", (result) => result.then(() => {}, () => {})],
  ["catch()", (result) => result.catch(() => {})],
  ["finally()", (result) => result.finally(() => {}).catch(() => {})],
  ["Promise.all()", (result) => Promise.all([result]).catch(() => {})],
  ["Promise.allSettled()", (result) => Promise.allSettled([result])],
  ["Promise.race()", (result) => Promise.race([result]).catch(() => {})],
  ["orDone()", (result) => orDone(background(), result).catch(() => {})],
];
for (const [name, read] of readers) {
  Deno.test(`group does not throw a failure of run() that was seen through ${name}`, async () => {
    await using tasks = group(background());
    await read(tasks.run(() => Promise.reject(broken)));
  });

  Deno.test(`group does not throw a failure of run() that is seen late, through ${name}`, async () => {
    await using tasks = group(background());
    const result = tasks.run(() => Promise.reject(broken));
    await turn();
    await read(result);
  });
}

Deno.test("group.run() leaves a rejection of a promise derived from its own unhandled", async () => {
  const reasons = await unhandledIn(async () => {
    // deno-lint-ignore curfew/floating-group -- the test needs it floating
    const tasks = group(background());
    tasks.run(() => Promise.reject(broken)).then(() => {});
    await turn();
  });
  assertEquals(reasons, [broken]);
});

Deno.test("group throws the first failure although run() has thrown a later one", async () => {
  const later = new Error("later");
  const error = await assertRejects(async () => {
    await using tasks = group(background());
    tasks.go(() => Promise.reject(broken));
    await assertRejects(
      () => tasks.run((ctx) => ctx.done.then(() => Promise.reject(later))),
      Error,
      "later",
    );
  });
  assertStrictEquals(error, broken);
});

for (const when of ["before", "after"]) {
  Deno.test(`group throws a failure of go() if run() gave an earlier one ${when} it came`, async () => {
    const later = new Error("later");
    const error = await assertRejects(async () => {
      await using tasks = group(background());
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const error of [later, new Error("last")]) {
        tasks.go(() => promise.then(() => Promise.reject(error)));
      }
      const first = tasks.run(() => Promise.reject(broken));
      await turn();
      if (when === "before") await assertRejects(() => first);
      resolve();
      await turn();
      if (when === "after") await assertRejects(() => first);
    });
    assertStrictEquals(error, later);
  });
}

Deno.test("group throws no failure of go() if wait() has given an earlier one", async () => {
  await using tasks = group(background());
  tasks.run(() => Promise.reject(broken));
  tasks.go((ctx) => ctx.done.then(() => Promise.reject(new Error("later"))));
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("group throws the first failure, not a later one of go()", async () => {
  const error = await assertRejects(async () => {
    await using tasks = group(background());
    tasks.run(() => Promise.reject(broken));
    tasks.go((ctx) => ctx.done.then(() => Promise.reject(new Error("later"))));
    await turn();
  });
  assertStrictEquals(error, broken);
});

Deno.test("group.wait() ends the group as soon as the last task has ended: what comes then is dropped", async () => {
  const tasks = group(background());
  const { promise, resolve } = Promise.withResolvers<void>();
  tasks.go(() => promise);
  const wait = outcomeOf(tasks.wait());
  resolve();
  while (tasks.active > 0) await undefined;
  assertDone(tasks.ctx);
  let ran = false;
  await tasks.go(() => ran = true);
  await turn();
  assertEquals([ran, wait.state], [false, "resolved"]);
  assertStrictEquals(await assertRejects(() => tasks.wait()), tasks.ctx.err);
});

Deno.test("group.wait() rejects if a listener on its ctx gives it one more task at the end", async () => {
  const tasks = group(background());
  let ran = false;
  tasks.ctx.signal.addEventListener("abort", () => tasks.go(() => ran = true));
  assertStrictEquals(await assertRejects(() => tasks.wait()), tasks.ctx.err);
  assertEquals(ran, false);
});

Deno.test("group.wait() during the end of a block gets the failure, which is not thrown again", async () => {
  const tasks = group(background());
  tasks.go(async (ctx) => {
    await ctx.done;
    throw broken;
  });
  const wait = outcomeOf(tasks.wait());
  await tasks[Symbol.asyncDispose]();
  await turn();
  assertStrictEquals(wait.error, broken);
});

for (const call of ["go", "run"] as const) {
  Deno.test(`group.${call}() runs a queued task in the async context of its caller`, async () => {
    const id = new AsyncLocalStorage<string>();
    const tasks = group(background(), { limit: 1 });
    const seen: unknown[] = [];
    for (const caller of ["a", "b", "c"]) {
      id.run(caller, () => {
        tasks[call](async () => {
          seen.push(id.getStore());
          await turn();
          seen.push(id.getStore());
        });
      });
    }
    await tasks.wait();
    assertEquals(seen, ["a", "a", "b", "b", "c", "c"]);
  });
}

Deno.test("group.go() resolves in the async context of its caller if the task is dropped", async () => {
  const id = new AsyncLocalStorage<string>();
  const tasks = group(background(), { limit: 1 });
  tasks.go(untilCanceled);
  const seen: unknown[] = [];
  id.run("caller", () => {
    tasks.go(() => {}).then(() => seen.push(id.getStore()));
  });
  await id.run("owner", () => tasks[Symbol.asyncDispose]());
  assertEquals(seen, ["caller"]);
});

Deno.test("group drops the queue at the end of ctx also after it was idle, while a task goes on", async () => {
  const parent = withCancel(background());
  const tasks = group(parent, { limit: 1 });
  const releaseFirst = occupy(tasks);
  const started = tasks.go(() => {});
  releaseFirst();
  await started;
  await turn();
  const release = occupy(tasks);
  const dropped = outcomeOf(tasks.go(() => assert(false)));
  parent.cancel();
  await turn();
  assertEquals([dropped.state, tasks.active], ["resolved", 1]);
  release();
  assertStrictEquals(await assertRejects(() => tasks.wait()), parent.err);
});

Deno.test("group.wait() rejects with the first of the errors that only pass on the end of ctx", async () => {
  const parent = withCancel(background());
  const tasks = group(parent);
  const passOn = (message: string) => (ctx: Context) =>
    ctx.done.then(() => {
      throw new Error(message, { cause: ctx.err });
    });
  tasks.go(passOn("first"));
  tasks.go(passOn("second"));
  parent.cancel();
  await assertRejects(() => tasks.wait(), Error, "first");
});

Deno.test("group throws a failure once if its block is left twice", async () => {
  const tasks = group(background());
  tasks.go(() => Promise.reject(broken));
  const leave = () => tasks[Symbol.asyncDispose]();
  assertStrictEquals(await assertRejects(leave), broken);
  await leave();
});
