// `curfew/await-before-dispose`: promises that outlive the block of their context.

import { testRule } from "./rule_table.ts";

testRule("await-before-dispose", {
  valid: {
    "await": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return await load(step);
      }`,
    "an await inside what is returned": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return parse(await load(step));
      }`,
    "a promise that does not have the context": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return load(ctx);
      }`,
    "a return outside of the block": `
      async function f(ctx: Context) {
        if (x) {
          using step = withTimeout(ctx, 500);
          await load(step);
        }
        return load(step);
      }`,
    "a return before the declaration": `
      async function f(ctx: Context) {
        if (x) return load(step);
        using step = withTimeout(ctx, 500);
      }`,
    "a context that does not end with the block": `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        step.cancel();
        return load(step);
      }`,
    "a context of another function": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        await each(async (x) => {
          return load(step, x);
        });
      }`,
    "something else with using": `
      async function f(ctx: Context) {
        using file = open(ctx);
        return load(file);
      }`,
    "a context inside the closure that is returned": `
      async function f(ctx: Context) {
        return Promise.all(xs.map(async (x) => {
          using step = withTimeout(ctx, 500);
          await load(step, x);
        }));
      }`,
    "a function that is not known": `
      function f(ctx: Context) {
        let load;
        using step = withTimeout(ctx, 500);
        return load(step);
      }`,
    "variables that are no contexts": `
      async function f(ctx: Context) {
        using a = open(), b = withTimeout(ctx, 5);
        let c;
        const { err } = withTimeout(ctx, 5);
        await each(async () => {
          using step = withTimeout(ctx, 500);
          await load(step);
        });
        return load(a, c, err);
      }`,
    "a try of another function": `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        try {
          await each(() => {
            return load(step);
          });
        } finally {
          step.cancel();
        }
      }`,
    "a function without a body of its own": `
      const f = (ctx: Context) => load(ctx);
      return load(root);`,
    "state that is only read": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return step.err;
        if (b) return describe(step.err, step.deadline, step.signal.aborted);
        if (c) return remaining(step);
        return parse(step.value(key));
      }`,
    "the context itself": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return step;
      }`,
    "a promise inside an object or a list": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return { work: load(step) };
        if (b) return [load(step)];
        return xs.map((x) => load(step, x));
      }`,
    "a closure": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return () => load(step);
      }`,
    "calls that return no promise": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return String(step);
        if (b) return Object.keys(step);
        if (c) return new Session(step);
        if (d) return withValue(step, key, 1);
        if (e) return list(step);
        if (f) return cache.get(step);
        return names(step);
      }
      function list(ctx: Context): string[] { return []; }
      function* names(ctx: Context) {}`,
    "a function that is not async and may return no promise": `
      function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return compute(step);
      }`,
    "an async generator, which awaits what it returns": `
      async function* f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        yield load(step);
        return load(step);
      }`,
    "try without a cancel in finally": `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        try {
          return load(step);
        } finally {
          console.log(step.err);
        }
      }`,
    "a return in finally": `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        try {
          await load(step);
        } finally {
          step.cancel();
          return load(step);
        }
      }`,
    "members of a group that return no promise": `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        await tasks.wait();
        if (x) return tasks.active;
        return tasks.tryGo(g);
      }`,
    "an empty return": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        return;
      }`,
  },

  invalid: {
    "a return without await": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (x) return «api.load(step)»;
        return «load(step)»;
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (x) return await api.load(step);
        return await load(step);
      }`,
      message: "`step` ends before this promise settles",
    },
    "an arrow function, a method, a nested block": {
      code: `
      const f = async (ctx: Context) => {
        using step = withCancel(ctx);
        if (x) {
          for (const y of ys) return «this.#load(y, { signal: step.signal })»;
        }
      };
      class A {
        async g(ctx: Context) {
          using step = withDeadline(ctx, 5);
          return «new Promise((resolve) => wait(step, resolve))»;
        }
      }`,
      fixed: `
      const f = async (ctx: Context) => {
        using step = withCancel(ctx);
        if (x) {
          for (const y of ys) return await this.#load(y, { signal: step.signal });
        }
      };
      class A {
        async g(ctx: Context) {
          using step = withDeadline(ctx, 5);
          return await new Promise((resolve) => wait(step, resolve));
        }
      }`,
    },
    "a promise of either branch": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return «x ? load(step) : other()»;
        if (b) return «cached ?? load(step)»;
        return «load(step) as Promise<string>»;
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return await (x ? load(step) : other());
        if (b) return await (cached ?? load(step));
        return await (load(step) as Promise<string>);
      }`,
    },
    "promises that are combined or chained": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (x) return «Promise.all(xs.map((x) => load(step, x)))»;
        return «load(step).then((x) => x + 1)»;
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (x) return await Promise.all(xs.map((x) => load(step, x)));
        return await load(step).then((x) => x + 1);
      }`,
    },
    "functions of this package": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return «sleep(step, 5)»;
        if (b) return «retry(step, (ctx) => load(ctx))»;
        return «orDone(step, promise)»;
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return await sleep(step, 5);
        if (b) return await retry(step, (ctx) => load(ctx));
        return await orDone(step, promise);
      }`,
    },
    "a call of an async function in the file": {
      code: `
      function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return «(async (ctx: Context) => {})(step)»;
        return «load(step)»;
      }
      const load = async (ctx: Context) => {};`,
    },
    "a response, which has to be read as well": {
      code: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return «x ? load(step) : fetch(url, { signal: step.signal })»;
        return «fetch(url, { signal: step.signal })»;
      }`,
    },
    "a function that is not async": {
      code: `
      function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (a) return «sleep(step, 5)»;
        if (b) return «load(step)»;
        if (c) return «fetch(url, { signal: step.signal })»;
        if (d) return «Promise.all([other(step)])»;
        if (e) return «other(step).then(x)»;
        if (h) return «new Promise((resolve) => other(step, resolve))»;
        return «g(step)»;
      }
      async function load(ctx: Context) {}
      function g(ctx: Context): Promise<void> { return Promise.resolve(); }`,
    },
    "a function with the type of a promise": {
      code: `
      function f(ctx: Context): Promise<string> {
        using step = withTimeout(ctx, 500);
        return «load(step)»;
      }`,
    },
    "a cancel in finally": {
      code: `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        try {
          return «load(step)»;
        } catch {
          return «load(step, "again")»;
        } finally {
          step.cancel();
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        const step = withTimeout(ctx, 500);
        try {
          return await load(step);
        } catch {
          return await load(step, "again");
        } finally {
          step.cancel();
        }
      }`,
    },
    "a group": {
      code: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        if (a) return «tasks.run(g)»;
        if (b) return «load(tasks.ctx)»;
        return «tasks.wait()»;
      }`,
      fixed: `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        if (a) return await tasks.run(g);
        if (b) return await load(tasks.ctx);
        return await tasks.wait();
      }`,
    },
  },
});
