// What main says of servers that hold up the end.

import { background, serveHttp, serveTcp, withCancel } from "@curfew/context";
import { assertEquals } from "@std/assert";
import { running } from "../../context/running.ts";
import { TcpClient } from "./tcp/tcp_client.ts";

/** What is held, in the words of whoever came last. */
function held(): string | undefined {
  return [...running].at(-1)?.();
}

Deno.test("serveHttp() says how many requests it holds, and nothing once there are none", async () => {
  const ctx = withCancel(background());
  const before = running.size;
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<Response>();
  const server = serveHttp(ctx, { hostname: "127.0.0.1", port: 0 }, () => {
    entered.resolve();
    return release.promise;
  });
  assertEquals(held(), undefined);
  using client = await TcpClient.connect(server.addr);
  await client.get("/");
  await entered.promise;
  assertEquals(held(), "serveHttp with 1 requests in flight");
  release.resolve(new Response("over"));
  await client.readUntil("over");
  ctx.cancel();
  await server.finished;
  assertEquals(running.size, before);
});

Deno.test("serveTcp() says how many connections it holds, and nothing once there are none", async () => {
  const ctx = withCancel(background());
  const before = running.size;
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveTcp(ctx, { hostname: "127.0.0.1", port: 0 }, () => {
    entered.resolve();
    return release.promise;
  });
  assertEquals(held(), undefined);
  using _client = await TcpClient.connect(server.addr);
  await entered.promise;
  assertEquals(
    held(),
    `serveTcp 127.0.0.1:${server.addr.port} with 1 open connection`,
  );
  release.resolve();
  ctx.cancel();
  await server.finished;
  assertEquals(running.size, before);
});
