/** The inspector over HTTP. */

import { afterFunc } from "../after_func.ts";
import { assertOptions } from "../assert_options.ts";
import type { Context } from "../context.ts";
import { draining } from "../draining.ts";
import { shown } from "../shown.ts";
import { sleep } from "../sleep.ts";
import type { TreeLimits } from "./live_tree.ts";
import type { Inspector } from "./inspector.ts";
import { pageWith } from "./page.ts";

/** Options for {@linkcode inspectRoutes}. */
export interface InspectRoutesOptions {
  /**
   * Host names that are answered besides `localhost` and the loopback addresses,
   * which always are. Without a check of names, any page in the browser of a
   * developer could read from a server on that machine (DNS rebinding).
   */
  allow?: readonly string[];
  /** Age in ms from which on an open context is a suspect; 60,000 by default. */
  olderThan?: number;
}

/** A handler for `serveHttp`. */
export type InspectHandler = (ctx: Context, request: Request) => Response;

/** Interval in ms at which a page gets news. */
const interval = 500;
/** Share of the time that building states for one page may take. */
const maxLoad = 0.05;
/** Maximum number of open pages. */
const maxViewers = 20;
/** Number of ended contexts, and of suspects, that a page shows. */
const maxRows = 50;
/** Bounds of a state for the page, and of `/contexts.json`. */
const pageLimits: TreeLimits = { children: 50, contexts: 2_000, depth: 50 };
const jsonLimits: TreeLimits = {
  children: 1_000,
  contexts: 20_000,
  depth: 200,
};

/**
 * Returns a handler that shows what `inspector` knows, on a server or a path of its
 * own:
 *
 * - `GET /` is a page with the live tree, the suspects, and what ended lately;
 * - `GET /contexts.json` is the same, once, as JSON;
 * - `GET /events` is what the page reads: server-sent events that end with
 *   `draining(ctx)`.
 *
 * On a path of its own, that path ends with a slash: `/debug/contexts/`. The handler
 * shows names and causes to anyone who can reach it, so keep it on a loopback
 * address.
 *
 * @param inspector The inspector.
 * @param options Names to answer to, and the age of suspects.
 * @returns The handler.
 * @throws {TypeError} If `inspector` is none, `options` is not an object, or `allow`
 * not an array.
 * @throws {RangeError} If `olderThan` is not a number of ms, 0 or more.
 *
 * @example
 * ```ts
 * import { background, serveHttp } from "@curfew/context";
 * import { inspect, inspectRoutes } from "@curfew/context/inspect";
 *
 * using inspector = inspect();
 * await using server = serveHttp(
 *   background(),
 *   { hostname: "127.0.0.1", port: 0 },
 *   inspectRoutes(inspector),
 * );
 * const url = `http://127.0.0.1:${server.addr.port}/contexts.json`;
 * const { tree } = await (await fetch(url)).json();
 * console.log(tree.kinds); // { server: 1, request: 1 }
 * ```
 */
export function inspectRoutes(
  inspector: Inspector,
  options: InspectRoutesOptions = {},
): InspectHandler {
  if (typeof Object(inspector).suspects !== "function") {
    throw new TypeError(
      `inspectRoutes: expected the result of inspect(), got ${
        shown(inspector)
      }`,
    );
  }
  assertOptions("inspectRoutes", options);
  const { allow = [], olderThan = 60_000 } = options;
  if (!Array.isArray(allow)) {
    throw new TypeError(
      "inspectRoutes: expected allow to be an array of host names, got " +
        shown(allow),
    );
  }
  if (!(typeof olderThan === "number" && olderThan >= 0)) {
    throw new RangeError(
      "inspectRoutes: expected olderThan to be a number of ms >= 0, got " +
        shown(olderThan),
    );
  }
  const names = new Set(allow.map((name) => name.toLowerCase()));
  let viewers = 0;

  async function* events(ctx: Context): AsyncGenerator<Uint8Array> {
    const drain = draining(ctx);
    for (;;) {
      const start = performance.now();
      const news = event("state", stateOf(inspector, pageLimits, olderThan));
      // Before the yield, which lasts until a slow reader asks for more.
      const pause = (performance.now() - start) / maxLoad;
      yield news;
      if (drain.err !== undefined) break;
      await sleep(drain, Math.max(interval, pause)).catch(() => {});
    }
    yield event("drain", {});
  }

  return (ctx, request) => {
    const { hostname, pathname } = new URL(request.url);
    if (!isLoopback(hostname) && !names.has(hostname)) {
      return text(403, `inspectRoutes: ${hostname} is not in allow\n`);
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "use GET\n", { allow: "GET, HEAD" });
    }
    switch (pathname.slice(pathname.lastIndexOf("/") + 1)) {
      case "":
        return page();
      case "contexts.json":
        return json(stateOf(inspector, jsonLimits, olderThan));
      case "events":
        if (request.method === "HEAD") return text(405, "use GET\n");
        if (viewers >= maxViewers) {
          return text(503, "too many pages are open\n");
        }
        viewers++;
        afterFunc(ctx, () => viewers--);
        return new Response(ReadableStream.from(events(ctx)), {
          headers: { ...common, "content-type": "text/event-stream" },
        });
      default:
        return text(404, "not found\n");
    }
  };
}

/** Headers of all responses. */
const common = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

function stateOf(
  inspector: Inspector,
  limits: TreeLimits,
  olderThan: number,
): unknown {
  const { open, dropped } = inspector.suspects({ olderThan });
  return {
    tree: inspector.tree(limits),
    recent: inspector.recent().slice(0, maxRows),
    suspects: {
      open: open.slice(0, maxRows),
      dropped: dropped.slice(0, maxRows),
    },
  };
}

function page(): Response {
  const nonce = crypto.randomUUID();
  return new Response(pageWith(nonce), {
    headers: {
      ...common,
      "content-type": "text/html; charset=utf-8",
      "referrer-policy": "no-referrer",
      "content-security-policy": [
        "default-src 'none'",
        `script-src 'nonce-${nonce}'`,
        `style-src 'nonce-${nonce}'`,
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join("; "),
    },
  });
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), {
    headers: { ...common, "content-type": "application/json" },
  });
}

function text(
  status: number,
  body: string,
  headers: { [name: string]: string } = {},
): Response {
  return new Response(body, {
    status,
    headers: { ...common, "content-type": "text/plain", ...headers },
  });
}

const encoder = new TextEncoder();

function event(type: string, data: unknown): Uint8Array {
  return encoder.encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** Names that always lead to this machine, whatever a resolver says. */
function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
