/** What the context of a request knows. */

import type { Context } from "../../context/context.ts";
import { read, ValueContext } from "../../context/tree.ts";
import { createKey, type Key } from "../../context/key.ts";
import { remoteAddrKey } from "../addr_keys.ts";
import type { HttpServer } from "./http_server.ts";

/**
 * The server a request came in on. Follows Go's `http.ServerContextKey`.
 *
 * @example A handler that ends its own server
 * ```ts
 * import { background, httpServerKey, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server = serveHttp(background(), options, (ctx) => {
 *   ctx.value(httpServerKey)?.shutdown("asked to");
 *   return new Response("goodbye");
 * });
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/-/quit`, { method: "POST" });
 * assertEquals(await reply.text(), "goodbye");
 * assertEquals((await server.finished).cause, "asked to");
 * ```
 */
export const httpServerKey: Key<HttpServer> = createKey("http server");

/**
 * The remote address of a request. To read it costs a sixth of a whole one, so it
 * is read when it is first asked for.
 */
export class RemoteAddrContext extends ValueContext {
  readonly #info: Deno.ServeHandlerInfo<Deno.Addr>;
  #addr: Deno.Addr | undefined;

  constructor(parent: Context, info: Deno.ServeHandlerInfo<Deno.Addr>) {
    super(parent, remoteAddrKey, undefined);
    this.#info = info;
  }

  override [read](): Deno.Addr | undefined {
    try {
      return this.#addr ??= this.#info.remoteAddr;
    } catch {
      // Deno forgets a request that is over.
      return undefined;
    }
  }
}

class Given {
  constructor(request: Request) {
    return request;
  }
}

/**
 * Adds a field to a request that nobody else sees. Each request gets one, and a
 * WeakMap would cost several times as much.
 */
class Contextual extends Given {
  readonly #ctx: Context;

  constructor(request: Request, ctx: Context) {
    super(request);
    this.#ctx = ctx;
  }

  static of(request: Request): Context | undefined {
    return Object(request) === request && #ctx in request
      ? (request as Contextual).#ctx
      : undefined;
  }
}

/** Says which context is that of a request. */
export function setRequestContext(request: Request, ctx: Context): void {
  new Contextual(request, ctx);
}

/**
 * The context of a request, for code that is handed the request only: inside a
 * framework's handler, say, where `serveHttp` calls `app.fetch(request)`.
 *
 * @param request A request that `serveHttp` has handed to its handler; not a
 * copy of one.
 * @returns Its context.
 * @throws {TypeError} If the request did not come from `serveHttp`.
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
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/`);
 * assertEquals(await reply.text(), "open");
 * ```
 */
export function requestContext(request: Request): Context {
  const ctx = Contextual.of(request);
  if (ctx !== undefined) return ctx;
  throw new TypeError(
    "requestContext: this request was not given out by serveHttp, or is a copy",
  );
}
