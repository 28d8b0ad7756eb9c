/** The soft moment, for handlers that want to know. */

import type { Context } from "../context/context.ts";
import { drainingKey } from "../context/draining.ts";
import { assertContext, Watch } from "../context/tree.ts";

/**
 * The soft moment of the server that `ctx` comes from. A handler's own context is
 * done at the hard moment only; one that could go on for ever, such as a stream of
 * events or a WebSocket, waits for this to say goodbye in time. What wants a
 * context, as `every`, `sleep` and `untilDone` do, gets one that ends with it:
 * `using soft = withCancel(ctx); softDone(ctx).then(() => soft.cancel());`
 *
 * @param ctx What a handler of any server here was given, or derives from that.
 * @returns A promise that resolves when the server's context is done, or `ctx`
 * itself; at once where one of them is. It never rejects. For a `ctx` that comes
 * from no server it is the end of `ctx`.
 * @throws {TypeError} If `ctx` is not a context.
 *
 * @example Events, until the server wants to end
 * ```ts
 * import { background, serveHttp, softDone, withCancel } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const ctx = withCancel(background());
 * const server = serveHttp(ctx, { hostname: "127.0.0.1", port: 0 }, (ctx) => {
 *   const events = new ReadableStream<string>({
 *     async start(controller) {
 *       controller.enqueue("data: hello\n\n");
 *       await softDone(ctx);
 *       controller.enqueue("data: goodbye\n\n");
 *       controller.close();
 *     },
 *   });
 *   return new Response(events.pipeThrough(new TextEncoderStream()));
 * });
 * const { port } = server.addr as Deno.NetAddr;
 * const reply = await fetch(`http://127.0.0.1:${port}/`);
 * ctx.cancel();
 * assertEquals(await reply.text(), "data: hello\n\ndata: goodbye\n\n");
 * await server.finished;
 * ```
 */
export function softDone(ctx: Context): Promise<void> {
  assertContext("softDone", ctx);
  const serving = ctx.value(drainingKey);
  return new Promise((resolve) => {
    // The server lives on when ctx is done: nothing may stay behind on it.
    const leaves: Watch[] = [];
    const fire = () => {
      for (const leaf of leaves) leaf.stop();
      resolve();
    };
    if (serving !== undefined) leaves.push(new Watch(serving, fire).start());
    leaves.push(new Watch(ctx, fire).start());
  });
}
