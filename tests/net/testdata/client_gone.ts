// Run with and without --unstable-no-legacy-abort: prints the causes with which
// the contexts of three requests have ended.
import {
  background,
  cause,
  type Context,
  serveHttp,
  sleep,
} from "@curfew/context";

/** Longer than it takes until a client is watched, in ms. */
const long = 80;

const causes = new Map<string, Promise<unknown>>();
const server = serveHttp(
  background(),
  { hostname: "127.0.0.1", port: 0 },
  async (ctx: Context, request: Request) => {
    const { pathname } = new URL(request.url);
    causes.set(pathname, ctx.done.then(() => cause(ctx)));
    switch (pathname) {
      case "/answered":
        await sleep(ctx, long);
        return new Response("x");
      case "/waiting":
        await ctx.done;
        throw ctx.err;
      default:
        return new Response(new ReadableStream({ start: (c) => c.enqueue(x) }));
    }
  },
);
const x = new TextEncoder().encode("x");
const { port } = server.addr as Deno.NetAddr;

for (const path of ["/answered", "/waiting", "/streaming"]) {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
  await conn.write(new TextEncoder().encode(head));
  if (path === "/answered") await conn.read(new Uint8Array(1024));
  await sleep(background(), long);
  conn.close();
  const why = await causes.get(path);
  console.log(path, (why as Error).name);
}
await server.shutdown();
