// `curfew/unchecked-loop`: endless loops that no context ends.

import { testRule } from "./rule_table.ts";

testRule("unchecked-loop", {
  valid: {
    "a look at the context": `
      async function f(ctx: Context) {
        while (true) {
          if (ctx.err) return;
          await poll();
          await delay(100);
        }
      }`,
    "a context that is handed on": `
      async function f(ctx: Context) {
        for (;;) await poll(ctx);
      }`,
    "a child of the context": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        for (;;) await poll(step);
      }`,
    "a condition": `
      async function f(ctx: Context) {
        while (running) await poll();
        while (running) await delay(100);
        do await poll(); while (more());
        for (let i = 0; i < 3; i++) await poll();
        while (0) await poll();
        for (const x of xs) await poll(x);
      }`,
    "a loop without await": `
      function f(ctx: Context) {
        while (true) {
          if (next()) break;
          later(async () => { await poll(); });
        }
        while (true) {
          for (const x of xs) delay(x);
          later(async () => {
            for await (const x of xs) use(x);
          });
        }
      }`,
    "a loop that its source ends": `
      async function f(ctx: Context, reader: Reader) {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          use(value);
        }
        while (true) {
          if (await reader.read()) return;
        }
        outer: while (true) {
          for (;;) {
            if (await reader.read()) break outer;
          }
        }
        while (true) {
          if (await reader.read()) throw new Error("end");
        }
      }`,
    "a function without a context": `
      async function f() {
        while (true) await delay(100);
      }
      const root = background();
      async function g() {
        while (true) await delay(100);
      }`,
    "a context of the module": `
      const ctx = notifyContext(background());
      async function f() {
        while (true) await delay(100);
      }`,
    "a root": `
      async function f() {
        const ctx = background();
        while (true) await delay(100);
      }`,
    "a function that others call": `
      function f(ctx: Context) {
        return { async next(request) { while (true) await delay(100); } };
      }`,
    "a generator, which its consumer leaves": `
      async function* f(ctx: Context) {
        while (true) {
          await delay(100);
          yield 1;
        }
      }`,
    "a signal of something": `
      async function f(ctx: Context) {
        while (true) {
          await delay(100);
          request.signal.throwIfAborted();
        }
      }`,
    "a connection of a handler": `
      serveTcp(root, {}, async (ctx, conn) => {
        for (;;) await conn.read(buffer);
      });`,
    "something that was made with the context": `
      async function f(ctx: Context) {
        const conn = await dial(ctx);
        const reader = conn.readable.getReader();
        for (;;) await reader.read();
      }`,
    "something that the end of the context closes": `
      async function f(ctx: Context, conn: Conn) {
        afterFunc(ctx, () => conn.close());
        for (;;) await conn.read();
      }`,
    "a flag that the end of the context sets": `
      async function f(ctx: Context) {
        let over = false;
        afterFunc(ctx, () => { over = true; });
        while (true) {
          if (over) return;
          await delay(100);
        }
      }`,
    "a function that looks at the context": `
      async function f(ctx: Context) {
        async function step() { await poll(ctx); }
        while (true) {
          await step();
          await delay(100);
        }
      }`,
    "an object that stores the context": `
      class Poller {
        #ctx: Context;
        constructor(ctx: Context) { this.#ctx = ctx; }
        async run(ctx: Context) {
          while (true) await this.poll();
        }
      }`,
    "an object with a context in a field": `
      function f(root: Context) {
        return class Poller {
          #ctx = withCancel(root);
          async run(ctx: Context) {
            while (true) await this.poll();
          }
        };
      }`,
    "a context that comes later": `
      async function f() {
        while (true) {
          if (x) break;
          await delay(100);
        }
        using ctx = withTimeout(background(), 500);
        await load(ctx);
      }`,
    "a declaration between two functions": `
      async function f(ctx: Context) {
        const a = () => b(), b = () => a(), reader = open(ctx);
        while (true) {
          a();
          await reader.read();
        }
      }`,
  },

  invalid: {
    "a loop that polls": {
      code: `
      async function f(ctx: Context) {
        «while (true) »{
          await poll();
          await delay(1_000);
        }
      }`,
      message: "This loop goes on after `ctx` is done",
    },
    "every kind of endless loop": {
      code: `
      async function f(ctx: Context) {
        if (a) «for (;;) »await poll();
        if (b) «for (;true;) »await poll();
        if (c) «while (1) »await poll();
        if (d) «do »await poll(); while (true);
        «while (true) »for await (const x of xs()) use(x);
      }`,
    },
    "a loop that waits for a time, although it has an end": {
      code: `
      async function f(ctx: Context) {
        «while (true) »{
          try {
            return await load();
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 1_000));
          }
        }
      }
      async function g(ctx: Context) {
        «for (;;) »{
          if (await ready()) break;
          await timers.sleep(100);
        }
      }`,
    },
    "a loop in a closure": {
      code: `
      main(async (ctx) => {
        const run = async () => {
          «while (true) »await poll();
        };
        await run();
      });`,
    },
    "a context that is made in the function": {
      code: `
      async function f() {
        using ctx = withTimeout(background(), 500);
        await load(ctx);
        «while (true) »await poll();
      }`,
    },
    "something that has nothing to do with the context": {
      code: `
      async function f(ctx: Context, reader: Reader) {
        const url = name();
        await load(ctx);
        «while (true) »await reader.read(url);
      }`,
    },
    "functions that call each other": {
      code: `
      async function f(ctx: Context) {
        const a = () => b();
        const b = () => a();
        «while (true) »await a();
      }`,
    },
    "a closure beside an await": {
      code: `
      async function f(ctx: Context) {
        «while (true) »{
          await poll(async () => { await next(); });
        }
      }
      async function g(ctx: Context) {
        «while (true) »{
          for await (const x of xs) use(x);
          poll(async () => { for await (const x of xs) use(x); });
        }
      }`,
    },
    "a loop that leaves its object alone": {
      code: `
      class Poller {
        #ctx: Context;
        constructor(ctx: Context) { this.#ctx = ctx; }
        async run(ctx: Context) {
          «while (true) »await poll();
        }
      }`,
    },
    "an object that stores no context": {
      code: `
      class Poller {
        #url: string;
        constructor(url: string) { this.#url = url; }
        async run(ctx: Context) {
          «while (true) »await this.poll(this.#url);
        }
      }`,
    },
    "a context of the module, at its top": {
      code: `
      const ctx = notifyContext(background());
      «while (true) »await poll();`,
    },
  },
});
