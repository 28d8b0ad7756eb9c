// `curfew/spread-context`: copies of contexts, which have no signal.

import { testRule } from "./rule_table.ts";

testRule("spread-context", {
  valid: {
    "the signal by name": `
      fetch(url, { signal: ctx.signal });
      const options = { ...defaults, signal: ctx.signal };`,
    "a spread of something else": `
      function f(ctx: Context, options: Options, hono: Hono) {
        const all = { ...options, ...hono };
        g(...xs, ctx);
        h([...xs]);
      }`,
    "a ctx that is no context of this package": `
      app.get("/", (ctx) => ({ ...ctx }));
      function f(ctx: HonoContext) { return { ...ctx }; }`,
    "an object that has its own signal": `
      function f(ctx: Context, signal: AbortSignal) {
        return { ...ctx, signal };
      }`,
    "a context as the options of a web API": `
      function f(ctx: Context) {
        bus.addEventListener("message", g, ctx);
      }`,
    "Object.assign onto a context": `
      function f(ctx: Context) {
        Object.assign(ctx, { name: 1 });
        Object.keys(ctx);
        mine.assign({}, ctx);
      }`,
    "an Object of the file's own": `
      import { background } from "@curfew/context";
      import { Object } from "./object.ts";
      Object.assign({}, background());`,
    "values that are not known to be contexts": `
      function f({ ctx }: Options, own: Other.Context, pair: [Context]) {
        const tasks = makeGroup();
        const { err } = withCancel(background());
        const loop = other, other = loop;
        let later;
        return [
          { ...ctx }, { ...own }, { ...pair }, { ...tasks.ctx }, { ...err },
          { ...loop }, { ...later }, { ...this.ctx }, { ...make().ctx },
          { ...group(ctx).active }, { ...remaining(ctx) }, { ...globalTasks.ctx }, { ...(x ? ctx : own) },
        ];
      }
      const server = listen();
      server.onShutdown((ctx) => ({ ...ctx }));
      make().onShutdown((ctx) => ({ ...ctx }));
      server.go((ctx) => ({ ...ctx }));
      afterFunc(root, (ctx) => ({ ...ctx }));
      main((ctx, other) => ({ ...other }));
      ((ctx) => ({ ...ctx }))(1);
      main()((ctx) => ({ ...ctx }));
      const union = (ctx: Context | Other) => ({ ...ctx });`,
    "a choice between a context and something else": `
      function f(ctx: Context, other: Options) {
        return [{ ...(x ? ctx : other) }, { ...(ctx ?? other) }];
      }
      const wait = sleep(root, 5);
      wait.onShutdown((ctx) => ({ ...ctx }));`,
    "functions that do not copy": `
      import { background, withCancel } from "@curfew/context";
      import { get } from "./http.ts";
      import { fetch, request } from "undici";
      import gotcha from "gotcha";
      get(url, background());
      fetch(url, background());
      gotcha(url, background());
      request(url, { signal: background().signal });`,
  },

  invalid: {
    "a spread": {
      code: `
      function f(ctx: Context) {
        g({ «...ctx», timeout: 5 });
        g({ timeout: 5, «...ctx» });
      }`,
      fixed: `
      function f(ctx: Context) {
        g({ signal: ctx.signal, timeout: 5 });
        g({ timeout: 5, signal: ctx.signal });
      }`,
      message: "no `signal`",
    },
    "every way to know a context": {
      code: `
      import * as c from "@curfew/context";
      import type { CancelableContext, Context as Ctx } from "@curfew/context";
      class A {
        constructor(private ctx: Ctx, own: CancelableContext | undefined) {
          g({ «...ctx» }, { «...own» });
        }
      }
      function f(ctx: c.Context = c.background(), other?: Ctx | null) {
        using a = c.withTimeout(ctx, 5);
        const b = c.withValue(a, key, 1);
        const d = b;
        const e = x ? b : ctx;
        const i = other ?? ctx;
        const tasks = c.group(ctx);
        g({ «...ctx» }, { «...other» }, { «...a» }, { «...b» }, { «...d» });
        g({ «...e» }, { «...i» }, { «...tasks.ctx» }, { «...c.withoutCancel(a)» });
        tasks.wait();
      }
      c.main((ctx) => g({ «...ctx» }));
      c.serveHttp(root, {}, function (ctx, request) { g({ «...ctx» }); });
      const tasks: c.Group = make();
      tasks.go(async (ctx) => g({ «...ctx» }));
      const server = c.serveTcp(root, {}, (ctx, conn) => g({ «...ctx» }));
      server.onShutdown((ctx) => g({ «...ctx» }));
      c.retry(root, (ctx, attempt) => g({ «...ctx» }));`,
      fixed: `
      import * as c from "@curfew/context";
      import type { CancelableContext, Context as Ctx } from "@curfew/context";
      class A {
        constructor(private ctx: Ctx, own: CancelableContext | undefined) {
          g({ signal: ctx.signal }, { signal: own.signal });
        }
      }
      function f(ctx: c.Context = c.background(), other?: Ctx | null) {
        using a = c.withTimeout(ctx, 5);
        const b = c.withValue(a, key, 1);
        const d = b;
        const e = x ? b : ctx;
        const i = other ?? ctx;
        const tasks = c.group(ctx);
        g({ signal: ctx.signal }, { signal: other.signal }, { signal: a.signal }, { signal: b.signal }, { signal: d.signal });
        g({ signal: e.signal }, { signal: i.signal }, { signal: tasks.ctx.signal }, { signal: c.withoutCancel(a).signal });
        tasks.wait();
      }
      c.main((ctx) => g({ signal: ctx.signal }));
      c.serveHttp(root, {}, function (ctx, request) { g({ signal: ctx.signal }); });
      const tasks: c.Group = make();
      tasks.go(async (ctx) => g({ signal: ctx.signal }));
      const server = c.serveTcp(root, {}, (ctx, conn) => g({ signal: ctx.signal }));
      server.onShutdown((ctx) => g({ signal: ctx.signal }));
      c.retry(root, (ctx, attempt) => g({ signal: ctx.signal }));`,
    },
    "an expression that is more than a name": {
      code: `
      function f(ctx: Context, other: Context) {
        g({ ...(«x ? ctx : other») }, { ...(«ctx») });
      }`,
    },
    "Object.assign": {
      code: `
      function f(ctx: Context) {
        return Object.assign({}, defaults, «ctx»);
      }`,
      fixed: `
      function f(ctx: Context) {
        return Object.assign({}, defaults, { signal: ctx.signal });
      }`,
    },
    "Deno.Command": {
      code: `
      function f(ctx: Context) {
        return new Deno.Command("make", «ctx»).output();
      }`,
      fixed: `
      function f(ctx: Context) {
        return new Deno.Command("make", { signal: ctx.signal }).output();
      }`,
    },
    "functions that copy their options": {
      code: `
      import type { Context } from "@curfew/context";
      import { spawn } from "node:child_process";
      import http, { get } from "node:http";
      import * as https from "https";
      import { request } from "npm:undici@^7";
      import got from "got";
      import ky from "ky";
      import axios from "npm:axios";
      function f(ctx: Context) {
        spawn("ls", [], «ctx»);
        http.get(url, «ctx»);
        get(url, «ctx»);
        https.request(url, «ctx»);
        request(url, «ctx»);
        got(url, «ctx»);
        ky.post(url, «ctx»);
        axios.get(url, «ctx»);
      }`,
      fixed: `
      import type { Context } from "@curfew/context";
      import { spawn } from "node:child_process";
      import http, { get } from "node:http";
      import * as https from "https";
      import { request } from "npm:undici@^7";
      import got from "got";
      import ky from "ky";
      import axios from "npm:axios";
      function f(ctx: Context) {
        spawn("ls", [], { signal: ctx.signal });
        http.get(url, { signal: ctx.signal });
        get(url, { signal: ctx.signal });
        https.request(url, { signal: ctx.signal });
        request(url, { signal: ctx.signal });
        got(url, { signal: ctx.signal });
        ky.post(url, { signal: ctx.signal });
        axios.get(url, { signal: ctx.signal });
      }`,
    },
  },
});
