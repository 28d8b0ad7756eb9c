/**
 * Routes of the HTTP server.
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
import { PROTOBUF } from "./expose_protobuf.ts";
import { acceptsGzip, chooseFormat } from "./negotiate.ts";

/** The service, as the routes see it. */
export interface Service {
  /** Address that the HTTP server is bound to. */
  readonly hostname: string;
  /** True if it has native histograms. */
  readonly native: boolean;
  /** Tells whether it is ready for traffic. */
  isReady(): boolean;
  /** Yields the metrics in a text format, in pieces. */
  exposition(format: Format): Iterable<string>;
  /** Yields the metrics as protobuf messages. */
  messages(): Iterable<Uint8Array<ArrayBuffer>>;
  /** Returns the page. */
  page(): Response;
  /** Returns the events that keep the page up to date. */
  readonly events: HttpHandler;
  /** Ends the service; undefined if clients may not. */
  readonly quit: (() => void) | undefined;
}

/** Maximum number of scrapes at a time. */
export const MAX_SCRAPES = 10;

/** Maximum time of a scrape, in ms. */
const SCRAPE_TIME = 30_000;

/** Returns a handler for all requests to `service`. */
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
    if (url === null) return text(400, "the Host header is malformed");
    const { hostname, pathname } = url;
    // Any name can be made to resolve to this machine (DNS rebinding).
    if (isLoopback(service.hostname) && !isLoopback(hostname)) {
      return text(421, "this host answers loopback names only");
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
 * Answers with 503 while `count` requests are in flight. After `ms` the ctx of a
 * request is done and it counts no more: a client that does not read must not keep
 * out those that do.
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
  const accept = request.headers.get("accept");
  const format = chooseFormat(accept, service.native);
  const headers = new Headers({
    "content-type": format === "protobuf" ? PROTOBUF : CONTENT_TYPES[format],
    "vary": "accept, accept-encoding",
  });
  // The signal cuts a scrape short, which must not look complete.
  const { signal } = ctx;
  const body: ReadableStream<Uint8Array<ArrayBuffer>> = format === "protobuf"
    ? ReadableStream.from(service.messages())
      .pipeThrough(new TransformStream(), { signal })
    : ReadableStream.from(service.exposition(format))
      .pipeThrough(new TextEncoderStream(), { signal });
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
  // A page of another site can send a POST without reading the response.
  if (!isOwnPage(request)) return text(403, "not from another site");
  service.quit();
  return text(200, "stopping");
}

/** Tells whether a request comes from no page, or from one of this service. */
function isOwnPage({ headers, url }: Request): boolean {
  const site = headers.get("sec-fetch-site") ?? "none";
  const { origin } = new URL(url);
  return (site === "none" || site === "same-origin") &&
    (headers.get("origin") ?? origin) === origin;
}

function isLoopback(hostname: string): boolean {
  // The last one is 127.0.0.0/8 as IPv6 addresses, in both spellings.
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
