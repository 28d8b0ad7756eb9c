// The value of remoteAddrKey once Deno has forgotten the request.

import {
  background,
  type Context,
  remoteAddrKey,
  serveHttp,
} from "@curfew/context";
import { assert, assertEquals } from "@std/assert";

/** The context of a request, and whether it is asked where that comes from. */
async function contextOfPast(asked: boolean): Promise<Context> {
  const { promise, resolve } = Promise.withResolvers<Context>();
  await using server = serveHttp(
    background(),
    { hostname: "127.0.0.1", port: 0 },
    (ctx) => {
      if (asked) assert(ctx.value(remoteAddrKey));
      resolve(ctx);
      return new Response();
    },
  );
  const { port } = server.addr as Deno.NetAddr;
  await (await fetch(`http://127.0.0.1:${port}/`)).body?.cancel();
  return await promise;
}

Deno.test("remoteAddrKey has no value after the request", async () => {
  const ctx = await contextOfPast(false);
  assertEquals(ctx.value(remoteAddrKey), undefined);
});

Deno.test("remoteAddrKey keeps a value that was read during the request", async () => {
  const ctx = await contextOfPast(true);
  const addr = ctx.value(remoteAddrKey) as Deno.NetAddr;
  assertEquals(addr.hostname, "127.0.0.1");
});
