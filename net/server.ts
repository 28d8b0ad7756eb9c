/** The interface that every server here implements. */

import type { Context } from "../context/context.ts";

/**
 * Phase of a server's life:
 *
 * - `serving`: it takes new work.
 * - `lame-duck`: the shutdown has begun, and it still takes new work while load
 *   balancers notice that it is not ready.
 * - `draining`: it takes no new work and finishes what is in flight.
 * - `closed`: its sockets are closed.
 */
export type ServerState = "serving" | "lame-duck" | "draining" | "closed";

/** Address of a server: a host and a port, or the path of a Unix socket. */
export type ServerAddr = Deno.NetAddr | Deno.UnixAddr;

/** Options that all servers have in common. */
export interface ServerOptions<Addr extends ServerAddr = Deno.NetAddr> {
  /**
   * Time in ms during which the server goes on taking new work after its ctx is
   * done, while `ready` is false; 0 by default. Load balancers need it to notice.
   */
  lameDuck?: number;
  /**
   * Grace period in ms: time for the work in flight to finish once the server
   * drains. 10,000 by default, 1,000 for UDP.
   */
  grace?: number;
  /** Called once the server listens. The server's call throws what this throws. */
  onListen?: (addr: Addr) => void;
  /** Called after each change of `state`. Errors go to `onError`. */
  onStateChange?: (state: ServerState) => void;
}

/** Options for {@linkcode Server.shutdown}. */
export interface ShutdownOptions {
  /** Cause of the shutdown, for the report and for `cause(ctx)`. */
  cause?: unknown;
  /**
   * Time in ms from now after which everything in flight is canceled. Skips the
   * lame duck. The earliest end that was asked for counts; 0 cuts at once.
   */
  grace?: number;
}

/**
 * A running server. It stops in two phases: when its ctx is done, after the
 * lame duck if there is one, it _drains_: it takes no new work and finishes what
 * is in flight. When the _grace period_ is over, the contexts of what is left are
 * canceled and the sockets are closed.
 *
 * @example A server of any kind, stopped by something other than its context
 * ```ts
 * import { background, type Server, serveTcp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * const server: Server = serveTcp(background(), options, () => {});
 * server.onShutdown(() => console.log("leave the registry"));
 * await server.shutdown({ cause: "a new version", grace: 1_000 });
 * assertEquals(server.state, "closed");
 * ```
 */
export interface Server<
  Addr extends ServerAddr = Deno.NetAddr,
  Report = unknown,
> extends AsyncDisposable {
  /** Address on which the server listens. */
  readonly addr: Addr;
  /** Current phase. */
  readonly state: ServerState;
  /** True until the shutdown begins; false during the lame duck already. */
  readonly ready: boolean;
  /**
   * Resolves with the report once the sockets are closed and the handlers have
   * ended, or have ignored the end of the grace period for 50 ms.
   *
   * Rejects only if the listener or socket itself failed, with an error whose
   * `cause` is the socket's. That error also goes to `onError`, so a rejection
   * that nobody handles does not end the process.
   */
  readonly finished: Promise<Report>;
  /**
   * Begins the shutdown, as the end of the server's ctx would; that ctx is left
   * alone. Further calls can shorten the grace period and change nothing else.
   *
   * @param options Cause, and a shorter grace period.
   * @returns `finished`.
   * @throws {TypeError} If `options` is not an object with options.
   * @throws {RangeError} If `grace` is negative or NaN.
   */
  shutdown(options?: ShutdownOptions): Promise<Report>;
  /**
   * Registers a function that is called when the shutdown begins, for example to
   * leave a service registry. The last one registered runs first, and each is
   * awaited before the next; `finished` waits for all of them until the end of the
   * grace period. Errors go to `onError`. If the shutdown has begun already, `f`
   * is called at once.
   *
   * @param f Gets a context that is done at the end of the grace period.
   * @throws {TypeError} If `f` is not a function.
   */
  onShutdown(f: (ctx: Context) => unknown): void;
}
