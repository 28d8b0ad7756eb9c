/** WebSockets, as part of the request that they have come from. */

const upgrades = new WeakMap<Request, Deno.WebSocketUpgrade>();

/**
 * `Deno.upgradeWebSocket` for handlers of `serveHttp`: the request is in flight,
 * and its ctx open, until the socket is closed. With Deno's own it is over as soon
 * as the socket opens, and the end of the server closes the socket at once.
 *
 * Where the handler then throws, answers with something else or comes too late, the
 * socket is closed with 1011; for that of one by Deno's own, Deno closes the server.
 *
 * @param request The request, as the handler was given it.
 * @param options As those of `Deno.upgradeWebSocket`.
 * @returns The socket, and the response for the handler to return.
 * @throws {TypeError} If the request does not ask for a WebSocket.
 *
 * @example A socket that says goodbye
 * ```ts
 * import {
 *   background,
 *   serveHttp,
 *   softDone,
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
 *     softDone(ctx).then(() => socket.close(1001, "restarting"));
 *     return response;
 *   },
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * const client = new WebSocket(`ws://127.0.0.1:${port}/`);
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
  upgrades.set(request, upgrade);
  closeOnceOpen(upgrade.socket);
  return upgrade;
}

/**
 * Deno forgets a close() that comes before the socket is open, as in lame duck,
 * where the soft moment has been: it opens all the same, and stays open.
 */
function closeOnceOpen(socket: WebSocket): void {
  const close = socket.close.bind(socket);
  socket.close = (code, reason) => {
    const early = socket.readyState === WebSocket.CONNECTING;
    close(code, reason);
    if (!early) return;
    socket.addEventListener("open", () => close(code, reason), { once: true });
  };
}

/** The socket that a request has become, and its response; undefined if it has not. */
export function upgradeOf(request: Request): Deno.WebSocketUpgrade | undefined {
  return upgrades.get(request);
}
