/** Types of an HTTP server. */

import type { Context } from "../../context/context.ts";
import type { Server, ServerAddr } from "../server.ts";

/**
 * Answers one request. Any error of it is reported to `onError` and answered with
 * 500, except for these:
 *
 * | error                                       | status | reported |
 * | ------------------------------------------- | ------ | -------- |
 * | the end of ctx because the client has gone  | 499    | no       |
 * | the end of ctx because of its deadline      | 504    | no       |
 * | the end of ctx with the grace period        | 503    | no       |
 * | a deadline of its own, such as of a step    | 504    | yes      |
 * | a body that is too long, or stops arriving  | 413, 408 | no     |
 * | any, if the Host header is malformed        | 400    | no       |
 *
 * The body of the request can be read until ctx is done; then every read of it
 * rejects with `ctx.err`.
 *
 * @example A handler that gives its work half a second
 * ```ts
 * import { background, type HttpHandler, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const greet: HttpHandler = async (ctx) => {
 *   using step = withTimeout(ctx, 500);
 *   const reply = await fetch("data:,hello", { signal: step.signal });
 *   return new Response(await reply.text());
 * };
 * // A test needs no server.
 * const response = await greet(background(), new Request("http://localhost/"));
 * assertEquals(await response.text(), "hello");
 * ```
 *
 * @param ctx Context of the request, with the values of the server's ctx. Done when
 * the response has been sent, the client has gone, its deadline has passed or the
 * server's grace period is over.
 * @param request The request.
 */
export type HttpHandler = (
  ctx: Context,
  request: Request,
) => Response | Promise<Response>;

/** Outcome of the shutdown of an HTTP server. */
export interface ShutdownReport {
  /** Cause of the shutdown: that of the server's ctx, or the one `shutdown` got. */
  cause: unknown;
  /** Number of requests that were finished after the shutdown had begun. */
  drained: number;
  /**
   * Number of requests that got 503 after the shutdown had begun, because there
   * were more than `maxInFlight` or because the grace period was over. Connections
   * that the kernel refuses are not counted.
   */
  refused: number;
  /** Number of requests that were in flight when the grace period was over. */
  forced: number;
  /** Method and path of each of them, such as `GET /events`. */
  forcedRequests: string[];
  /**
   * Work that Deno cannot end, and that goes on until it ends by itself or the
   * process does: `GET /events` for a handler that ignores its ctx or a stream whose
   * client reads nothing, `a connection` for a client that has not read the whole
   * response or has not finished its TLS handshake. Usually empty.
   */
  lingering: string[];
  /** Time in ms from the beginning of the shutdown to the end. */
  duration: number;
}

/**
 * A running HTTP server, made by `serveHttp`.
 *
 * @example A shutdown with a cause and a shorter grace period
 * ```ts
 * import { background, type HttpServer, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server: HttpServer = serveHttp(
 *   background(),
 *   options,
 *   () => new Response("hello"),
 * );
 * server.onShutdown(() => console.log("leaving the registry"));
 * const report = await server.shutdown({ grace: 1_000, cause: "deployed anew" });
 * assertEquals([report.cause, server.state], ["deployed anew", "closed"]);
 * ```
 */
export interface HttpServer<Addr extends ServerAddr = Deno.NetAddr>
  extends Server<Addr, ShutdownReport> {
  /**
   * Number of requests that have not been answered in full. A body of bytes or text
   * counts as sent when Deno has taken it over, before its client has read it.
   */
  readonly inFlight: number;
  /**
   * Number of request headers so far that `deadlineHeaders` names and that were ignored
   * because their value does not parse. A proxy that garbles them shows here.
   */
  readonly ignoredDeadlines: number;
}
