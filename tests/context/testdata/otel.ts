// Run with OpenTelemetry on: requests that end in each of the ways that a server
// span tells apart. Two of them have a span around their work.
// deno-lint-ignore no-import-prefix
import { trace } from "npm:@opentelemetry/api@1.9.0";
import {
  background,
  type Context,
  draining,
  serveHttp,
  sleep,
} from "../../../mod.ts";
import { withSpan } from "../../../context/inspect/mod.ts";

const tracer = trace.getTracer("prices");
const entered = new Map(
  ["/gone", "/drained"].map((path) => [
    path,
    Promise.withResolvers<Context>(),
  ]),
);
const server = serveHttp(
  background(),
  {
    hostname: "127.0.0.1",
    port: 0,
    requestTimeout: ({ url }) => url.endsWith("/deadline") ? 20 : 60_000,
    onError: (error) => console.log(error),
  },
  async (ctx, request) => {
    const { pathname } = new URL(request.url);
    entered.get(pathname)?.resolve(ctx);
    switch (pathname) {
      case "/gone":
        await withSpan(ctx, tracer, "wait", (ctx) => sleep(ctx, 60_000));
        break;
      case "/deadline":
        await withSpan(ctx, tracer, "price", (ctx) => sleep(ctx, 60_000));
        break;
      case "/drained":
        await draining(ctx).done;
    }
    return new Response("answered");
  },
);
const { hostname, port } = server.addr;
const origin = `http://${hostname}:${port}`;

/** Returns the ctx of a request once its handler has it. */
const handled = (path: string): Promise<Context> => entered.get(path)!.promise;

await (await fetch(`${origin}/answered`)).text();
await (await fetch(`${origin}/deadline`)).text();

const conn = await Deno.connect({ hostname, port });
await conn.write(
  new TextEncoder().encode("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n"),
);
const gone = await handled("/gone");
conn.close();
await gone.done;

const drained = fetch(`${origin}/drained`);
await handled("/drained");
const shutdown = server.shutdown();
await (await drained).text();
await shutdown;
