/**
 * Go's `context` for Deno, and servers that shut down with it.
 *
 * One value, handed down, says when work must stop and why. Deadlines, values
 * and causes come with it, from the signal handler to the last socket.
 *
 * - `@curfew/context/context` has contexts, tasks and the process: `withTimeout`,
 *   `group`, `main`. It needs no permissions. All but `main` and `notifyContext`
 *   also runs in Node and Bun.
 * - `@curfew/context/net` has servers that drain with their context: `serveHttp`,
 *   `serveTcp`, `serveUdp`. They need Deno and `--allow-net`; those for UDP also
 *   need `--unstable-net`.
 * - This module exports both. The README links to guides for users of Go and of
 *   `AbortSignal`, to recipes, and to whole services.
 *
 * @example A request with half a second, inside a server that drains
 * ```ts
 * import { background, serveHttp, withCancel, withTimeout } from "@curfew/context";
 *
 * const ctx = withCancel(background()); // or: await main(async (ctx) => { ... })
 * const http = serveHttp(
 *   ctx,
 *   { hostname: "127.0.0.1", port: 0 },
 *   async (ctx) => {
 *     using step = withTimeout(ctx, 500);
 *     const reply = await fetch("data:,hello", { signal: step.signal });
 *     return new Response(await reply.text()); // read before step ends
 *   },
 * );
 * ctx.cancel("that was all");
 * const report = await http.finished; // drains, then closes
 * console.log(report.cause); // that was all
 * ```
 *
 * @module
 */

export * from "./context/mod.ts";
export * from "./net/mod.ts";
