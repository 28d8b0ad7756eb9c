// Ends at once, for nothing may be left of the long grace.
import { background, serveHttp } from "@curfew/context";

const never = new Promise<Response>(() => {});
const entered = Promise.withResolvers<void>();
const server = serveHttp(
  background(),
  { hostname: "127.0.0.1", port: 0, grace: 1_000_000_000 },
  () => {
    entered.resolve();
    return never;
  },
);
const { port } = server.addr as Deno.NetAddr;
const conn = await Deno.connect({ hostname: "127.0.0.1", port });
await conn.write(
  new TextEncoder().encode("GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
);
await entered.promise;
server.shutdown();
while (server.state !== "draining") await Promise.resolve();
const { forced } = await server.shutdown({ grace: 0 });
conn.close();
console.log(forced);
