// `curfew/floating-group`: groups that nothing waits for.

import { testRule } from "./rule_table.ts";

testRule("floating-group", {
  valid: {
    "await using": `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        tasks.go(g);
      }`,
    "wait": `
      async function f(ctx: Context) {
        const tasks = group(ctx);
        tasks.go(g);
        await tasks.wait();
      }`,
    "wait in a closure": `
      function f(ctx: Context) {
        const tasks = group(ctx);
        tasks.go(g);
        onClose(() => tasks.wait());
      }`,
    "asyncDispose": `
      async function f(ctx: Context) {
        const tasks = group(ctx);
        tasks.go(g);
        await tasks[Symbol.asyncDispose]();
      }`,
    "a group that is handed on": `
      function f(ctx: Context) {
        const a = group(ctx);
        const b = group(ctx);
        const c = group(ctx);
        this.#tasks = a;
        own(b);
        return c;
      }
      class Pool {
        readonly #tasks = group(background());
      }
      const make = (ctx: Context) => group(ctx);`,
    "members of a group": `
      function f(ctx: Context) {
        const { ctx: own } = group(ctx);
        const [tasks] = group(ctx);
        tasks.go(g);
      }`,
    "an exported group": `
      export const tasks = group(background());
      tasks.go(g);`,
    "a group of the context of main, which waits for it": `
      main((ctx) => {
        const tasks = group(ctx);
        tasks.go(g);
      });`,
    "another function of the same name": `
      import { group } from "./mine.ts";
      import { background } from "@curfew/context";
      const tasks = group(background());
      tasks.go(g);`,
  },

  invalid: {
    "a group whose tasks run on": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx, { limit: 2 });
        for (const x of xs) {
          tasks.go((ctx) => g(ctx, x));
        }
        console.log(tasks.active);
        done();
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx, { limit: 2 });
        for (const x of xs) {
          tasks.go((ctx) => g(ctx, x));
        }
        console.log(tasks.active);
        await tasks.wait();
        done();
      }`,
      message: "Nothing waits for the group `tasks`",
    },
    "tryGo": {
      code: `
      async function f(ctx: Context) {
        let «tasks»: Group = group(ctx);
        if (!tasks.tryGo(g)) later();
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks: Group = group(ctx);
        if (!tasks.tryGo(g)) later();
        await tasks.wait();
      }`,
    },
    "results that are awaited one by one": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        return await Promise.all(xs.map((x) => tasks.run((ctx) => g(ctx, x))));
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        return await Promise.all(xs.map((x) => tasks.run((ctx) => g(ctx, x))));
      }`,
    },
    "a group of the module": {
      code: `
      const «tasks» = group(background());
      tasks.go(g);`,
      fixed: `
      await using tasks = group(background());
      tasks.go(g);
      await tasks.wait();`,
    },
    "a group that is not used": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
      }`,
    },
    "a function that is not async": {
      code: `
      function f(ctx: Context) {
        const «tasks» = group(ctx);
        tasks.go(g);
      }`,
    },
    "results that are kept": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        const replies = xs.map((x) => tasks.run((ctx) => g(ctx, x)));
        return Promise.all(replies);
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        const replies = xs.map((x) => tasks.run((ctx) => g(ctx, x)));
        await tasks.wait();
        return Promise.all(replies);
      }`,
    },
    "a result that is returned in an object": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        return { reply: tasks.run(g) };
      }`,
    },
    "a task that starts another": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        if (isIdle) return;
        tasks.go(() => void tasks.go(g));
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        if (isIdle) return;
        tasks.go(() => void tasks.go(g));
        await tasks.wait();
      }`,
    },
    "a listener that starts tasks later": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        socket.on("message", () => tasks.go(g));
        await opened;
      }`,
    },
    "a return between the first task and the last": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        tasks.go(g);
        if (isLast) return;
        tasks.go(h);
      }`,
    },
    "a return that starts the last task": {
      code: `
      async function f(ctx: Context) {
        const «tasks» = group(ctx);
        return tasks.go(g);
      }`,
    },
    "declarations that using cannot replace": {
      code: `
      async function f(ctx: Context) {
        var «a» = group(ctx);
        const «b» = group(ctx), c = 1;
        switch (x) {
          case 1:
            const «d» = group(ctx);
        }
      }`,
    },
    "a group without a name": {
      code: `
      async function f(ctx: Context) {
        «group(ctx)»;
        «group(ctx)».go(g);
        await «group(ctx)».run(g);
        return sleep(«group(ctx)».ctx, 5);
      }`,
    },
    "a group of a request": {
      code: `
      main((ctx) => {
        serveHttp(ctx, {}, (ctx) => {
          const «tasks» = group(ctx);
          tasks.go(g);
          return new Response();
        });
      });`,
    },
    "a group of a function inside main": {
      code: `
      main(async (ctx) => {
        for await (const _ of every(ctx, 5)) {
          await step(async () => {
            const «tasks» = group(ctx);
            tasks.go(g);
          });
        }
      });`,
      fixed: `
      main(async (ctx) => {
        for await (const _ of every(ctx, 5)) {
          await step(async () => {
            await using tasks = group(ctx);
            tasks.go(g);
            await tasks.wait();
          });
        }
      });`,
    },
  },
});
