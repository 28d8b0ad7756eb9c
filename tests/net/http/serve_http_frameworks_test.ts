// deno-lint-ignore-file no-import-prefix -- only this test has a use for them
// requestContext() where a framework hands a request on, and nothing else.

import {
  background,
  cause,
  type Context,
  createKey,
  type HttpServer,
  httpServerKey,
  requestContext,
  serveHttp,
  withCancel,
  withValue,
} from "@curfew/context";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Hono } from "npm:hono@4.13.19";
import { bodyLimit } from "npm:hono@4.13.19/body-limit";
import { methodOverride } from "npm:hono@4.13.19/method-override";
import { AutoRouter } from "npm:itty-router@5.0.18";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };
const nameKey = createKey<string>("name");

function get(server: HttpServer, path: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.addr.port}${path}`);
}

/** The same routes in Hono and in a router written by hand. */
interface App {
  readonly name: string;
  fetch(request: Request): Response | Promise<Response>;
}

type Route = (request: Request) => Response | Promise<Response>;

function inHono(routes: Record<string, Route>): App {
  const app = new Hono();
  for (const [path, route] of Object.entries(routes)) {
    app.all(path, (c) => route(c.req.raw));
  }
  return { name: "Hono", fetch: (request) => app.fetch(request) };
}

function byHand(routes: Record<string, Route>): App {
  return {
    name: "a plain router",
    fetch(request) {
      const route = routes[new URL(request.url).pathname];
      return route?.(request) ?? new Response("Not Found", { status: 404 });
    },
  };
}

for (const build of [inHono, byHand]) {
  const { name } = build({});

  Deno.test(`requestContext() in ${name} returns the ctx that serveHttp made`, async () => {
    const contexts: Context[] = [];
    const app = build({
      "/": (request) => {
        contexts.push(requestContext(request));
        return Response.json(requestContext(request).value(nameKey));
      },
    });
    const base = withValue(background(), nameKey, "ada");
    await using server = serveHttp(base, here, (ctx, request) => {
      contexts.push(ctx);
      return app.fetch(request);
    });
    assertEquals(await (await get(server, "/")).json(), "ada");
    assertStrictEquals(contexts[0], contexts[1]);
    assertStrictEquals(contexts[0]!.value(httpServerKey), server);
    const lost = await get(server, "/nowhere");
    assertEquals(lost.status, 404);
    await lost.body?.cancel();
  });

  Deno.test(`requestContext() in ${name} has the values that onRequest added`, async () => {
    const app = build({
      "/": (request) =>
        new Response(requestContext(request).value(nameKey) ?? "nobody"),
    });
    await using server = serveHttp(background(), {
      ...here,
      onRequest: (ctx, request) =>
        withValue(ctx, nameKey, request.headers.get("host") ?? ""),
    }, (_ctx, request) => app.fetch(request));
    const host = `127.0.0.1:${server.addr.port}`;
    assertEquals(await (await get(server, "/")).text(), host);
  });

  Deno.test(`requestContext() in ${name} works with maxBodyBytes`, async () => {
    const app = build({
      "/": async (request) =>
        new Response(
          `${requestContext(request).err} ${(await request.text()).length}`,
        ),
    });
    await using server = serveHttp(
      background(),
      { ...here, maxBodyBytes: 10 },
      (_ctx, request) => app.fetch(request),
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(
      "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" +
        "4\r\n1234\r\n0\r\n\r\n",
    );
    await client.readUntil("undefined 4");
  });

  Deno.test(`requestContext() in ${name} is done at the end of the grace period`, async () => {
    const ctx = withCancel(background());
    const entered = Promise.withResolvers<Context>();
    const app = build({
      "/": async (request) => {
        const requestCtx = requestContext(request);
        entered.resolve(requestCtx);
        await requestCtx.done;
        return new Response("too late");
      },
    });
    const server = serveHttp(
      ctx,
      { ...here, grace: 5 },
      (_ctx, request) => app.fetch(request),
    );
    using client = await TcpClient.connect(server.addr);
    await client.get("/");
    const requestCtx = await entered.promise;
    ctx.cancel();
    assertEquals((await server.finished).forcedRequests, ["GET /"]);
    assert(
      String(cause(requestCtx)).includes("the grace period of 5 ms is over"),
    );
  });
}

// Middleware that hands on something else than the request it got.

/** Reports whether requestContext() finds the context of the server's handler. */
type Report = (request: Request) => string;
type Fetch = (request: Request) => Response | Promise<Response>;

interface Middleware {
  readonly name: string;
  /** True if it hands on a copy. */
  readonly copies: boolean;
  readonly path: string;
  readonly init?: () => RequestInit;
  build(report: Report): Fetch;
}

function chunks(): ReadableStream<Uint8Array> {
  return new Blob(["a body of unknown length"]).stream();
}

const middlewares: readonly Middleware[] = [
  {
    name: "itty-router, which hands on a Proxy",
    copies: false,
    path: "/user/1",
    build: (report) => {
      const router = AutoRouter();
      router.get("/user/:id", (request) => report(request));
      return router.fetch;
    },
  },
  {
    name: "an object that has the request as its prototype",
    copies: false,
    path: "/",
    build: (report) => (request) =>
      new Response(report(Object.create(request))),
  },
  {
    name: "a clone of a request with a body",
    copies: false,
    path: "/",
    init: () => ({ method: "POST", body: "x" }),
    build: (report) => (request) => new Response(report(request.clone())),
  },
  {
    name: "Hono's bodyLimit with a Content-Length",
    copies: false,
    path: "/",
    init: () => ({ method: "POST", body: "x" }),
    build: (report) => {
      const app = new Hono();
      app.use(bodyLimit({ maxSize: 100 }));
      app.post("/", (c) => c.text(report(c.req.raw)));
      return (request) => app.fetch(request);
    },
  },
  {
    name: "Hono's bodyLimit without one",
    copies: true,
    path: "/",
    init: () => ({ method: "POST", body: chunks() }),
    build: (report) => {
      const app = new Hono();
      app.use(bodyLimit({ maxSize: 100 }));
      app.post("/", (c) => c.text(report(c.req.raw)));
      return (request) => app.fetch(request);
    },
  },
  {
    name: "Hono's mount",
    copies: true,
    path: "/sub/x",
    build: (report) => {
      const app = new Hono();
      const sub = new Hono();
      sub.get("/x", (c) => c.text(report(c.req.raw)));
      app.mount("/sub", sub.fetch);
      return (request) => app.fetch(request);
    },
  },
  {
    name: "Hono's methodOverride",
    copies: true,
    path: "/",
    init: () => ({
      method: "POST",
      body: new URLSearchParams({ _method: "DELETE" }),
    }),
    build: (report) => {
      const app = new Hono();
      app.use(methodOverride({ app }));
      app.delete("/", (c) => c.text(report(c.req.raw)));
      return (request) => app.fetch(request);
    },
  },
];

for (const { name, copies, path, init, build } of middlewares) {
  for (const asyncContext of [false, true]) {
    const expected = copies && !asyncContext ? "a copy" : "the same";
    const option = asyncContext ? "with asyncContext" : "without asyncContext";
    Deno.test(`requestContext() ${option} finds ${expected} in ${name}`, async () => {
      await using server = serveHttp(
        background(),
        { ...here, asyncContext },
        (ctx, request) =>
          build((handed) => {
            try {
              return requestContext(handed) === ctx ? "the same" : "another";
            } catch (error) {
              const isHelpful = String(error).includes("set asyncContext");
              return isHelpful ? "a copy" : String(error);
            }
          })(request),
      );
      const url = `http://127.0.0.1:${server.addr.port}${path}`;
      const reply = await fetch(url, init?.());
      assertEquals((await reply.text()).replaceAll('"', ""), expected);
    });
  }
}

Deno.test("requestContext() with asyncContext tells concurrent requests apart", async () => {
  const both = Promise.withResolvers<void>();
  let count = 0;
  await using server = serveHttp(
    background(),
    {
      ...here,
      asyncContext: true,
      onRequest: (ctx, { url }) =>
        withValue(ctx, nameKey, new URL(url).pathname),
    },
    async (_ctx, request) => {
      if (++count === 2) both.resolve();
      await both.promise;
      return new Response(requestContext(new Request(request)).value(nameKey));
    },
  );
  const replies = await Promise.all([get(server, "/a"), get(server, "/b")]);
  const texts = await Promise.all(replies.map((reply) => reply.text()));
  assertEquals(texts, ["/a", "/b"]);
});

Deno.test("requestContext() with asyncContext works for two servers", async () => {
  const servers = ["one", "two"].map((name) =>
    serveHttp(
      withValue(background(), nameKey, name),
      { ...here, asyncContext: true },
      (_ctx, request) =>
        new Response(requestContext(new Request(request)).value(nameKey)),
    )
  );
  const names: string[] = [];
  for (const server of servers) {
    names.push(await (await get(server, "/")).text());
    await server.shutdown();
  }
  assertEquals(names, ["one", "two"]);
});
