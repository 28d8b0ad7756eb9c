// Run with OpenTelemetry on: two clients leave, one in the middle of an upload.
import { background, type Context, serveHttp } from "../../../mod.ts";

const entered: PromiseWithResolvers<Context>[] = [];
const server = serveHttp(
  background(),
  { hostname: "127.0.0.1", port: 0, onError: (error) => console.log(error) },
  async (ctx, request) => {
    entered.at(-1)!.resolve(ctx);
    if (request.method === "POST") return new Response(await request.text());
    await ctx.done;
    throw ctx.err;
  },
);
const { hostname, port } = server.addr;
for (const head of ["GET /waits", "POST /uploads"]) {
  entered.push(Promise.withResolvers());
  const conn = await Deno.connect({ hostname, port });
  await conn.write(
    new TextEncoder().encode(
      `${head} HTTP/1.1\r\nHost: test\r\nContent-Length: ${
        head.startsWith("POST") ? "9\r\n\r\nhalf" : "0\r\n\r\n"
      }`,
    ),
  );
  const ctx = await entered.at(-1)!.promise;
  conn.close();
  await ctx.done;
}
await server.shutdown();
