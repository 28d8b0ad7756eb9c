/** Keys for the addresses of a request or a connection. */

import { createKey, type Key } from "../context/key.ts";

/**
 * Key for the address on which the server received a request or a TCP connection.
 * Follows Go's `http.LocalAddrContextKey`.
 *
 * @example
 * ```ts
 * import { background, localAddrKey, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server = serveHttp(
 *   background(),
 *   options,
 *   (ctx) => Response.json(ctx.value(localAddrKey)),
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/`);
 * assertEquals(await reply.json(), server.addr);
 * ```
 */
export const localAddrKey: Key<Deno.Addr> = createKey("local addr");

/**
 * Key for the address of the client of a request or a TCP connection. In the context
 * of a request that is over, the value is undefined unless it has been read before.
 *
 * @example
 * ```ts
 * import { background, remoteAddrKey, serveHttp } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0 };
 * await using server = serveHttp(background(), options, (ctx) => {
 *   const client = ctx.value(remoteAddrKey) as Deno.NetAddr;
 *   return new Response(client.hostname);
 * });
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/`);
 * assertEquals(await reply.text(), "127.0.0.1");
 * ```
 */
export const remoteAddrKey: Key<Deno.Addr> = createKey("remote addr");
