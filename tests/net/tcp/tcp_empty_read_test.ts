import { background, dialTcp, serveTcp } from "@curfew/context";
import { assertEquals } from "@std/assert";

Deno.test("a read into an empty buffer gives nothing, and takes nothing away", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
  await using server = serveTcp(background(), {
    port: 0,
    onError: reject,
  }, async (_ctx, conn) => {
    const none = await conn.read(new Uint8Array(0));
    const buffer = new Uint8Array(8);
    const some = await conn.read(buffer);
    resolve([none, some, buffer[0]]);
  });
  using conn = await dialTcp(background(), server.addr);
  await conn.write(new Uint8Array([42]));
  assertEquals(await promise, [0, 1, 42]);
});
