/** Liveness and readiness routes for orchestrators and load balancers. */

import type { Context } from "../../context/context.ts";
import { DeadlineExceeded } from "../../context/errors.ts";
import { orDone } from "../../context/or_done.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { assertAbove0 } from "../arguments.ts";
import { reporter } from "../report.ts";
import type { HttpHandler } from "./http_server.ts";
import { httpServerKey } from "./request_context.ts";

/**
 * Checks one thing that the service needs to be ready. It fails if it throws,
 * rejects, returns false, or takes longer than its timeout.
 *
 * @param ctx Done when the time of the check is over, or the client has gone.
 */
export type HealthCheck = (ctx: Context) => unknown;

/** Options for {@linkcode healthRoutes}. */
export interface HealthRoutesOptions {
  /**
   * Server whose readiness is reported, or anything else with such a property; by
   * default, the server that answers.
   */
  server?: { readonly ready: boolean };
  /** Path of the liveness route; `/-/healthy` by default. */
  live?: string;
  /** Path of the readiness route; `/-/ready` by default. */
  ready?: string;
  /**
   * Checks by name. All of them run at once for each request to the readiness
   * route, as long as the server is ready.
   */
  checks?: Record<
    string,
    HealthCheck | { check: HealthCheck; timeout: number }
  >;
  /** Time in ms that a check may take if it has no timeout of its own; 1,000 by default. */
  timeout?: number;
  /**
   * Receives the error of a check that fails, once until the check has succeeded
   * again; `console.error` by default. Replies contain no errors.
   */
  onError?: (error: unknown, name?: string) => void;
}

/**
 * Returns a handler with two routes:
 *
 * - `GET /-/healthy`: 200 for as long as the process can answer. It runs no checks,
 *   since a restart does not repair what a check needs.
 * - `GET /-/ready`: 200 if the server is ready and all checks succeed; 503 from the
 *   beginning of the shutdown, or if a check fails.
 *
 * Replies are text, or JSON if the request accepts `application/json` or its query
 * has `format=json`; they are never stored. Other paths are 404, and methods other
 * than `GET` and `HEAD` are 405.
 *
 * A server that drains refuses new connections, so nobody can ask it any longer.
 * Serve the routes on a port of their own, by a server that ends after the other
 * one, and the process stays live while it drains.
 *
 * @param options Paths, checks and the server that is asked about.
 * @throws {TypeError} If a path does not begin with `/`, both paths are the same, or
 * a check is not a function.
 * @throws {RangeError} If a timeout is not above 0.
 *
 * @example A port of its own
 * ```ts
 * import { background, healthRoutes, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const local = { hostname: "127.0.0.1", port: 0 };
 * const server = serveHttp(background(), local, () => new Response("hello"));
 * const routes = healthRoutes({
 *   server,
 *   live: "/livez",
 *   ready: "/readyz",
 *   checks: {
 *     queue: () => true,
 *     database: { timeout: 500, check: (ctx) => ctx.err === undefined },
 *   },
 * });
 * const health = serveHttp(background(), local, routes);
 *
 * const { port } = health.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/readyz?format=json`);
 * assertEquals(await reply.json(), {
 *   status: "ready",
 *   checks: { queue: "ok", database: "ok" },
 * });
 * await server.shutdown();
 * await health.shutdown();
 * ```
 */
export function healthRoutes(options: HealthRoutesOptions = {}): HttpHandler {
  const {
    server,
    live = "/-/healthy",
    ready = "/-/ready",
    timeout = 1_000,
  } = options;
  assertPaths(live, ready);
  assertAbove0("healthRoutes", { timeout });
  const report = reporter("healthRoutes", options.onError);
  const checks = Object.entries(options.checks ?? {}).map(
    ([name, given]) => new NamedCheck(name, given, timeout, report),
  );
  return (ctx, request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      const response = reply(request, 405, "method not allowed");
      response.headers.set("allow", "GET, HEAD");
      return response;
    }
    switch (new URL(request.url).pathname) {
      case live:
        return reply(request, 200, "healthy");
      case ready: {
        const asked = server ?? ctx.value(httpServerKey);
        if (!asked?.ready) return reply(request, 503, "stopping");
        return checks.length === 0
          ? reply(request, 200, "ready")
          : replyWith(ctx, request, checks);
      }
      default:
        return reply(request, 404, "not found");
    }
  };
}

/** Outcome of a check. */
type Outcome = "ok" | "failed" | "timed out";

class NamedCheck {
  readonly name: string;
  readonly #check: HealthCheck;
  readonly #timeout: number;
  readonly #report: (error: unknown, name: string) => void;
  /** True after a failure, until the check succeeds again. */
  #isFailing = false;

  constructor(
    name: string,
    given: HealthCheck | { check: HealthCheck; timeout: number },
    defaultTimeout: number,
    report: (error: unknown, name: string) => void,
  ) {
    const { check, timeout } = typeof given === "function"
      ? { check: given, timeout: defaultTimeout }
      : given;
    if (typeof check !== "function") {
      throw new TypeError(
        `healthRoutes: the check "${name}" is not a function`,
      );
    }
    assertAbove0("healthRoutes", { [`timeout of "${name}"`]: timeout });
    this.name = name;
    this.#check = check;
    this.#timeout = timeout;
    this.#report = report;
  }

  async run(parent: Context): Promise<Outcome> {
    const ctx = withTimeout(parent, this.#timeout);
    try {
      const isOk = await orDone(ctx, call(this.#check, ctx)) !== false;
      if (isOk) this.#isFailing = false;
      return isOk ? "ok" : "failed";
    } catch (error) {
      const isTimeout = error === ctx.err && error instanceof DeadlineExceeded;
      // A client that has gone says nothing about the check.
      if (parent.err === undefined) this.#failed(error);
      return isTimeout ? "timed out" : "failed";
    } finally {
      ctx.cancel();
    }
  }

  #failed(error: unknown): void {
    if (!this.#isFailing) this.#report(error, this.name);
    this.#isFailing = true;
  }
}

// deno-lint-ignore require-await -- turns what `check` throws into a rejection
async function call(check: HealthCheck, ctx: Context): Promise<unknown> {
  return check(ctx);
}

async function replyWith(
  ctx: Context,
  request: Request,
  checks: NamedCheck[],
): Promise<Response> {
  const outcomes = await Promise.all(
    checks.map(async (check) => [check.name, await check.run(ctx)] as const),
  );
  const isReady = outcomes.every(([, outcome]) => outcome === "ok");
  return isReady
    ? reply(request, 200, "ready", outcomes)
    : reply(request, 503, "not ready", outcomes);
}

function reply(
  request: Request,
  code: number,
  status: string,
  outcomes?: (readonly [name: string, outcome: Outcome])[],
): Response {
  const init = { status: code, headers: { "cache-control": "no-store" } };
  if (wantsJson(request)) {
    const checks = outcomes && Object.fromEntries(outcomes);
    return Response.json({ status, ...(checks && { checks }) }, init);
  }
  const lines = outcomes?.map(([name, outcome]) => `${name}: ${outcome}`) ?? [];
  return new Response([status, ...lines, ""].join("\n"), init);
}

function wantsJson(request: Request): boolean {
  const accepts = request.headers.get("accept") ?? "";
  return accepts.includes("application/json") ||
    new URL(request.url).searchParams.get("format") === "json";
}

function assertPaths(live: string, ready: string): void {
  for (const [option, path] of Object.entries({ live, ready })) {
    if (typeof path === "string" && path.startsWith("/")) continue;
    throw new TypeError(
      `healthRoutes: ${option} must be a path that begins with "/", got ` +
        Deno.inspect(path),
    );
  }
  if (live !== ready) return;
  throw new TypeError(
    `healthRoutes: live and ready are both ${live}; give each its own path`,
  );
}
