// Limits of Deno that the docs name. A test that fails here means that Deno has
// become better, or worse, and that the docs have to follow.

import {
  background,
  cause,
  ClientGone,
  serveHttp,
  sleep,
  withCancel,
} from "@curfew/context";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

Deno.test({
  name:
    "serveHttp() waits for a client that reads nothing until the grace period is over, and main ends the process",
  ignore: Deno.build.os === "windows",
  async fn() {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", "slow_reader.ts"],
      cwd: new URL("../testdata/", import.meta.url),
      stderr: "null",
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "a connection\n");
    assertEquals(code, 0);
  },
});

Deno.test("serveHttp() drops half a header while it drains, but not in the lame duck", async () => {
  for (const lameDuck of [0, 1_000]) {
    using time = new FakeTime();
    const server = serveHttp(
      background(),
      { ...here, lameDuck },
      () => new Response("served"),
    );
    using client = await TcpClient.connect(server.addr);
    await client.write("GET / HTTP/1.1\r\nHo");
    const finished = server.shutdown();
    if (lameDuck > 0) {
      await client.write("st: test\r\n\r\n");
      assert((await client.readUntil("served")).startsWith("HTTP/1.1 200"));
      await time.tickAsync(lameDuck);
    } else {
      assertEquals(await client.readToEnd(), "");
    }
    await finished;
  }
});

Deno.test("serveHttp() takes a client that closes its sending side for one that has gone", async () => {
  const done = Promise.withResolvers<unknown>();
  await using server = serveHttp(background(), here, async (ctx) => {
    await ctx.done;
    done.resolve(cause(ctx));
    return new Response("late");
  });
  const { hostname, port } = server.addr;
  using conn = await Deno.connect({ hostname, port });
  const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  await conn.write(new TextEncoder().encode(request));
  await conn.closeWrite();
  assertInstanceOf(await done.promise, ClientGone);
  assertEquals(await conn.read(new Uint8Array(100)), null);
});

Deno.test("serveHttp() does not notice that a client leaves after a long body", async () => {
  const read = Promise.withResolvers<void>();
  const looked = Promise.withResolvers<unknown>();
  await using server = serveHttp(background(), here, async (ctx, request) => {
    await request.text();
    read.resolve();
    // Longer than it takes to notice one that leaves without a body.
    await sleep(ctx, 200).catch(() => {});
    looked.resolve(ctx.err);
    return new Response();
  });
  const client = await TcpClient.connect(server.addr);
  await client.write(
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\n\r\n",
  );
  await client.write("x".repeat(2_000));
  await read.promise;
  client.close();
  assertEquals(await looked.promise, undefined);
});

Deno.test("serveHttp() in the lame duck sends Connection: close, and Deno keeps the connection", async () => {
  using time = new FakeTime();
  const ctx = withCancel(background());
  const options = { ...here, lameDuck: 1_000 };
  const server = serveHttp(ctx, options, () => new Response("served"));
  using client = await TcpClient.connect(server.addr);
  ctx.cancel();
  for (let i = 0; i < 2; i++) {
    await client.get("/");
    const reply = (await client.readUntil("served")).toLowerCase();
    assert(reply.includes("connection: close"), reply);
  }
  await time.tickAsync(1_000);
  assertEquals(await client.readToEnd(), "");
  await server.finished;
});
