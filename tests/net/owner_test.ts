// Descriptions of servers, for the line that main prints at a forced exit.

import { serveHttp, serveTcp, withCancel } from "@curfew/context";
import { assertEquals } from "@std/assert";
import { RecordingOwner } from "../context/recording_owner.ts";
import { TcpClient } from "./tcp/tcp_client.ts";

Deno.test("serveHttp() describes its requests in flight to the program, until it is closed", async () => {
  const owner = new RecordingOwner();
  const ctx = withCancel(owner.ctx);
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<Response>();
  const server = serveHttp(ctx, { hostname: "127.0.0.1", port: 0 }, () => {
    entered.resolve();
    return release.promise;
  });
  const name = `serveHttp 127.0.0.1:${server.addr.port}`;
  assertEquals(owner.running, [name]);
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  assertEquals(owner.running, [`${name} with 1 request in flight`]);
  release.resolve(new Response("over"));
  await client.readUntil("over");
  ctx.cancel();
  await server.finished;
  assertEquals(owner.running, []);
});

Deno.test("serveTcp() describes its connections to the program, until it is closed", async () => {
  const owner = new RecordingOwner();
  const ctx = withCancel(owner.ctx);
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { hostname: "127.0.0.1", port: 0 }, () => {
    entered.resolve();
    return release.promise;
  });
  assertEquals(owner.running, [`serveTcp 127.0.0.1:${server.addr.port}`]);
  using _client = await TcpClient.connect(server.addr);
  await entered.promise;
  assertEquals(
    owner.running,
    [`serveTcp 127.0.0.1:${server.addr.port} with 1 open connection`],
  );
  release.resolve();
  ctx.cancel();
  await server.finished;
  assertEquals(owner.running, []);
});
