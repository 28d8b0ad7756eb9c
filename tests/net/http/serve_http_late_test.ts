// Failures after the handler has answered, and failures of the listener.

import { background, serveHttp } from "@curfew/context";
import { assertEquals } from "@std/assert";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

Deno.test("serveHttp() reports a stream that fails, which costs its connection only", async () => {
  const failure = new Error("out of paper");
  const errors: unknown[] = [];
  const options = { ...here, onError: (error: unknown) => errors.push(error) };
  await using server = serveHttp(background(), options, (_ctx, request) => {
    if (new URL(request.url).pathname === "/") return new Response("hello");
    let sent = false;
    return new Response(
      new ReadableStream<Uint8Array>({
        pull(controller) {
          if (sent) throw failure;
          sent = true;
          controller.enqueue(new TextEncoder().encode("half a"));
        },
      }),
    );
  });
  using client = await TcpClient.connect(server.addr);
  await client.get("/fails");
  const reply = await client.readToEnd();
  assertEquals(reply.includes("half a"), true, reply);
  assertEquals(errors, [failure]);
  using other = await TcpClient.connect(server.addr);
  await other.get("/");
  await other.readUntil("hello");
});

for (
  const [wanted, name, lines] of [
    ["recover", "listens again when there are file descriptors again", [
      "reported: Error: serveHttp: the listener failed, listening again: Error: Too many open files (os error 24)",
      "served again",
      "in flight",
    ]],
    ["give up", "rejects finished if it cannot listen again", [
      "reported: Error: serveHttp: the listener failed, listening again: Error: Too many open files (os error 24)",
      "reported: Error: serveHttp: the listener at 127.0.0.1:N failed: serveHttp: port N is already in use",
      "rejected: Error: serveHttp: the listener at 127.0.0.1:N failed: serveHttp: port N is already in use",
      "cause: AddrInUse",
      "in flight",
    ]],
  ] as const
) {
  Deno.test({
    name: `serveHttp() ${name}, and finishes what is in flight`,
    ignore: Deno.build.os === "windows",
    async fn() {
      const script = new URL(
        "../testdata/no_descriptors_http.ts",
        import.meta.url,
      ).href;
      const command = `ulimit -n 64; exec "$0" run --quiet -A "$1" "$2"`;
      const { stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", command, Deno.execPath(), script, wanted],
      }).output();
      const text = new TextDecoder().decode(stdout)
        .replaceAll(/(127.0.0.1:|port )\d+/g, "$1N");
      assertEquals(
        text.trim().split("\n"),
        [...lines],
        new TextDecoder().decode(stderr),
      );
    },
  });
}

Deno.test({
  name: "serveHttp() listens again if Deno has closed the server",
  // Deno never ends an upgrade that it has dropped.
  sanitizeOps: false,
  async fn() {
    const errors: string[] = [];
    const server = serveHttp(
      background(),
      { ...here, onError: (error) => errors.push(String(error)) },
      (_ctx, request) => {
        // By Deno's own function, and with another answer.
        if (request.headers.has("upgrade")) Deno.upgradeWebSocket(request);
        return new Response("served again");
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.write(
      "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n" +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    for (;;) {
      try {
        const reply = await fetch(`http://127.0.0.1:${server.addr.port}/`);
        assertEquals(await reply.text(), "served again");
        break;
      } catch (error) {
        // Not yet.
        if (!(error instanceof TypeError)) throw error;
      }
    }
    await server.shutdown({ grace: 0 });
    assertEquals(errors, [
      "Error: serveHttp: the listener failed, listening again: Deno has closed the server",
    ]);
  },
});
