/**
 * Go's `context` for Deno, and sockets that go home with it.
 *
 * One value, handed down, says when work must stop and why. Deadlines, values
 * and causes come with it, from the signal handler to the last socket.
 *
 * - `@curfew/context/context` is the tree of contexts, with tasks and the process:
 *   `main`, `withTimeout`, `group`. It needs no permission, and all but `main` and
 *   `notifyContext` runs in Node and Bun too.
 * - `@curfew/context/net` is the servers that drain and close with their context:
 *   `serveHttp`, `serveUdp`, `serveTcp`. They need Deno and `--allow-net`, those
 *   for UDP `--unstable-net` too.
 * - This module is both. The README has what differs from Go and from
 *   `AbortSignal`, recipes, and whole services to start from.
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
