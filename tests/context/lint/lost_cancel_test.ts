// `curfew/lost-cancel`: contexts that their maker must cancel, and does not.

import { testRule } from "./rule_table.ts";

testRule("lost-cancel", {
  valid: {
    "using": `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        await g(step);
      }`,
    "a context that is returned": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        return child;
      }`,
    "a call that is returned": `
      const f = (ctx: Context) => withCancel(ctx);`,
    "a context in what is returned": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        return { child, stop: 1 };
      }`,
    "a context in a property": `
      class Session {
        #ctx: CancelableContext;
        constructor(ctx: Context) {
          const child = withCancel(ctx);
          this.#ctx = child;
        }
      }`,
    "a call in a property": `
      class Session {
        #ctx = withCancel(background());
        constructor(ctx: Context) { this.other = withCancel(ctx); }
      }`,
    "a variable that is assigned later": `
      function f(ctx: Context) {
        let child;
        child = withCancel(ctx);
        child.err;
      }`,
    "an exported context": `
      export const root = withCancel(parent);`,
    "an export by name": `
      const root = withCancel(parent);
      export { root };`,
    "a context in a list": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        children.push(child);
      }`,
    "a context that an object is made of": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        const session = new Session(child);
      }`,
    "a context given to an unknown function": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        own(child);
      }`,
    "a context that an awaited function keeps": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await registerSession(child);
      }`,
    "a call given to an unknown function": `
      async function f(ctx: Context) {
        own(withCancel(ctx));
      }`,
    "a server under it": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        serveHttp(child, {}, () => new Response());
      }`,
    "a timer made of it": `
      function f(ctx: Context) {
        const limit = withTimeout(ctx, 500);
        afterFunc(limit, () => console.log("late"));
      }`,
    "a listener until its deadline": `
      function f(ctx: Context) {
        const limit = withTimeout(ctx, 500);
        bus.addEventListener("message", g, { signal: limit.signal });
        bus.addEventListener("close", g, { signal: withDeadline(ctx, at).signal });
      }`,
    "cancel handed on": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        button.onclick = child.cancel;
      }`,
    "cancel in a closure": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        setTimeout(() => child.cancel(), 100);
        await g(child);
      }`,
    "cancel destructured": `
      function f(ctx: Context) {
        const { signal, cancel } = withCancel(ctx);
        const { signal: other, ...rest } = withCancel(ctx);
        const { [key]: one } = withCancel(ctx);
      }`,
    "cancel at the end": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await g(child);
        child.cancel("done");
      }`,
    "Symbol.dispose at the end": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await g(child);
        child[Symbol.dispose]();
      }`,
    "an optional call of cancel": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await g(child);
        child?.cancel();
      }`,
    "cancel at once": `
      function f(ctx: Context) {
        withCancel(ctx).cancel();
      }`,
    "waiting until it is done": `
      async function f(ctx: Context) {
        const limit = withTimeout(ctx, 500);
        await limit.done;
        await withTimeout(ctx, 500).done;
      }`,
    "cancel in finally": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        try {
          if (x) return 1;
          await g(child);
        } finally {
          child.cancel();
        }
      }`,
    "cancel in both branches": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        if (await g(child)) {
          child.cancel("yes");
          return 1;
        } else child.cancel("no");
      }`,
    "cancel before each exit": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        for (;;) {
          if (await g(child)) {
            child.cancel();
            return;
          }
        }
      }`,
    "cancel in each case": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        switch (x) {
          case 1:
            child.cancel("one");
            break;
          case 2:
          default:
            child.cancel("two");
        }
      }`,
    "an exit on which it is done": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await g(child);
        if (child.err) return;
        if (child.err !== undefined) return;
        if (child.signal.aborted || x) return;
        if (isCanceled(child, error)) return;
        if (!child.err) child.cancel();
      }`,
    "a loop that runs until it is done": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        while (child.err === undefined) await g(child);
      }`,
    "a child of a context that ends itself": `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        const step = withTimeout(session, 500);
        await g(step);
        const named = withValue(session, key, 1);
        await sleep(withTimeout(named, 500), 100);
        for (const x of xs) await sleep(withTimeout(session, 500), 100);
      }`,
    "a child of a group": `
      async function f(ctx: Context) {
        await using tasks = group(ctx);
        const step = withTimeout(tasks.ctx, 500);
        await g(step);
      }`,
    "a context joined to one that ends itself": `
      async function f(ctx: Context) {
        using other = withCancel(ctx);
        const both = withSignal(ctx, other.signal);
        await g(both);
      }`,
    "a child of a wrapper around one that ends itself": `
      async function f(ctx: Context) {
        using inner = withCancel(ctx);
        const wrapper = new Wrapper(inner);
        await sleep(withTimeout(wrapper, 500), 100);
      }`,
    "a context that is looked at and dropped": `
      function f(ctx: Context) {
        g(withCancel(ctx).err, withTimeout(ctx, 5).deadline);
        g(cause(withCancel(ctx)), remaining(withTimeout(ctx, 5)));
      }`,
    "a cancel in a loop that counts": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        await g(child);
        for (let i = 0; i < 3; i++) child.cancel(i);
      }`,
    "a child for each item of a list": `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        const waits = xs.map((x) => sleep(withTimeout(session, 500), x));
        xs.forEach((x) => sleep(withTimeout(session, 500), x));
        await Promise.all(waits);
      }`,
    "a child of a context of another copy of the package": `
      async function f() {
        const root = other.withCancel(other.background());
        const child = withCancel(root);
        const work = g(child.signal);
      }`,
    "a child of a root under which nothing runs": `
      function f(signal: AbortSignal) {
        const ctx = withSignal(background(), signal);
        return cause(ctx) === ctx.err;
      }`,
    "a child of a context that is cut off from its parent": `
      function f(ctx: Context) {
        const child = withCancel(withoutCancel(ctx));
        const work = g(child.signal);
        const { signal } = withCancel(background());
      }`,
    "a child of a root that using does not suit": `
      function f() {
        const ctx = withCancel(background());
        const server = listen(ctx.signal);
        const child = withCancel(withValue(todo(), key, 1));
        const other = g(child.signal);
        console.log(String(withCancel(background())));
      }`,
    "a context of the module that others use": `
      const root = withCancel(parent);
      function f() {
        return sleep(root, 5);
      }`,
    "a time limit of zero": `
      function f(ctx: Context) {
        const over = withTimeout(ctx, 0);
        assert(over.err);
      }`,
    "contexts that need no cancel": `
      async function f(ctx: Context) {
        const named = withValue(ctx, key, 1);
        const free = withoutCancel(ctx);
        const soft = draining(ctx);
        await g(named, free, soft);
      }`,
    "a choice between contexts": `
      async function f(ctx: Context) {
        const step = x ? withTimeout(ctx, 500) : ctx;
        await g(step);
      }`,
    "another function of the same name": `
      import { withCancel } from "./mine.ts";
      import { withTimeout } from "@curfew/context";
      async function f(ctx) {
        const child = withCancel(ctx);
        await g(child);
        {
          const withTimeout = () => {};
          const step = withTimeout(ctx, 5);
          await g(step);
        }
      }`,
    "a file that does not import the package": `
      import { withCancel } from "go-context";
      const child = withCancel(parent);
      await g(child);`,
    "a context in the head of a loop": `
      async function f(ctx: Context) {
        for (const child = withCancel(ctx); ; child.cancel()) await g(child);
      }`,
  },

  invalid: {
    "a context that is never canceled": {
      code: `
      async function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        await g(step);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        await g(step);
      }`,
      message: "`step` is never canceled",
    },
    "let": {
      code: `
      async function f(ctx: Context) {
        let «step» = withCancel(ctx);
        await g(step);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withCancel(ctx);
        await g(step);
      }`,
    },
    "an alias": {
      code: `
      import { withTimeout as wt } from "jsr:@curfew/context@^0.1/context";
      async function f(ctx) {
        const «step» = wt(ctx, 500);
        await g(step);
      }`,
      fixed: `
      import { withTimeout as wt } from "jsr:@curfew/context@^0.1/context";
      async function f(ctx) {
        using step = wt(ctx, 500);
        await g(step);
      }`,
    },
    "a namespace": {
      code: `
      import * as c from "npm:@curfew/context";
      async function f(ctx) {
        const «step» = c.withTimeout(ctx, 500);
        await g(step);
      }`,
      fixed: `
      import * as c from "npm:@curfew/context";
      async function f(ctx) {
        using step = c.withTimeout(ctx, 500);
        await g(step);
      }`,
    },
    "a type annotation": {
      code: `
      async function f(ctx: Context) {
        const «step»: CancelableContext = withCancel(ctx);
        await g(step);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step: CancelableContext = withCancel(ctx);
        await g(step);
      }`,
    },
    "an annotation that hides cancel": {
      code: `
      async function f(ctx: Context) {
        const «step»: Context = withCancel(ctx);
        await g(step);
      }`,
    },
    "two in one declaration": {
      code: `
      async function f(ctx: Context) {
        const «a» = withCancel(ctx), «b» = withCancel(ctx);
        await g(a);
        await g(b);
      }`,
    },
    "var": {
      code: `
      async function f(ctx: Context) {
        var «step» = withCancel(ctx);
        await g(step);
      }`,
    },
    "a signal given to a request": {
      code: `
      async function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        const reply = await fetch(url, { signal: step.signal });
        console.log(reply.status);
        return await reply.json();
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        const reply = await fetch(url, { signal: step.signal });
        console.log(reply.status);
        return await reply.json();
      }`,
    },
    "a response that leaves the function": {
      code: `
      async function f(ctx: Context) {
        const «a» = withTimeout(ctx, 500);
        const reply = await fetch(url, { signal: a.signal });
        return reply;
      }
      async function g(ctx: Context) {
        const «b» = withTimeout(ctx, 500);
        return await fetch(url, { signal: b.signal });
      }
      async function h(ctx: Context) {
        const «c» = withTimeout(ctx, 500);
        return fetch(url, { signal: c.signal });
      }
      async function i(ctx: Context) {
        const «d» = withTimeout(ctx, 500);
        this.reply = await fetch(url, { signal: d.signal });
      }`,
    },
    "a promise that is returned": {
      code: `
      async function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        if (x) return load(step.signal);
        return x ? sleep(step, 5) : g();
      }`,
      fixed: `
      async function f(ctx: Context) {
        using step = withTimeout(ctx, 500);
        if (x) return await load(step.signal);
        return await (x ? sleep(step, 5) : g());
      }`,
    },
    "a promise that a function that is not async returns": {
      code: `
      function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        return sleep(step, 5);
      }`,
    },
    "work that goes on after the block": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        const work = g(child.signal);
        await other();
      }`,
    },
    "a listener that nothing removes": {
      code: `
      function f(ctx: Context) {
        const «child» = withCancel(ctx);
        bus.addEventListener("message", g, { signal: child.signal });
      }`,
    },
    "closures of an awaited call": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        await Promise.all(xs.map(async (x) => {
          if (child.err) return;
          await g(child, x);
        }));
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        await Promise.all(xs.map(async (x) => {
          if (child.err) return;
          await g(child, x);
        }));
      }`,
    },
    "a closure that may run later": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        setInterval(() => console.log(child.err), 100);
        await g();
      }`,
    },
    "a loop over what it bounds": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        for await (const tick of every(child, 100)) {
          if (tick === 3) break;
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        for await (const tick of every(child, 100)) {
          if (tick === 3) break;
        }
      }`,
    },
    "state that is only read": {
      code: `
      function f(ctx: Context) {
        const «child» = withTimeout(ctx, 500);
        const left = remaining(child);
        const user = child.value(key);
        if (child.err === undefined) g(left, user, child.deadline);
        child.signal.throwIfAborted();
        return String(left) + \`\${child}\`;
      }`,
      fixed: `
      function f(ctx: Context) {
        using child = withTimeout(ctx, 500);
        const left = remaining(child);
        const user = child.value(key);
        if (child.err === undefined) g(left, user, child.deadline);
        child.signal.throwIfAborted();
        return String(left) + \`\${child}\`;
      }`,
    },
    "a context given to a function that cannot cancel it": {
      code: `
      function f(ctx: Context) {
        const «child» = withCancel(ctx);
        const result = g(child);
      }
      function g(ctx: Context) {}`,
    },
    "a context given to an arrow function that cannot cancel it": {
      code: `
      const g = (n: number, ctx: Context | undefined) => {};
      function f(ctx: Context) {
        const «child» = withCancel(ctx);
        const result = g(1, child);
      }`,
    },
    "an early return": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        if (await g(child)) return;
        child.cancel();
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        if (await g(child)) return;
        child.cancel();
      }`,
      message: "`child` is not canceled on every path",
    },
    "a throw": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        if (!await g(child)) throw new Error("no");
        child.cancel();
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        if (!await g(child)) throw new Error("no");
        child.cancel();
      }`,
    },
    "an exception that is caught": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        try {
          await g(child);
          child.cancel();
        } catch (error) {
          console.log(error);
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        try {
          await g(child);
          child.cancel();
        } catch (error) {
          console.log(error);
        }
      }`,
    },
    "a continue": {
      code: `
      async function f(ctx: Context) {
        for (const x of xs) {
          const «child» = withCancel(ctx);
          if (await g(child, x)) continue;
          child.cancel();
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        for (const x of xs) {
          using child = withCancel(ctx);
          if (await g(child, x)) continue;
          child.cancel();
        }
      }`,
    },
    "a child made for each message": {
      code: `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        for await (const message of messages) {
          const «step» = withTimeout(session, 500);
          await g(step, message);
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        for await (const message of messages) {
          using step = withTimeout(session, 500);
          await g(step, message);
        }
      }`,
    },
    "a child made by a closure": {
      code: `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        await each(async () => {
          const «step» = withTimeout(session, 500);
          await g(step);
        });
      }`,
      fixed: `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        await each(async () => {
          using step = withTimeout(session, 500);
          await g(step);
        });
      }`,
    },
    "a call without a name": {
      code: `
      async function f(ctx: Context) {
        await sleep(«withTimeout(ctx, 500)», 100);
        const reply = await fetch(url, { signal: «withTimeout(ctx, 500)».signal });
        await group(«withCancel(ctx)» as Context).wait();
        «withCancel(ctx)»;
        return withValue(«withCancel(ctx)», key, 1);
      }`,
      message: "This context of `withTimeout` is never canceled",
    },
    "a pattern without cancel": {
      code: `
      function f(ctx: Context) {
        const «{ signal }» = withCancel(ctx);
        g(signal);
      }`,
    },
    "a context of the module": {
      code: `
      const «ctx» = withTimeout(background(), 500);
      await sleep(ctx, 100);`,
      fixed: `
      using ctx = withTimeout(background(), 500);
      await sleep(ctx, 100);`,
    },
    "a child of a root": {
      code: `
      async function f() {
        const «ctx» = withCancel(background());
        await sleep(ctx, 100);
      }`,
      fixed: `
      async function f() {
        using ctx = withCancel(background());
        await sleep(ctx, 100);
      }`,
    },
    "every function that makes one": {
      code: `
      async function f(ctx: Context, signal: AbortSignal) {
        const «a» = withCancel(ctx);
        const «b» = withDeadline(ctx, at);
        const «c» = withSignal(ctx, signal);
        const «d» = notifyContext(ctx);
        await g(a, b, c, d);
      }`,
      fixed: `
      async function f(ctx: Context, signal: AbortSignal) {
        using a = withCancel(ctx);
        using b = withDeadline(ctx, at);
        using c = withSignal(ctx, signal);
        using d = notifyContext(ctx);
        await g(a, b, c, d);
      }`,
    },
    "a context in a case clause": {
      code: `
      async function f(ctx: Context) {
        switch (x) {
          case 1:
            const «step» = withCancel(ctx);
            await g(step);
        }
      }`,
    },
    "text that is not ASCII before it": {
      code: `
      async function f(ctx: Context) {
        const s = "é😀";
        const «step» = withCancel(ctx);
        await g(step, s);
      }`,
      fixed: `
      async function f(ctx: Context) {
        const s = "é😀";
        using step = withCancel(ctx);
        await g(step, s);
      }`,
    },
  },
});
