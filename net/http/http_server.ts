/** What an HTTP server is to those who use it. */

import type { Context } from "../../context/context.ts";
import type { ShutdownOptions } from "../server.ts";

/**
 * Answers one request. What it throws or rejects with is reported to `onError`
 * and answered with 500; it costs that request, nothing else.
 *
 * @example A handler that gives its work half a second
 * ```ts
 * import { background, type HttpHandler, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const greet: HttpHandler = async (ctx) => {
 *   using step = withTimeout(ctx, 500);
 *   const reply = await fetch("data:,hello", step);
 *   return new Response(await reply.text());
 * };
 * // A test needs no server.
 * const response = await greet(background(), new Request("http://localhost/"));
 * assertEquals(await response.text(), "hello");
 * ```
 *
 * @param ctx The values of the server's context; done when the response has been
 * sent, the client has gone, the request's time is over, or the server's grace.
 * @param request The request.
 */
export type HttpHandler = (
  ctx: Context,
  request: Request,
) => Response | Promise<Response>;

/**
 * Where a server is in its life: serving; told to stop and serving on; finishing
 * what is in flight and taking nothing new; closed.
 */
export type HttpServerState = "serving" | "lame-duck" | "draining" | "closed";

/** How a server has ended. */
export interface ShutdownReport {
  /** Why: the cause of its context, or what `shutdown` was given. */
  cause: unknown;
  /** How many requests were still answered after the soft moment. */
  drained: number;
  /** How many got 503 because the server was draining. */
  refused: number;
  /** How many were cut when the grace was over. */
  forced: number;
  /** Which those were: method and path, such as `GET /events`. */
  forcedRequests: string[];
  /** From the soft moment to the end, in ms. */
  duration: number;
}

/**
 * An HTTP server that runs; made by `serveHttp`.
 *
 * @example Ended by somebody else than its context
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
export interface HttpServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** Where it is in its life. */
  readonly state: HttpServerState;
  /** Whether it wants new work: true until its context is done. */
  readonly ready: boolean;
  /** How many requests have not been answered in full. */
  readonly inFlight: number;
  /**
   * Ends the server as the end of its context would; the context itself is left
   * alone. A second call gives the same result. With a grace it skips the lame
   * duck, and the shortest grace asked for counts: `shutdown({ grace: 0 })` is
   * Go's `Close`, `shutdown()` its `Shutdown`.
   *
   * @param cause Why, for the report; or options with a grace.
   * @returns The same as `finished`.
   * @throws {RangeError} If the grace is not a number of ms, 0 or more.
   */
  shutdown(cause?: unknown | ShutdownOptions): Promise<ShutdownReport>;
  /**
   * Registers something to be done at the soft moment: to leave a registry, say.
   * What was registered last runs first, one after another, each waited for;
   * `finished` waits for them too, until the hard moment. What one throws is
   * reported to `onError` and keeps no other from running.
   *
   * @param f Gets a context with the values of the server's, done at the hard
   * moment. At a soft moment that has been it is called at once.
   * @throws {TypeError} If `f` is not a function.
   */
  onShutdown(f: (ctx: Context) => unknown): void;
  /**
   * How it ended, once its sockets are closed and its handlers have ended, or
   * have taken no notice of the end of the grace. Never rejects.
   */
  readonly finished: Promise<ShutdownReport>;
}
