import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  Canceled,
  type Context,
  DeadlineExceeded,
  snapshot,
  WaitGroup,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");

Deno.test("WaitGroup counts add() and done()", () => {
  const tasks = new WaitGroup();
  assertEquals(tasks.count, 0);
  tasks.add();
  assertEquals(tasks.count, 1);
  tasks.add(3);
  assertEquals(tasks.count, 4);
  tasks.done();
  assertEquals(tasks.count, 3);
  tasks.add(-2);
  assertEquals(tasks.count, 1);
});

Deno.test("WaitGroup.wait() resolves at once if there is no task", async () => {
  await new WaitGroup().wait();
});

Deno.test("WaitGroup.wait() resolves at zero for all callers, and not before", async () => {
  const tasks = new WaitGroup();
  tasks.add(2);
  const waits = [
    tasks.wait(),
    tasks.wait(),
    tasks.wait(withCancel(background())),
  ]
    .map(outcomeOf);
  await turn();
  tasks.done();
  await turn();
  assertEquals(waits.map(({ state }) => state), [
    "pending",
    "pending",
    "pending",
  ]);
  tasks.done();
  await turn();
  assertEquals(waits.map(({ state }) => state), [
    "resolved",
    "resolved",
    "resolved",
  ]);
});

Deno.test("WaitGroup.add() of a negative number can reach zero", async () => {
  const tasks = new WaitGroup();
  tasks.add(5);
  const wait = tasks.wait();
  tasks.add(-5);
  await wait;
});

Deno.test("WaitGroup is reusable, round by round", async () => {
  const tasks = new WaitGroup();
  for (let round = 1; round <= 3; round++) {
    tasks.add(round);
    const wait = outcomeOf(tasks.wait());
    for (let i = 0; i < round; i++) {
      await turn();
      assertEquals(wait.state, "pending");
      tasks.done();
    }
    await turn();
    assertEquals(wait.state, "resolved");
    await tasks.wait();
  }
});

// Calls that would count below zero.
const tooMany: [
  name: string,
  count: number,
  call: (tasks: WaitGroup) => void,
][] = [
  ["done() on a fresh one", 0, (tasks) => tasks.done()],
  ["add(-1) on a fresh one", 0, (tasks) => tasks.add(-1)],
  ["add(-3) at two", 2, (tasks) => tasks.add(-3)],
];
for (const [name, count, call] of tooMany) {
  Deno.test(`WaitGroup: ${name} throws a RangeError and counts nothing`, () => {
    const tasks = new WaitGroup();
    tasks.add(count);
    assertThrows(
      () => call(tasks),
      RangeError,
      "done() was called more often than add()",
    );
    assertEquals(tasks.count, count);
  });
}

Deno.test("WaitGroup.done() once too often after a round throws a RangeError", () => {
  const tasks = new WaitGroup();
  tasks.add();
  tasks.done();
  assertThrows(() => tasks.done(), RangeError);
  assertEquals(tasks.count, 0);
});

for (const wrong of [0.5, NaN, Infinity, "1", null]) {
  Deno.test(`WaitGroup.add(${Deno.inspect(wrong)}) throws a TypeError`, () => {
    const tasks = new WaitGroup();
    assertThrows(
      () => tasks.add(wrong as number),
      TypeError,
      `WaitGroup.add: expected an integer, got ${Deno.inspect(wrong)}`,
    );
    assertEquals(tasks.count, 0);
  });
}

Deno.test("WaitGroup.go() runs the task at once, already counted", async () => {
  const tasks = new WaitGroup();
  const counts: number[] = [];
  tasks.go(() => counts.push(tasks.count));
  tasks.go(() => counts.push(tasks.count));
  assertEquals(counts, [1, 2]);
  await tasks.wait();
  assertEquals(tasks.count, 0);
});

// Tasks, and what wait() then rejects with.
const tasksThatEnd: [how: string, task: () => unknown, failure?: Error][] = [
  ["returns", () => 7],
  ["resolves", () => Promise.resolve(7)],
  ["resolves later", () => turn()],
  ["gives a thenable", () => ({ then: (f: () => void) => f() })],
  ["throws", () => {
    throw broken;
  }, broken],
  ["rejects", () => Promise.reject(broken), broken],
  ["rejects later", () => turn().then(() => Promise.reject(broken)), broken],
];
for (const [how, task, failure] of tasksThatEnd) {
  const outcome = failure ? "fails" : "resolves";
  Deno.test(`WaitGroup.go() takes a task off the count that ${how}, and wait() ${outcome}`, async () => {
    const tasks = new WaitGroup();
    tasks.go(task);
    assertEquals(tasks.count, 1);
    if (failure === undefined) await tasks.wait();
    else assertStrictEquals(await assertRejects(() => tasks.wait()), failure);
    assertEquals(tasks.count, 0);
  });
}

Deno.test("WaitGroup.wait() rejects with the first failure, once all tasks have ended", async () => {
  const tasks = new WaitGroup();
  const last = Promise.withResolvers<void>();
  tasks.go(() => last.promise);
  tasks.go(() => Promise.reject(broken));
  tasks.go(() => turn().then(() => Promise.reject(new Error("later"))));
  const waits = [outcomeOf(tasks.wait()), outcomeOf(tasks.wait())];
  await turn();
  await turn();
  assertEquals(tasks.count, 1);
  assertEquals(waits.map(({ state }) => state), ["pending", "pending"]);
  last.resolve();
  await turn();
  for (const wait of waits) {
    assertEquals(wait.state, "rejected");
    assertStrictEquals(wait.error, broken);
  }
});

Deno.test("WaitGroup.wait() rejects after the round, too, each time", async () => {
  const tasks = new WaitGroup();
  tasks.go(() => Promise.reject(broken));
  await turn();
  for (let i = 0; i < 2; i++) {
    assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
  }
});

Deno.test("WaitGroup starts the next round without the failure of the last one", async () => {
  const tasks = new WaitGroup();
  tasks.go(() => Promise.reject(broken));
  await assertRejects(() => tasks.wait());
  tasks.go(() => {});
  await tasks.wait();
});

Deno.test("WaitGroup starts the next round without a failure that wait() got after the last one", async () => {
  const tasks = new WaitGroup();
  tasks.go(() => Promise.reject(broken));
  await turn();
  await assertRejects(() => tasks.wait());
  tasks.go(() => {});
  await tasks.wait();
});

for (const ctx of [undefined, withCancel(background())]) {
  const call = ctx ? "wait(ctx)" : "wait()";
  Deno.test(`WaitGroup starts a round without the failure that ${call} of the last one is about to get`, async () => {
    const tasks = new WaitGroup();
    const gate = Promise.withResolvers<void>();
    tasks.go(() => gate.promise);
    const wait = outcomeOf(tasks.wait(ctx));
    await turn();
    gate.reject(broken);
    // Begins the next round in the very microtask in which the last one ends.
    while (tasks.count > 0) await undefined;
    tasks.add();
    await turn();
    assertStrictEquals(wait.error, broken);
    tasks.done();
    await tasks.wait();
  });
}

Deno.test("WaitGroup keeps a failure that no wait() got for the next round", async () => {
  const tasks = new WaitGroup();
  tasks.go(() => Promise.reject(broken));
  await turn();
  tasks.go(() => {});
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("WaitGroup keeps the failure if the ctx of the only wait() ended before", async () => {
  const tasks = new WaitGroup();
  const ctx = withCancel(background());
  tasks.add();
  tasks.go(() => Promise.reject(broken));
  const wait = outcomeOf(tasks.wait(ctx));
  ctx.cancel();
  await turn();
  assertStrictEquals(wait.error, ctx.err);
  tasks.done();
  tasks.add();
  tasks.done();
  assertStrictEquals(await assertRejects(() => tasks.wait()), broken);
});

Deno.test("WaitGroup leaves no failure of a task unhandled, with and without wait()", async () => {
  const reasons = await unhandledIn(async () => {
    const tasks = new WaitGroup();
    for (const [, task] of tasksThatEnd) tasks.go(task);
    await turn();
    const waited = new WaitGroup();
    waited.add();
    for (const [, task] of tasksThatEnd) waited.go(task);
    const ctx = withCancel(background());
    const wait = waited.wait(ctx);
    await turn();
    ctx.cancel();
    await assertRejects(() => wait);
    waited.done();
  });
  assertEquals(reasons, []);
});

Deno.test("WaitGroup.wait(ctx) rejects with ctx.err once ctx is done; other calls go on", async () => {
  const tasks = new WaitGroup();
  tasks.add();
  const ctx = withCancel(background());
  const other = outcomeOf(tasks.wait());
  const wait = tasks.wait(ctx);
  ctx.cancel("closing time");
  assertStrictEquals(await assertRejects(() => wait, Canceled), ctx.err);
  assertEquals(tasks.count, 1);
  assertEquals(other.state, "pending");
  tasks.done();
  await turn();
  assertEquals(other.state, "resolved");
});

Deno.test("WaitGroup.wait(ctx) rejects with ctx.err at the deadline of ctx", async () => {
  const tasks = new WaitGroup();
  tasks.add();
  using ctx = withTimeout(background(), 1);
  const error = await assertRejects(() => tasks.wait(ctx), DeadlineExceeded);
  assertStrictEquals(error, ctx.err);
});

Deno.test("WaitGroup.wait(ctx) rejects with ctx.err if ctx is already done", async () => {
  const tasks = new WaitGroup();
  tasks.add();
  const ctx = withCancel(background());
  ctx.cancel();
  assertStrictEquals(await assertRejects(() => tasks.wait(ctx)), ctx.err);
});

Deno.test("WaitGroup.wait(ctx) resolves at zero even if ctx is done", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const tasks = new WaitGroup();
  await tasks.wait(ctx);
  tasks.go(() => {});
  await tasks.wait();
  await tasks.wait(ctx);
});

Deno.test("WaitGroup.wait(ctx) rejects with the failure at zero even if ctx is done", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const tasks = new WaitGroup();
  tasks.go(() => Promise.reject(broken));
  await turn();
  assertStrictEquals(await assertRejects(() => tasks.wait(ctx)), broken);
});

Deno.test("WaitGroup.wait(ctx) ignores an end of ctx after the last task", async () => {
  const tasks = new WaitGroup();
  const ctx = withCancel(background());
  tasks.add();
  const wait = tasks.wait(ctx);
  tasks.done();
  ctx.cancel();
  await wait;
});

Deno.test("WaitGroup.wait(ctx) leaves nothing on ctx, whether the tasks or ctx end it", async () => {
  using ctx = withCancel(background());
  const tasks = new WaitGroup();
  tasks.add();
  const child = withCancel(ctx);
  const waits = [tasks.wait(ctx), tasks.wait(child)].map(outcomeOf);
  assertEquals(snapshot(ctx).afterFuncs, 1);
  child.cancel();
  await turn();
  tasks.done();
  await turn();
  assertEquals(waits.map(({ state }) => state), ["resolved", "rejected"]);
  assertEquals(snapshot(ctx).afterFuncs, 0);
  assertEquals(snapshot(ctx).children, []);
});

for (const wrong of [null, 7, {}]) {
  Deno.test(`WaitGroup.wait(${JSON.stringify(wrong)}) throws a TypeError`, async () => {
    const tasks = new WaitGroup();
    for (const count of [0, 1]) {
      assertEquals(tasks.count, count);
      await assertRejects(
        () => tasks.wait(wrong as Context),
        TypeError,
        "WaitGroup.wait: expected a context",
      );
      tasks.add();
    }
  });
}

Deno.test("WaitGroup.go() of a number throws a TypeError and counts nothing", () => {
  const tasks = new WaitGroup();
  assertThrows(
    () => tasks.go(7 as unknown as () => void),
    TypeError,
    "WaitGroup.go: expected a function, got 7",
  );
  assertEquals(tasks.count, 0);
});
