// Groups and the program that they belong to.

import { assertEquals, assertRejects } from "@std/assert";
import {
  background,
  type Context,
  type Group,
  group,
  sleep,
  withCancel,
  withoutCancel,
} from "@curfew/context";
import { turn } from "./outcome.ts";
import { RecordingOwner } from "./recording_owner.ts";

const broken = new Error("broken");
const hour = 3_600_000;

function fail(): Promise<never> {
  return Promise.reject(broken);
}

async function untilDone(ctx: Context): Promise<void> {
  await ctx.done;
}

// Groups with a task that fails, and whether the program gets the failure.
const failing: [
  name: string,
  isReported: boolean,
  use: (tasks: Group, ctx: Context) => unknown,
][] = [
  ["nothing waits for it", true, (tasks) => tasks.go(fail)],
  ["nothing waits for it and a later task fails, too", true, (tasks) => {
    tasks.go(fail);
    tasks.go(() => Promise.reject(new Error("later")));
  }],
  ["it comes from go() after one that run() gave", true, async (tasks) => {
    tasks.go((ctx) => ctx.done.then(fail));
    const first = new Error("first");
    await assertRejects(() => tasks.run(() => Promise.reject(first)));
  }],
  ["nothing awaits run()", true, (tasks) => void tasks.run(fail)],
  ["wait() is called before the failure", false, async (tasks) => {
    tasks.go(() => turn().then(fail));
    await assertRejects(() => tasks.wait());
  }],
  ["wait() is called right after the failure", false, async (tasks) => {
    await tasks.go(fail);
    await assertRejects(() => tasks.wait());
  }],
  ["wait() is still waiting for another task", false, async (tasks) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    tasks.go(() => promise);
    tasks.go(fail);
    const wait = assertRejects(() => tasks.wait());
    await turn();
    await turn();
    resolve();
    await wait;
  }],
  ["run() is awaited", false, (tasks) => assertRejects(() => tasks.run(fail))],
  ["its block is left later", false, async (tasks) => {
    await assertRejects(async () => {
      await using held = tasks;
      held.go(fail);
      await turn();
      await turn();
    });
  }],
  ["the task only passes on the end of the block", false, async (tasks) => {
    tasks.go((ctx) => sleep(ctx, hour));
    await tasks[Symbol.asyncDispose]();
  }],
];
for (const [name, isReported, use] of failing) {
  Deno.test(`group ${isReported ? "reports" : "does not report"} a failure to its program if ${name}`, async () => {
    const owner = new RecordingOwner();
    const tasks = group(owner.ctx);
    await use(tasks, owner.ctx);
    for (let turns = 0; turns < 3; turns++) await turn();
    assertEquals(owner.failures, isReported ? [broken] : []);
    assertEquals(owner.works.size, 0);
  });
}

Deno.test("group does not report to its program that a task passes on the end of its parent", async () => {
  const owner = new RecordingOwner();
  const parent = withCancel(owner.ctx);
  // deno-lint-ignore curfew/floating-group -- the test needs it floating
  group(parent).go((ctx) => sleep(ctx, hour));
  parent.cancel();
  for (let turns = 0; turns < 3; turns++) await turn();
  assertEquals(owner.failures, []);
});

Deno.test("group holds its program while a task runs or is queued", async () => {
  const owner = new RecordingOwner();
  using parent = withCancel(owner.ctx);
  await using tasks = group(withoutCancel(parent), { limit: 1 });
  assertEquals(owner.running, []);
  for (let round = 0; round < 2; round++) {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    tasks.go(function save() {
      return first.promise;
    });
    tasks.go(function load() {
      return second.promise;
    });
    assertEquals(owner.running, ["group with save"]);
    first.resolve();
    await turn();
    assertEquals(owner.running, ["group with load"]);
    second.resolve();
    await turn();
    assertEquals(owner.running, []);
  }
});

Deno.test("group names ten of its tasks to its program and counts the rest", async () => {
  const owner = new RecordingOwner();
  await using tasks = group(owner.ctx);
  for (let n = 1; n <= 10; n++) {
    tasks.go(n % 2 === 0 ? untilDone : (ctx) => ctx.done);
  }
  const named = "a task, untilDone, ".repeat(5).slice(0, -2);
  assertEquals(owner.running, [`group with ${named}`]);
  for (let n = 1; n <= 100_000; n++) tasks.go(untilDone);
  assertEquals(owner.running, [`group with ${named}, 100000 more`]);
});

Deno.test("group without a program runs its tasks all the same", async () => {
  await using tasks = group(background());
  assertEquals(await tasks.run(() => 7), 7);
});
