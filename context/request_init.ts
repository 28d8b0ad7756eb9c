/** Options for calls to others. */

import { assertContext } from "./assert_context.ts";
import { assertOptions } from "./assert_options.ts";
import type { Context } from "./context.ts";
import {
  assertDeadlineHeader,
  type DeadlineHeader,
  formatDeadline,
} from "./deadline_header.ts";
import { remaining } from "./remaining.ts";

/** Options for {@linkcode requestInit}. */
export interface RequestInitOptions {
  /**
   * Header in which to send the time that ctx has left; none by default. Send it
   * only to services that may know how long you wait.
   */
  deadlineHeader?: DeadlineHeader | undefined;
}

/**
 * Result of {@linkcode requestInit}: the given options with a signal.
 *
 * @typeParam Init The type of the given options.
 */
export type ContextRequestInit<Init extends RequestInit> =
  & Omit<Init, "headers" | "signal">
  & {
    /** Aborted when ctx is done or the given signal is aborted. */
    signal: AbortSignal;
    /** The given headers, and the deadline header if there is one. */
    headers?: HeadersInit;
  };

/**
 * Combines a context with other options for `fetch` and the like: the result is
 * `{ ...init, signal }`, a plain object that may be spread and copied.
 *
 * The signal is aborted when `ctx` is done, with `ctx.err` as its reason, or when
 * `init.signal` is aborted, with that signal's reason. Without `init.signal` it is
 * `ctx.signal`. Nothing stays on either of them, however long they live.
 *
 * With `deadlineHeader`, the receiver learns how much time is left at the moment of
 * this call: a number of ms for most headers, rounded down so that it never promises
 * more than there is. Call it right before each request, not once for several. If
 * `ctx` has no deadline, no header is added.
 *
 * `serveHttp` with the option `deadlineHeaders` is the other end.
 *
 * @typeParam Init The type of `init`.
 * @param ctx The context that ends the request.
 * @param init Other options: method, headers, body. Left unchanged.
 * @param options The deadline header.
 * @returns New options. `headers` is the given value unless a deadline header was
 * added; then it is a `Headers` with the same entries.
 * @throws {ContextError} `ctx.err` if `ctx` is done.
 * @throws {TypeError} If `ctx` is not a context, `init` is a Request, a context or
 * not an object, its signal is not an AbortSignal, `options` is not an object, or
 * the deadline header is unknown.
 *
 * @example A request that tells the backend how long it may take
 * ```ts
 * import { background, requestInit, withTimeout } from "@curfew/context";
 * import { assert, assertEquals } from "@std/assert";
 *
 * using ctx = withTimeout(background(), 500);
 * const init = requestInit(ctx, { method: "POST", headers: { "x-id": "7" } }, {
 *   deadlineHeader: "connect-timeout-ms",
 * });
 * const request = new Request("http://backend/", init); // or fetch(url, init)
 * assertEquals(request.method, "POST");
 * assertEquals(request.headers.get("x-id"), "7");
 * assert(Number(request.headers.get("connect-timeout-ms")) <= 500);
 * ctx.cancel();
 * assert(request.signal.aborted);
 * ```
 *
 * @example A request that the user can stop as well
 * ```ts
 * import { background, requestInit, withTimeout } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const stop = new AbortController();
 * using ctx = withTimeout(background(), 5_000);
 * const { signal } = requestInit(ctx, { signal: stop.signal });
 * stop.abort("the user pressed stop");
 * assertEquals(signal.reason, "the user pressed stop");
 * ```
 */
export function requestInit<Init extends RequestInit>(
  ctx: Context,
  init?: Init,
  options: RequestInitOptions = {},
): ContextRequestInit<Init> {
  assertContext("requestInit", ctx);
  assertInit(init);
  assertOptions("requestInit", options);
  const { deadlineHeader } = options;
  if (deadlineHeader !== undefined) {
    assertDeadlineHeader("requestInit: deadlineHeader", deadlineHeader);
  }
  if (ctx.err !== undefined) throw ctx.err;
  const { signal, headers, ...others }: RequestInit = init ?? {};
  const result: RequestInit = { ...others, signal: joined(ctx, signal) };
  if (headers !== undefined) result.headers = headers;
  const left = remaining(ctx);
  if (deadlineHeader !== undefined && left !== Infinity) {
    const all = new Headers(headers);
    all.set(deadlineHeader, formatDeadline(deadlineHeader, left));
    result.headers = all;
  }
  return result as ContextRequestInit<Init>;
}

/**
 * Joins the two in the platform: what follows two signals there is not referenced
 * by them, so it goes with the request. A listener on one of them would stay.
 */
function joined(
  ctx: Context,
  signal: AbortSignal | null | undefined,
): AbortSignal {
  if (signal === undefined || signal === null || signal === ctx.signal) {
    return ctx.signal;
  }
  return AbortSignal.any([ctx.signal, signal]);
}

function assertInit(init: RequestInit | undefined): void {
  if (init === undefined) return;
  assertOptions("requestInit", init);
  // Their properties are accessors, which a copy would lose.
  if (init instanceof Request) {
    throw new TypeError(
      "requestInit: expected options, got a Request: write " +
        "fetch(request, requestInit(ctx, { signal: request.signal }))",
    );
  }
  if (typeof (init as Partial<Context>).value === "function") {
    throw new TypeError(
      "requestInit: expected options, got a second context: pass " +
        "{ signal: other.signal }",
    );
  }
  const { signal } = init as RequestInit;
  if (signal === undefined || signal === null) return;
  if (signal instanceof AbortSignal) return;
  throw new TypeError("requestInit: init.signal is not an AbortSignal");
}
