/**
 * What is answered over HTTP.
 *
 * @module
 */

import type { HttpHandler } from "@curfew/context";
import { CONTENT_TYPES, type Format } from "./expose.ts";
import { acceptsGzip, chooseFormat } from "./negotiate.ts";

/** What the routes ask the service. */
export interface Service {
  /** The address its HTTP server is bound to. */
  readonly hostname: string;
  /** Whether it wants more. */
  isReady(): boolean;
  /** Everything there is to expose, piece by piece. */
  exposition(format: Format): Iterable<string>;
  /** The page. */
  page(): Response;
  /** What keeps the page up to date. */
  readonly events: HttpHandler;
  /** Asks it to end; undefined where that is not allowed. */
  readonly quit: (() => void) | undefined;
}

/** A handler for everything that `service` is asked. */
export function routesOf(service: Service): HttpHandler {
  const routes: Record<string, HttpHandler> = {
    "GET /": () => service.page(),
    "GET /events": service.events,
    "GET /metrics": (_ctx, request) => metrics(service, request),
    "GET /-/healthy": () => text(200, "healthy"),
    "GET /-/ready": () =>
      service.isReady() ? text(200, "ready") : text(503, "stopping"),
    "POST /-/quit": (_ctx, request) => quit(service, request),
  };
  return (ctx, request) => {
    const { hostname, pathname } = new URL(request.url);
    if (isLoopback(service.hostname) && !isOwnName(hostname, service)) {
      return text(421, "this is not the host that you are looking for");
    }
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = Object.hasOwn(routes, `${method} ${pathname}`)
      ? routes[`${method} ${pathname}`]
      : undefined;
    return route?.(ctx, request) ?? text(404, "not found");
  };
}

function metrics(service: Service, request: Request): Response {
  const format = chooseFormat(request.headers.get("accept"));
  const headers = new Headers({
    "content-type": CONTENT_TYPES[format],
    "vary": "accept, accept-encoding",
  });
  const body = ReadableStream.from(service.exposition(format))
    .pipeThrough(new TextEncoderStream());
  if (!acceptsGzip(request.headers.get("accept-encoding"))) {
    return new Response(body, { headers });
  }
  headers.set("content-encoding", "gzip");
  return new Response(body.pipeThrough(new CompressionStream("gzip")), {
    headers,
  });
}

function quit(service: Service, request: Request): Response {
  if (service.quit === undefined) return text(403, "start with --lifecycle");
  // A page of somebody else's can send a POST, and does not have to see the answer.
  if (!isOwnPage(request)) return text(403, "not from another site");
  service.quit();
  return text(200, "stopping");
}

/** Whether a request is from no page, or from one of this service. */
function isOwnPage({ headers, url }: Request): boolean {
  const site = headers.get("sec-fetch-site") ?? "none";
  const { origin } = new URL(url);
  return (site === "none" || site === "same-origin") &&
    (headers.get("origin") ?? origin) === origin;
}

/** Whether a page that calls the service by this name is one of its own. A name
 * of somebody else's can be made to lead to this machine (DNS rebinding). */
function isOwnName(hostname: string, service: Service): boolean {
  return isLoopback(hostname) || hostname === service.hostname;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || /^\[?::1\]?$/.test(hostname) ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function text(status: number, line: string): Response {
  return new Response(`${line}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}
