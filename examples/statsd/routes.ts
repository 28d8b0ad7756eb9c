/**
 * What is answered over HTTP.
 *
 * @module
 */

import {
  afterFunc,
  type Context,
  type HttpHandler,
  withTimeout,
} from "@curfew/context";
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

/** How many scrapes may be under way. */
export const MAX_SCRAPES = 10;

/** How long, in ms, a scrape may take. */
const SCRAPE_TIME = 30_000;

/** A handler for everything that `service` is asked. */
export function routesOf(service: Service): HttpHandler {
  const routes: Record<string, Record<string, HttpHandler>> = {
    "/": { GET: () => service.page() },
    "/events": { GET: service.events },
    "/metrics": { GET: atMost(MAX_SCRAPES, SCRAPE_TIME, metricsOf(service)) },
    "/-/healthy": { GET: () => text(200, "healthy") },
    "/-/ready": {
      GET: () => service.isReady() ? text(200, "ready") : text(503, "stopping"),
    },
    "/-/quit": { POST: (_ctx, request) => quit(service, request) },
  };
  return (ctx, request) => {
    const url = URL.parse(request.url);
    if (url === null) return text(400, "the Host header is no name of a host");
    const { hostname, pathname } = url;
    // A name of somebody else's can be made to lead to this machine (DNS rebinding).
    if (isLoopback(service.hostname) && !isLoopback(hostname)) {
      return text(421, "this is not the host that you are looking for");
    }
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : {};
    const methods = Object.keys(route ?? {});
    const method = request.method === "HEAD" ? "GET" : request.method;
    if (methods.length === 0) return text(404, "not found");
    if (!methods.includes(method)) {
      return text(405, "not with this method", { allow: methods.join(", ") });
    }
    return route![method]!(ctx, request);
  };
}

/**
 * Answers with 503 what is asked while `count` others are being answered. One is
 * given `ms`: then its ctx is done and the next may come, for a client that does
 * not read must not keep out those that do.
 */
function atMost(count: number, ms: number, handler: HttpHandler): HttpHandler {
  let underWay = 0;
  return (ctx, request) => {
    if (underWay >= count) return text(503, "too many at once");
    underWay++;
    const step = withTimeout(ctx, ms);
    afterFunc(step, () => underWay--);
    return handler(step, request);
  };
}

function metricsOf(service: Service): HttpHandler {
  return (ctx, request) => metrics(ctx, service, request);
}

function metrics(ctx: Context, service: Service, request: Request): Response {
  const format = chooseFormat(request.headers.get("accept"));
  const headers = new Headers({
    "content-type": CONTENT_TYPES[format],
    "vary": "accept, accept-encoding",
  });
  const body = ReadableStream.from(service.exposition(format))
    .pipeThrough(new TextEncoderStream(), { signal: ctx.signal });
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

function isLoopback(hostname: string): boolean {
  // The last one is 127.0.0.0/8 among the addresses of IPv6, in either spelling.
  return hostname === "localhost" || /^\[?::1\]?$/.test(hostname) ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname) ||
    /^\[?::ffff:(127\.[\d.]+|7f[\da-f]{2}:[\da-f]{1,4})\]?$/.test(hostname);
}

function text(
  status: number,
  line: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(`${line}\n`, {
    status,
    headers: {
      ...headers,
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}
