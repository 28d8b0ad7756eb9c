/** What a load balancer asks. */

import type { HttpHandler, HttpServer } from "./http_server.ts";
import { httpServerKey } from "./request_context.ts";

/**
 * A handler for the questions of an orchestrator or a load balancer:
 *
 * - `GET /-/healthy`: 200 for as long as it can be asked.
 * - `GET /-/ready`: 200 until the server's soft moment, 503 from then on.
 *
 * Another path is 404, another method than `GET` and `HEAD` 405. No answer may be
 * stored.
 *
 * @param server The server that is asked about; by default the one that is asked.
 * @returns The handler, for the same server or for one of its own.
 *
 * @example
 * ```ts
 * import { background, healthRoutes, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const health = healthRoutes();
 * await using server = serveHttp(
 *   background(),
 *   { hostname: "127.0.0.1", port: 0 },
 *   (ctx, request) =>
 *     new URL(request.url).pathname.startsWith("/-/")
 *       ? health(ctx, request)
 *       : new Response("hello"),
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/-/ready`);
 * assertEquals([reply.status, await reply.text()], [200, "ready\n"]);
 * ```
 */
export function healthRoutes(server?: HttpServer): HttpHandler {
  return (ctx, request) => {
    const asked = server ?? ctx.value(httpServerKey);
    if (request.method !== "GET" && request.method !== "HEAD") {
      return answer(405, "method not allowed", { allow: "GET, HEAD" });
    }
    switch (new URL(request.url).pathname) {
      case "/-/healthy":
        return answer(200, "healthy");
      case "/-/ready":
        return asked?.ready ? answer(200, "ready") : answer(503, "stopping");
      default:
        return answer(404, "not found");
    }
  };
}

function answer(
  status: number,
  text: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...headers, "cache-control": "no-store" },
  });
}
