import { background, type Context, dialTcp, serveTcp } from "@curfew/context";
import { assertStrictEquals } from "@std/assert";

type Use = (conn: Deno.Conn) => Promise<unknown>;

const uses: Record<string, Use> = {
  "read()": (conn) => conn.read(new Uint8Array(1)),
  "write()": (conn) => conn.write(new Uint8Array(1)),
  "closeWrite()": (conn) => conn.closeWrite(),
};

for (const [name, use] of Object.entries(uses)) {
  Deno.test(`${name} of a connection that its handler has closed rejects with ctx.err`, async () => {
    const { promise, resolve } = Promise.withResolvers<[Context, unknown]>();
    await using server = serveTcp(
      background(),
      { port: 0 },
      async (ctx, conn) => {
        conn.close();
        resolve([ctx, await use(conn).catch((error) => error)]);
      },
    );
    using _conn = await dialTcp(background(), server.addr);
    const [ctx, error] = await promise;
    assertStrictEquals(error, ctx.err);
  });
}
