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
    "an alias": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        const other = child;
      }
      function g(ctx: Context) {
        const child = withCancel(ctx);
        if (x) {
          const other = child;
        }
      }`,
    "a property of its name": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        return { own: child };
      }`,
    "two declarations of one name": `
      function f(ctx: Context) {
        var child = withCancel(ctx);
        var child = other;
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
      export { root as other };`,
    "a context under an assertion": `
      function f(ctx: Context) {
        const a = withCancel(ctx);
        const b = withCancel(ctx);
        const c = withCancel(ctx);
        const d = withCancel(ctx);
        own(<Context> a);
        own(b!);
        own(c satisfies Context);
        return d as Context;
      }`,
    "a pattern that takes nothing by name": `
      function f(ctx: Context) {
        const [a] = withCancel(ctx);
      }`,
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
    "a signal that is returned, and ends by itself": `
      const limit = (ctx: Context) => withTimeout(ctx, 500).signal;
      function options(ctx: Context) {
        const step = withDeadline(ctx, at);
        return { signal: step.signal, method: "POST" };
      }`,
    "cancel handed on": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        button.onclick = child.cancel;
      }`,
    "cancel handed on by one path": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        if (x) onClose(child.cancel);
      }`,
    "a listener in a list of expressions": `
      function f(ctx: Context) {
        const limit = withTimeout(ctx, 500);
        const x = (bus.on(g, limit.signal), 1);
      }`,
    "cancel in a closure": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        setTimeout(() => child.cancel(), 100);
        await g(child);
      }`,
    "a closure that returns it": `
      function f(ctx: Context) {
        const child = withCancel(ctx);
        later(() => child);
        const other = withCancel(ctx);
        later((x) => x ? other : ctx);
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
        if (x && undefined !== child.err) return;
        if (cause(child) instanceof Error) return;
        if (child.err?.name === "AbortError") return;
        if (child.err === expected) return;
        if (null == child.err) child.cancel();
      }
      async function g(ctx: Context) {
        const child = withCancel(ctx);
        await sleep(child, 5);
        if (!child.err && x) child.cancel();
      }
      async function h(ctx: Context) {
        const child = withCancel(ctx);
        await sleep(child, 5);
        if (child.err === undefined) return child.cancel();
        else if (x) return;
      }`,
    "cancel before a jump to a label": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        outer: for (;;) {
          for (;;) {
            if (await g(child)) continue outer;
            child.cancel();
            break outer;
          }
        }
        block: {
          if (x) break block;
        }
      }`,
    "cancel in an exit": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        if (await g(child)) return child.cancel();
        throw child.cancel();
      }`,
    "cancel in a condition": `
      async function f(ctx: Context) {
        const a = withCancel(ctx);
        if (stop(a.cancel())) return;
      }
      async function g(ctx: Context) {
        const b = withCancel(ctx);
        switch (stop(b.cancel())) { case 1: return; }
      }
      async function h(ctx: Context) {
        const c = withCancel(ctx);
        while (stop(c.cancel())) return;
      }
      async function i(ctx: Context) {
        const d = withCancel(ctx);
        for (d.cancel(); x; ) return;
      }
      async function j(ctx: Context) {
        const e = withCancel(ctx);
        for (const y of stop(e.cancel())) return;
      }
      async function k(ctx: Context) {
        const h = withCancel(ctx);
        do { if (x) continue; await g(); } while (stop(h.cancel()));
      }
      async function l(ctx: Context) {
        const i = withCancel(ctx);
        for (; stop(i.cancel()); ) return;
      }`,
    "cancel in a branch that every path takes": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        try {
          child.cancel();
          await g(child);
        } catch {
          return;
        }
      }`,
    "cancel in catch": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        try {
          throw await g(child);
        } catch {
          child.cancel();
        }
      }`,
    "a return in finally": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        try {
          if (await g(child)) return;
        } finally {
          for (;;) {
            child.cancel();
            break;
          }
        }
      }`,
    "a loop that never ends": `
      async function f(ctx: Context) {
        const child = withCancel(ctx);
        for (;;) await g(child);
      }
      async function h(ctx: Context) {
        const child = withCancel(ctx);
        do {
          if (await g(child)) continue;
        } while (true);
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
        for (let i = 0; i < 3; i++) await sleep(withTimeout(session, 5), 1);
        for (const x in xs) await sleep(withTimeout(session, 500), 100);
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
    "a child of a root without a name": `
      async function f() {
        withCancel(background());
        await sleep(withTimeout(background(), 500), 100);
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
        console.log(reply.status);
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
    "awaited calls of every form": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        await Promise.all([g(child.signal), h()]);
        await client?.get(child.signal);
        await g(...[child.signal]);
        await (g(child.signal)!);
        await (g(child.signal) satisfies Promise<void>);
        await (<Promise<void>> g(child.signal));
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        await Promise.all([g(child.signal), h()]);
        await client?.get(child.signal);
        await g(...[child.signal]);
        await (g(child.signal)!);
        await (g(child.signal) satisfies Promise<void>);
        await (<Promise<void>> g(child.signal));
      }`,
    },
    "names that only look like it": {
      code: `
      import { child as c } from "elsewhere" with { child: "x" };
      import { withCancel } from "@curfew/context";
      async function f(ctx) {
        const «child» = withCancel(ctx);
        await g(child);
        child: for (;;) {
          if (x) continue child;
          break child;
        }
        g(other.child, { child: 1 }, class {
          child = 1;
          static accessor child = 2;
          child() {}
        });
        const { child: own } = other;
        return { child: 1 };
      }`,
      fixed: `
      import { child as c } from "elsewhere" with { child: "x" };
      import { withCancel } from "@curfew/context";
      async function f(ctx) {
        using child = withCancel(ctx);
        await g(child);
        child: for (;;) {
          if (x) continue child;
          break child;
        }
        g(other.child, { child: 1 }, class {
          child = 1;
          static accessor child = 2;
          child() {}
        });
        const { child: own } = other;
        return { child: 1 };
      }`,
    },
    "names of other modules": {
      code: `
      import { ctx as c } from "elsewhere" with { ctx: "x" };
      import { background, sleep, withTimeout } from "@curfew/context";
      const «ctx» = withTimeout(background(), 500);
      await sleep(ctx, 100);
      export { c as ctx };`,
      fixed: `
      import { ctx as c } from "elsewhere" with { ctx: "x" };
      import { background, sleep, withTimeout } from "@curfew/context";
      using ctx = withTimeout(background(), 500);
      await sleep(ctx, 100);
      export { c as ctx };`,
    },
    "a name of the platform": {
      code: `
      async function f(ctx: Context) {
        const «meta» = withCancel(ctx);
        await g(meta, import.meta.url);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using meta = withCancel(ctx);
        await g(meta, import.meta.url);
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
    "work of which only the result is looked at": {
      code: `
      async function f(ctx: Context) {
        const «a» = withCancel(ctx);
        if (g(a.signal)) return 1;
        return g(a.signal) ? 1 : map[g(a.signal)];
      }
      async function* h(ctx: Context) {
        const «b» = withCancel(ctx);
        yield g(b.signal);
        switch (g(b.signal)) {
          case g(b.signal):
        }
        do {} while (g(b.signal));
        while (g(b.signal)) for (; g(b.signal); );
        throw -g(b.signal);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using a = withCancel(ctx);
        if (g(a.signal)) return 1;
        return g(a.signal) ? 1 : map[g(a.signal)];
      }
      async function* h(ctx: Context) {
        using b = withCancel(ctx);
        yield g(b.signal);
        switch (g(b.signal)) {
          case g(b.signal):
        }
        do {} while (g(b.signal));
        while (g(b.signal)) for (; g(b.signal); );
        throw -g(b.signal);
      }`,
    },
    "work whose result goes into a text or an error": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        x = 1 < g(child.signal);
        x = \`\${g(child.signal)}\`;
        throw g(child.signal);
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        x = 1 < g(child.signal);
        x = \`\${g(child.signal)}\`;
        throw g(child.signal);
      }`,
    },
    "work that nothing waits for": {
      code: `
      async function f(ctx: Context) {
        const «a» = withCancel(ctx);
        void g(a.signal);
      }
      async function h(ctx: Context) {
        const «b» = withCancel(ctx);
        x = (g(b.signal), 1);
      }
      async function i(ctx: Context) {
        const «c» = withCancel(ctx);
        for (; ; g(c.signal)) break;
      }
      function* j(ctx: Context) {
        const «d» = withCancel(ctx);
        yield g(d.signal);
      }
      async function k(ctx: Context) {
        const «e» = withTimeout(ctx, 500);
        x = (1, g(e.signal));
      }
      async function l(ctx: Context) {
        const «h» = withCancel(ctx);
        function run() { return g(h.signal); }
        await run();
      }
      async function m(ctx: Context) {
        const «i» = withCancel(ctx);
        await each((x = g(i.signal)) => 1);
      }
      async function n(ctx: Context) {
        const «j» = withCancel(ctx);
        for (const x of xs) y = g(j.signal);
      }
      async function o(ctx: Context) {
        const «k» = withCancel(ctx);
        later(async () => {
          await g(k.signal);
        });
      }
      async function p(ctx: Context) {
        const «l» = withCancel(ctx);
        await each(() => {
          void g(l.signal);
        });
      }
      async function q(ctx: Context) {
        const «m» = withCancel(ctx);
        await each(() => {
          x = g(m.signal);
        });
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
        const same = child === ctx || !child;
        if (child) g();
        return String(left) + \`\${child}\`;
      }`,
      fixed: `
      function f(ctx: Context) {
        using child = withTimeout(ctx, 500);
        const left = remaining(child);
        const user = child.value(key);
        if (child.err === undefined) g(left, user, child.deadline);
        child.signal.throwIfAborted();
        const same = child === ctx || !child;
        if (child) g();
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
    "an early return before Symbol.dispose": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        if (await g(child)) return;
        child[Symbol.dispose]();
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        if (await g(child)) return;
        child[Symbol.dispose]();
      }`,
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
    "jumps that pass a cancel": {
      code: `
      async function f(ctx: Context) {
        outer: for (const x of xs) {
          const «a» = withCancel(ctx);
          for (const y of ys) if (await g(a, y)) continue outer;
          a.cancel();
        }
        outer: for (const x of xs) {
          const «b» = withCancel(ctx);
          for (const y of ys) if (await g(b, y)) break outer;
          b.cancel();
        }
        const «c» = withCancel(ctx);
        block: {
          if (await g(c)) break block;
          c.cancel();
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        outer: for (const x of xs) {
          using a = withCancel(ctx);
          for (const y of ys) if (await g(a, y)) continue outer;
          a.cancel();
        }
        outer: for (const x of xs) {
          using b = withCancel(ctx);
          for (const y of ys) if (await g(b, y)) break outer;
          b.cancel();
        }
        using c = withCancel(ctx);
        block: {
          if (await g(c)) break block;
          c.cancel();
        }
      }`,
    },
    "paths that a statement leaves open": {
      code: `
      async function f(ctx: Context) {
        const «a» = withCancel(ctx), «b» = withCancel(ctx), «c» = withCancel(ctx);
        const «d» = withCancel(ctx), «e» = withCancel(ctx), «h» = withCancel(ctx);
        const «i» = withCancel(ctx), «j» = withCancel(ctx), «k» = withCancel(ctx);
        const «l» = withCancel(ctx), m = 1;
        await g(a, b, c, d, e, h, i, j, k, l);
        if (x) a.cancel();
        switch (x) { case 1: b.cancel(); }
        switch (x) { case 1: break; default: c.cancel(); }
        while (x) d.cancel();
        for (const y of ys) e.cancel();
        for (const y in ys) l.cancel();
        do { if (x) break; h.cancel(); } while (x);
        while (true) { if (x) break; }
        for (;;) { if (y) break; i.cancel(); }
        try { await g(); } finally { if (x) j.cancel(); }
        if (k.err === 5) k.cancel();
        for (; x; );
      }`,
    },
    "paths through finally": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        try {
          child.cancel();
        } finally {
          if (x) return;
        }
      }
      async function h(ctx: Context) {
        const «child» = withCancel(ctx);
        try {
          if (await g(child)) return;
          child.cancel();
        } finally {
          log();
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        try {
          child.cancel();
        } finally {
          if (x) return;
        }
      }
      async function h(ctx: Context) {
        using child = withCancel(ctx);
        try {
          if (await g(child)) return;
          child.cancel();
        } finally {
          log();
        }
      }`,
    },
    "a response out of Promise.all() that is returned": {
      code: `
      async function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        const [reply] = await Promise.all([
          fetch(url, { signal: step.signal }),
          g(ctx),
        ]);
        return reply;
      }`,
    },
    "responses that are returned, in any form of one": {
      code: `
      async function f(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        const replies = await Promise.all(
          urls.map((url) => fetch(url, { signal: step.signal })),
        );
        return replies;
      }
      async function g(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        const reply = await fetch(url, { signal: step.signal }).catch(() => 0);
        return reply;
      }
      async function h(ctx: Context) {
        const «step» = withTimeout(ctx, 500);
        const reply = await (isOld
          ? load(url, step.signal)
          : fetch(url, { signal: step.signal }));
        return reply;
      }`,
    },
    "a throw that is caught": {
      code: `
      async function f(ctx: Context) {
        const «child» = withCancel(ctx);
        try {
          if (await g(child)) throw new Error("no");
          child.cancel();
        } catch {
          console.log("caught");
        }
      }`,
      fixed: `
      async function f(ctx: Context) {
        using child = withCancel(ctx);
        try {
          if (await g(child)) throw new Error("no");
          child.cancel();
        } catch {
          console.log("caught");
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
    "a child made in a loop without a known end": {
      code: `
      async function f(ctx: Context) {
        using session = withCancel(ctx);
        while (x) await sleep(«withTimeout(session, 5)», 1);
        do await sleep(«withTimeout(session, 5)», 1); while (x);
        for (;;) await sleep(«withTimeout(session, 5)», 1);
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
        await sleep(«withCancel(ctx)»!, 1);
        await sleep(<Context> «withCancel(ctx)», 1);
        await sleep(«withCancel(ctx)» satisfies Context, 1);
        «withCancel(ctx)»;
        return withValue(«withCancel(ctx)», key, 1);
      }`,
      message: "This context of `withTimeout` is never canceled",
    },
    "a signal that is returned, and nothing ends": {
      code: `
      const limit = (ctx: Context) => «withCancel(ctx)».signal;`,
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
        console.log(ctx.err);
      }`,
      fixed: `
      async function f() {
        using ctx = withCancel(background());
        await sleep(ctx, 100);
        console.log(ctx.err);
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
