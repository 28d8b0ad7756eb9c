// What goes wrong once a handler has answered, and what is registered wrongly.

import { background, serveHttp } from "@curfew/context";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

Deno.test("a body whose stream fails is reported and costs its connection, nothing else", async () => {
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

Deno.test("onShutdown() takes a function only", async () => {
  await using server = serveHttp(background(), here, () => new Response());
  assertThrows(
    () => server.onShutdown(undefined as unknown as () => void),
    TypeError,
    "serveHttp: onShutdown() takes a function",
  );
});

Deno.test({
  name: "a listener that fails ends its server, which says why",
  ignore: Deno.build.os === "windows",
  async fn() {
    const script = new URL(
      "../testdata/no_descriptors_http.ts",
      import.meta.url,
    ).href;
    const command = `ulimit -n 64; exec "$0" run --quiet -A "$1"`;
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", command, Deno.execPath(), script],
    }).output();
    const said = new TextDecoder().decode(stderr);
    const [reported, forced, cause] = new TextDecoder().decode(stdout).split(
      "\n",
    );
    const ended = "Error: serveHttp: the listener has ended";
    assertEquals([reported, forced], [`reported: ${ended}`, "forced: 1"], said);
    assertMatch(cause!, /, because of .*Too many open files/);
    assert(cause!.startsWith(ended), cause);
  },
});
