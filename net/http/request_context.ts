/** The context that belongs to a request. */

import type { Context } from "../../context/context.ts";
import { createKey, type Key } from "../../context/key.ts";
import type { ServerAddr } from "../server.ts";
import type { HttpServer } from "./http_server.ts";
import { asyncContext } from "./async_context.ts";
import { exchangeOf } from "./request_exchange.ts";

/**
 * Key of the server a request came in on. Follows Go's `http.ServerContextKey`.
 *
 * @example A handler that shuts its own server down
 * ```ts
 * import { background, httpServerKey, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server = serveHttp(background(), options, (ctx) => {
 *   ctx.value(httpServerKey)?.shutdown({ cause: "asked to" });
 *   return new Response("goodbye");
 * });
 * const url = `http://127.0.0.1:${server.addr.port}/-/quit`;
 * const reply = await fetch(url, { method: "POST" });
 * assertEquals(await reply.text(), "goodbye");
 * assertEquals((await server.finished).cause, "asked to");
 * ```
 */
export const httpServerKey: Key<HttpServer<ServerAddr>> = createKey(
  "http server",
);

/**
 * Returns the context of a request, for code that gets the request only: inside a
 * framework's handler, say, when `serveHttp` calls `app.fetch(request)`.
 *
 * Some middleware hands a copy on, made by `new Request()`: Hono's `mount` and
 * `methodOverride`, and its `bodyLimit` for bodies of unknown length. A copy cannot
 * be traced back. For those, set `asyncContext` in the options of `serveHttp`, or
 * pass ctx on yourself: `app.fetch(request, { ctx })` makes it `c.env.ctx`.
 *
 * @param request The request that `serveHttp` passed to its handler, a Proxy of
 * it, or an object that has it as its prototype. With `asyncContext`, any request.
 * @returns The context that the handler was called with.
 * @throws {TypeError} If the request cannot be traced back to `serveHttp`.
 *
 * @example
 * ```ts
 * import { background, requestContext, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const app = {
 *   fetch(request: Request): Response {
 *     const ctx = requestContext(request);
 *     return new Response(ctx.err === undefined ? "open" : "done");
 *   },
 * };
 * await using server = serveHttp(
 *   background(),
 *   { hostname: "127.0.0.1", port: 0 },
 *   (_ctx, request) => app.fetch(request),
 * );
 * const reply = await fetch(`http://127.0.0.1:${server.addr.port}/`);
 * assertEquals(await reply.text(), "open");
 * ```
 */
export function requestContext(request: Request): Context {
  const ctx = exchangeOf(request)?.context ?? asyncContext();
  if (ctx !== undefined) return ctx;
  throw new TypeError(
    "requestContext: expected the request that serveHttp passed to its handler, " +
      "got another one or a copy; set asyncContext in the options of serveHttp, or " +
      "pass ctx on yourself, such as by Hono's env: app.fetch(request, { ctx })",
  );
}
