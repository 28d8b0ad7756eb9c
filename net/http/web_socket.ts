/** WebSockets in handlers of `serveHttp`. */

import { keepEarlyClose } from "./early_close.ts";
import { exchangeOf } from "./request_exchange.ts";

/**
 * Upgrades a request of `serveHttp` to a WebSocket, as `Deno.upgradeWebSocket` does.
 * The request stays in flight, and its ctx open, until the socket is closed.
 *
 * When the server drains, a handler that watches `draining(ctx)` has a few
 * milliseconds to send its goodbye. Then the server closes every socket with code
 * 1001 (going away) and reads no more of it. A client that gets 1001 should
 * connect again.
 *
 * If the handler throws, returns anything but `response`, or exceeds
 * `requestTimeout`, the socket is closed with 1011. Give WebSockets a
 * `requestTimeout` of `Infinity`. With `Deno.upgradeWebSocket` itself the request
 * is over as soon as the socket is open, and not returning the upgrade closes the
 * whole server.
 *
 * @param request The request that the handler was called with, not a copy.
 * @param options Options for `Deno.upgradeWebSocket`.
 * @returns The socket, and the response that the handler must return.
 * @throws {TypeError} If the request does not ask for a WebSocket.
 *
 * @example A socket that says goodbye
 * ```ts
 * import {
 *   background,
 *   draining,
 *   serveHttp,
 *   upgradeWebSocket,
 *   withCancel,
 * } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const server = serveHttp(
 *   ctx,
 *   { hostname: "127.0.0.1", port: 0 },
 *   (ctx, request) => {
 *     const { socket, response } = upgradeWebSocket(request);
 *     draining(ctx).done.then(() => socket.close(1001, "restarting"));
 *     return response;
 *   },
 * );
 * const client = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
 * const closed = Promise.withResolvers<string>();
 * client.onopen = () => ctx.cancel();
 * client.onclose = ({ reason }) => closed.resolve(reason);
 * assertEquals(await closed.promise, "restarting");
 * await server.finished;
 * ```
 */
export function upgradeWebSocket(
  request: Request,
  options?: Deno.UpgradeWebSocketOptions,
): Deno.WebSocketUpgrade {
  const upgrade = Deno.upgradeWebSocket(request, options);
  exchangeOf(request)?.upgraded(upgrade);
  keepEarlyClose(upgrade.socket);
  return upgrade;
}
