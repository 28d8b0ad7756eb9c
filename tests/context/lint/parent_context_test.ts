// `curfew/parent-context`: work that does not end with its function's context.

import { testRule } from "./rule_table.ts";

testRule("parent-context", {
  valid: {
    "the nearest context": `
      async function f(ctx: Context) {
        await load(ctx);
        using step = withTimeout(ctx, 500);
        await load(step);
      }`,
    "a function without a context of its own": `
      async function f() {
        using step = withTimeout(background(), 500);
        await load(step);
      }
      async function g(ctx: HonoContext) {
        await load(background());
      }`,
    "a closure without a context of its own": `
      async function f(ctx: Context) {
        await each(async (x) => {
          await load(ctx, x);
        });
      }`,
    "work in the handler of a promise that has failed": `
      async function f(ctx: Context) {
        await load(ctx).catch(() => save(background()));
        await load(ctx).finally(async () => {
          await save(background());
        });
        await load(ctx).then(use, () => save(background()));
      }`,
    "work after a race with done": `
      async function f(ctx: Context) {
        await Promise.race([ctx.done, load()]);
        await save(background());
      }`,
    "a default": `
      async function f(ctx: Context = background()) {
        await load(ctx);
      }
      async function g(ctx?: Context) {
        await load(ctx ?? background());
        ctx ??= background();
        const own = ctx === undefined ? background() : ctx;
      }`,
    "work that nothing waits for": `
      async function f(ctx: Context) {
        void audit(background());
        audit(background());
        const flushing = flush(background());
        const free = withCancel(background());
        track(free);
      }`,
    "work of the server, started by a request": `
      async function f(root: Context) {
        serveHttp(root, {}, async (ctx, request) => {
          void audit(root);
          track(withCancel(root));
          return new Response();
        });
      }`,
    "a cancel or a look at the outer context": `
      async function f() {
        using root = withCancel(background());
        serveHttp(root, {}, async (ctx, request) => {
          if (root.err) return new Response();
          root.cancel("quit");
          await log(root.value(key));
          await log(remaining(root));
          await first(root.done, request);
          return new Response(String(remaining(root)));
        });
      }`,
    "both contexts in one statement": `
      async function f(root: Context) {
        await run(async (ctx: Context) => {
          await Promise.race([sleep(ctx, 5), root.done, load(root)]);
          using both = withSignal(root, ctx.signal);
          await load(both);
        });
      }`,
    "a cleanup": `
      async function f(ctx: Context) {
        try {
          await load(ctx);
        } catch {
          await report(background());
        } finally {
          using limit = withTimeout(background(), 5_000);
          await close(limit);
        }
      }`,
    "what comes after the end of the context": `
      async function f(ctx: Context) {
        await ctx.done;
        await flush(background());
      }
      async function g(ctx: Context) {
        for await (const tick of every(ctx, 1_000)) send(tick);
        using bye = withTimeout(background(), 1_000);
        await goodbye(bye);
      }
      async function h(ctx: Context) {
        while (ctx.err === undefined) await poll(ctx);
        await flush(background());
      }`,
    "a function of two contexts": `
      async function f(a: Context, b: Context) {
        await load(background());
      }`,
    "a context that is made in the function": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        await Promise.all(xs.map((x) => load(step, x)));
      }`,
    "a context that is returned": `
      function f(ctx: Context) {
        return withValue(background(), key, ctx.value(key));
      }
      function g(ctx: Context) {
        return background();
      }`,
  },

  invalid: {
    "work in the handler of a promise that succeeds": {
      code: `
      async function f(ctx: Context) {
        await load(ctx).then((x) => save(«background()», x));
      }`,
      fixed: `
      async function f(ctx: Context) {
        await load(ctx).then((x) => save(ctx, x));
      }`,
    },
    "background": {
      code: `
      async function f(ctx: Context) {
        await load(«background()»);
        return load(«todo()»);
      }`,
      fixed: `
      async function f(ctx: Context) {
        await load(ctx);
        return load(ctx);
      }`,
      message: "This work does not end with `ctx`",
    },
    "a context under background": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(«background()», 500);
        await load(step);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        await load(step);
      }`,
    },
    "the context of the server in a handler": {
      code: `
      main((root) => {
        serveHttp(root, {}, async (ctx, request) => {
          using step = withTimeout(«root», 500);
          const reply = await fetch(url, { signal: «root».signal });
          return reply.ok ? respond(«root») : new Response();
        });
      });`,
      fixed: `
      main((root) => {
        serveHttp(root, {}, async (ctx, request) => {
          using step = withTimeout(ctx, 500);
          const reply = await fetch(url, { signal: ctx.signal });
          return reply.ok ? respond(ctx) : new Response();
        });
      });`,
    },
    "the context of the caller in a task": {
      code: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        tasks.go((taskCtx) => load(«ctx»));
        await tasks.run(async (taskCtx) => await load({ signal: «ctx».signal }));
        await tasks.wait();
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        tasks.go((taskCtx) => load(taskCtx));
        await tasks.run(async (taskCtx) => await load({ signal: taskCtx.signal }));
        await tasks.wait();
      }`,
    },
    "a closure in a function with a context": {
      code: `
      async function f(ctx: Context) {
        await Promise.all(xs.map((x) => load(«background()», x)));
      }`,
      fixed: `
      async function f(ctx: Context) {
        await Promise.all(xs.map((x) => load(ctx, x)));
      }`,
    },
    "a name that is hidden where it would go": {
      code: `
      async function f(ctx: Context) {
        await Promise.all(xs.map((ctx) => load(«background()», ctx)));
      }`,
    },
    "parameters of every form": {
      code: `
      class A {
        constructor(private readonly ctx: Context) {
          return load(«background()»);
        }
      }
      async function f(ctx: Context = background()) {
        await load(«background()»);
      }`,
      fixed: `
      class A {
        constructor(private readonly ctx: Context) {
          return load(ctx);
        }
      }
      async function f(ctx: Context = background()) {
        await load(ctx);
      }`,
    },
    "a try": {
      code: `
      async function f(ctx: Context) {
        try {
          await load(«background()»);
        } finally {
          close();
        }
        return sleep(«background()», 5);
      }`,
      fixed: `
      async function f(ctx: Context) {
        try {
          await load(ctx);
        } finally {
          close();
        }
        return sleep(ctx, 5);
      }`,
    },
    "a loop that comes after": {
      code: `
      async function f(ctx: Context) {
        await load(«background()»);
        for await (const tick of every(ctx, 1_000)) send(tick);
      }`,
      fixed: `
      async function f(ctx: Context) {
        await load(ctx);
        for await (const tick of every(ctx, 1_000)) send(tick);
      }`,
    },
    "a loop that the context does not end": {
      code: `
      async function f(ctx: Context) {
        while (x) await poll(ctx);
        await load(«background()»);
      }`,
      fixed: `
      async function f(ctx: Context) {
        while (x) await poll(ctx);
        await load(ctx);
      }`,
    },
  },
});
