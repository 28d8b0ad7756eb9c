// Ends by SIGTERM while a client does not read its response of many bytes.
import { main, serveHttp } from "../../../mod.ts";

await main(async (ctx) => {
  const server = serveHttp(
    ctx,
    { hostname: "127.0.0.1", port: 0, grace: 50 },
    () => new Response(new Uint8Array(50_000_000)),
  );
  const { hostname, port } = server.addr;
  const conn = await Deno.connect({ hostname, port });
  const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  await conn.write(new TextEncoder().encode(request));
  await conn.read(new Uint8Array(1));
  Deno.kill(Deno.pid, "SIGTERM");
  const { lingering } = await server.finished;
  console.log(lingering.join());
});
