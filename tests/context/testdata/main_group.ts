// Programs under main that have tasks, some of which do not end. Each prints
// "ready" when it can be signalled.

import {
  type Context,
  group,
  main,
  sleep,
  withoutCancel,
} from "@curfew/context";

const grace = 20;
const never = new Promise<never>(() => {});

function fetchAll(): Promise<never> {
  return never;
}

function flush(): Promise<never> {
  return never;
}

async function obey(ctx: Context): Promise<void> {
  await ctx.done;
}

const programs: Record<string, () => unknown> = {
  "tasks with names": () =>
    main(async function serve(ctx) {
      const tasks = group(ctx);
      tasks.go(fetchAll);
      tasks.go(flush);
      tasks.go(obey);
      console.log("ready");
      await tasks.wait();
    }, { grace }),

  "one task twice, and one that waits for its turn": () =>
    main(async function serve(ctx) {
      const tasks = group(ctx, { limit: 2 });
      tasks.go(fetchAll);
      tasks.go(fetchAll);
      tasks.go(flush);
      console.log("ready");
      await tasks.wait();
    }, { grace }),

  "a task without a name": () =>
    main(async function serve(ctx) {
      const tasks = group(ctx);
      tasks.go(() => never);
      console.log("ready");
      await tasks.wait();
    }, { grace }),

  "two groups": () =>
    main(async function serve(ctx) {
      const tasks = [group(ctx), group(withoutCancel(ctx))];
      tasks[0]!.go(fetchAll);
      tasks[1]!.go(flush);
      console.log("ready");
      await Promise.all(tasks.map((each) => each.wait()));
    }, { grace }),

  "tasks that have ended": () =>
    main(async function serve(ctx) {
      const tasks = group(ctx);
      tasks.go(obey);
      await using left = group(ctx);
      left.go(obey);
      tasks.go(async (ctx) => {
        await sleep(ctx, 0);
        console.log("ready");
      });
      await tasks.wait();
      await never;
    }, { grace }),

  "tasks that end in time": () =>
    main(async function serve(ctx) {
      await using tasks = group(ctx);
      tasks.go(obey);
      tasks.go((ctx) => sleep(ctx, Infinity));
      console.log("ready");
      await tasks.wait();
    }),
};

programs[Deno.args[0]!]!();
