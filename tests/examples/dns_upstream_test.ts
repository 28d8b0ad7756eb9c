import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, withCancel } from "@curfew/context";
import { Upstream } from "../../examples/dns/upstream.ts";
import { readQuery } from "../../examples/dns/wire.ts";
import { answer, query } from "./dns_message.ts";
import { udpSocket } from "./dns_upstream.ts";

const QUERY = readQuery(query("www.example"))!;

/** An address that is closed for UDP and TCP. */
function closedAddr(): { hostname: string; port: number } {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr;
}

/** Tells if a connection to an address is refused. */
async function refuses(addr: Deno.NetAddr): Promise<boolean> {
  const { hostname, port } = addr;
  try {
    using _conn = await Deno.connect({ hostname, port });
    return false;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused;
  }
}

Deno.test("Upstream.ask() over UDP rejects if the server is silent for 250 ms and its port is closed", async () => {
  using time = new FakeTime();
  const upstream = new Upstream(closedAddr(), "udp");
  const asked = upstream.ask(background(), QUERY);
  let settled = false;
  asked.catch(() => settled = true);
  await time.tickAsync(249);
  assertEquals(settled, false);
  await time.tickAsync(1);
  await assertRejects(() => asked, Deno.errors.ConnectionRefused, "is closed");
});

Deno.test("Upstream.ask() rejects with ctx.err when ctx is done", async () => {
  const socket = udpSocket();
  const upstream = new Upstream(socket.addr as Deno.NetAddr, "udp");
  const ctx = withCancel(background());
  const asked = upstream.ask(ctx, QUERY);
  await socket.receive();
  ctx.cancel("enough");
  assertEquals(await assertRejects(() => asked), ctx.err);
  socket.close();
});

Deno.test("Upstream.ask() waits for a slow server whose port is open for TCP", async () => {
  using time = new FakeTime();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const socket = udpSocket(port);
  const upstream = new Upstream({ hostname: "127.0.0.1", port }, "udp");
  const asked = upstream.ask(background(), QUERY);
  const [message, client] = await socket.receive();
  await time.tickAsync(250);
  // The connection was only to see if the port is open.
  using conn = await listener.accept();
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await socket.send(answer(message, [192, 0, 2, 1]), client);
  assertEquals([...(await asked).slice(-4)], [192, 0, 2, 1]);
  socket.close();
});

Deno.test("Upstream.ask() over TCP closes its connection when ctx is done", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const upstream = new Upstream(listener.addr, "tcp");
  const ctx = withCancel(background());
  const asked = upstream.ask(ctx, QUERY);
  using conn = await listener.accept();
  const buffer = new Uint8Array(100);
  await conn.read(buffer);
  ctx.cancel();
  assertEquals(await assertRejects(() => asked), ctx.err);
  assertEquals(await conn.read(buffer), null);
});

Deno.test("Upstream.ask() waits for a slow server that takes UDP only, once a check has shown that", async () => {
  using time = new FakeTime();
  const socket = udpSocket();
  const addr = socket.addr as Deno.NetAddr;
  const upstream = new Upstream(addr, "udp");

  const asked = upstream.ask(background(), QUERY);
  await socket.receive();
  await time.tickAsync(250);
  await assertRejects(() => asked, Deno.errors.ConnectionRefused);

  const checked = upstream.check(background());
  const [check, checker] = await socket.receive();
  await socket.send(answer(check, [192, 0, 2, 0]), checker);
  await checked;

  const slow = upstream.ask(background(), QUERY);
  const [message, client] = await socket.receive();
  await time.tickAsync(250);
  // By the time of two refused connections, a third one would have been noticed.
  assertEquals([await refuses(addr), await refuses(addr)], [true, true]);
  await socket.send(answer(message, [192, 0, 2, 1]), client);
  assertEquals([...(await slow).slice(-4)], [192, 0, 2, 1]);
  socket.close();
});
