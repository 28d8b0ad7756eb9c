// Thousands of HTTP connections when the server shuts down.

import { background, draining, serveHttp, withCancel } from "@curfew/context";
import { atScale } from "./at_scale.ts";

const local = { hostname: "127.0.0.1", port: 0 };
const request = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

/** A client on a connection of its own. */
class Client {
  readonly #conn: Deno.Conn;
  #received = "";
  readonly #buffer = new Uint8Array(4_096);
  readonly #decoder = new TextDecoder();

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Sends a request and waits until the answer contains `text`. */
  static async receive(addr: Deno.NetAddr, text: string): Promise<Client> {
    const { hostname, port } = addr;
    const client = new Client(await Deno.connect({ hostname, port }));
    await client.#conn.write(request);
    while (!client.#received.includes(text)) await client.#read();
    return client;
  }

  /** Reads until the server closes the connection; returns all that was received. */
  async toTheEnd(): Promise<string> {
    while (await this.#read());
    this.#conn.close();
    return this.#received;
  }

  async #read(): Promise<boolean> {
    const n = await this.#conn.read(this.#buffer).catch(() => null);
    if (n === null) return false;
    this.#received += this.#decoder.decode(this.#buffer.subarray(0, n));
    return true;
  }
}

/** Opens `n` clients, some of them at once. */
async function openAll(
  n: number,
  open: () => Promise<Client>,
): Promise<Client[]> {
  const clients: Client[] = [];
  const batch = 100;
  while (clients.length < n) {
    const next = Math.min(batch, n - clients.length);
    clients.push(...await Promise.all(Array.from({ length: next }, open)));
  }
  return clients;
}

atScale(
  import.meta,
  "event streams say goodbye when the server drains",
  { size: 8_000, counts: (n) => ({ drained: n, forced: 0, goodbyes: n }) },
  async (n) => {
    const ctx = withCancel(background());
    const server = serveHttp(ctx, { ...local, grace: 60_000 }, (ctx) => {
      const events = new ReadableStream<string>({
        async start(controller) {
          controller.enqueue("data: hello\n\n");
          await draining(ctx).done;
          controller.enqueue("data: goodbye\n\n");
          controller.close();
        },
      });
      return new Response(events.pipeThrough(new TextEncoderStream()));
    });
    const clients = await openAll(
      n,
      () => Client.receive(server.addr, "hello"),
    );
    ctx.cancel();
    const received = await Promise.all(clients.map((each) => each.toTheEnd()));
    const { drained, forced } = await server.finished;
    const goodbyes = received.filter((text) => text.includes("goodbye")).length;
    return { drained, forced, goodbyes };
  },
);

atScale(
  import.meta,
  "idle keep-alive connections are closed when the server drains",
  { size: 8_000, counts: (n) => ({ forced: 0, closed: n }) },
  async (n) => {
    const ctx = withCancel(background());
    const server = serveHttp(
      ctx,
      { ...local, grace: 60_000 },
      () => new Response("hello"),
    );
    const clients = await openAll(
      n,
      () => Client.receive(server.addr, "hello"),
    );
    ctx.cancel();
    const { forced } = await server.finished;
    const received = await Promise.all(clients.map((each) => each.toTheEnd()));
    const closed = received.filter((text) => text.endsWith("hello")).length;
    return { forced, closed };
  },
);
