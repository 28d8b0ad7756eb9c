// WebSockets in handlers of serveHttp, by upgradeWebSocket.

import {
  background,
  cause,
  ClientGone,
  type Context,
  draining,
  type HttpServer,
  serveHttp,
  upgradeWebSocket,
  withCancel,
} from "@curfew/context";
import { assertEquals } from "@std/assert";
import { TcpClient } from "../tcp/tcp_client.ts";
import { turn } from "../turn.ts";
import { untilRefused } from "./until_refused.ts";

const here = { hostname: "127.0.0.1", port: 0 };

/** The request of a client that says nothing else. */
const upgradeText = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n" +
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A client's end, with the messages in order of arrival. */
class Peer {
  readonly socket: WebSocket;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<CloseEvent>();
  readonly #messages: string[] = [];
  #arrived = Promise.withResolvers<void>();
  readonly opened: Promise<void> = this.#opened.promise;
  readonly closed: Promise<CloseEvent> = this.#closed.promise;

  constructor(server: HttpServer) {
    const { port } = server.addr;
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/socket`);
    this.socket.onopen = () => this.#opened.resolve();
    this.socket.onclose = this.#closed.resolve;
    this.socket.onmessage = ({ data }) => {
      this.#messages.push(String(data));
      this.#arrived.resolve();
    };
  }

  async next(): Promise<string> {
    while (this.#messages.length === 0) {
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
    return this.#messages.shift()!;
  }
}

/** Upgrades each request, and tells of its ctx and its socket. */
class Upgrader {
  readonly #ctx = Promise.withResolvers<Context>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<CloseEvent>();
  readonly #use: (ctx: Context, socket: WebSocket) => void;
  readonly ctx: Promise<Context> = this.#ctx.promise;
  readonly opened: Promise<void> = this.#opened.promise;
  readonly closed: Promise<CloseEvent> = this.#closed.promise;

  constructor(use: (ctx: Context, socket: WebSocket) => void) {
    this.#use = use;
  }

  readonly handler = (ctx: Context, request: Request): Response => {
    const { socket, response } = upgradeWebSocket(request);
    socket.addEventListener("open", () => this.#opened.resolve());
    socket.addEventListener("close", this.#closed.resolve);
    this.#use(ctx, socket);
    this.#ctx.resolve(ctx);
    return response;
  };
}

function echo(_ctx: Context, socket: WebSocket): void {
  socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
}

/** A client that reads what is on the wire, and answers nothing. */
class SilentPeer implements Disposable {
  readonly #conn: Deno.Conn;
  #bytes = new Uint8Array(0);

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects, and reads up to the end of the 101. */
  static async connect({ addr }: HttpServer): Promise<SilentPeer> {
    const { hostname, port } = addr;
    const peer = new SilentPeer(await Deno.connect({ hostname, port }));
    await peer.#conn.write(new TextEncoder().encode(upgradeText));
    const text = () => new TextDecoder("latin1").decode(peer.#bytes);
    while (!text().includes("\r\n\r\n")) await peer.#read();
    peer.#bytes = peer.#bytes.subarray(text().indexOf("\r\n\r\n") + 4);
    return peer;
  }

  /** The next frame, such as "close 1001"; undefined at the end. */
  async next(): Promise<string | undefined> {
    while (this.#bytes.length < 2 + (this.#bytes[1] ?? 0)) {
      if (!await this.#read()) return undefined;
    }
    const [opcode, length] = this.#bytes;
    const payload = this.#bytes.subarray(2, 2 + length!);
    this.#bytes = this.#bytes.subarray(2 + length!);
    if ((opcode! & 15) !== 8) return new TextDecoder().decode(payload);
    return `close ${length === 0 ? "none" : payload[0]! * 256 + payload[1]!}`;
  }

  async #read(): Promise<boolean> {
    const buffer = new Uint8Array(1_000);
    const n = await this.#conn.read(buffer);
    if (n === null) return false;
    this.#bytes = new Uint8Array([...this.#bytes, ...buffer.subarray(0, n)]);
    return true;
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

Deno.test("upgradeWebSocket() gives a working socket", async () => {
  const upgrader = new Upgrader(echo);
  await using server = serveHttp(background(), here, upgrader.handler);
  const peer = new Peer(server);
  await peer.opened;
  peer.socket.send("one");
  assertEquals(await peer.next(), "echo one");
  peer.socket.send("two");
  assertEquals(await peer.next(), "echo two");
  peer.socket.close(1000);
  await Promise.all([peer.closed, upgrader.closed]);
});

Deno.test("upgradeWebSocket() keeps the ctx open until the client closes the socket", async () => {
  const upgrader = new Upgrader(echo);
  await using server = serveHttp(background(), here, upgrader.handler);
  const peer = new Peer(server);
  await peer.opened;
  const ctx = await upgrader.ctx;
  peer.socket.send("one");
  await peer.next();
  assertEquals([ctx.err, server.inFlight], [undefined, 1]);
  peer.socket.close(1000);
  await peer.closed;
  await ctx.done;
});

Deno.test("upgradeWebSocket() does not take a socket that stays open for a client that has gone", async () => {
  const upgrader = new Upgrader(echo);
  await using server = serveHttp(background(), here, upgrader.handler);
  const peer = new Peer(server);
  await peer.opened;
  const ctx = await upgrader.ctx;
  // Long enough for clients to be watched.
  await new Promise((resolve) => setTimeout(resolve, 80));
  assertEquals([ctx.err, server.inFlight], [undefined, 1]);
  peer.socket.close();
  await Promise.all([peer.closed, ctx.done]);
  assertEquals(cause(ctx) instanceof ClientGone, false);
});

// Deno then says that the response has been sent before there is one.

const pauses: Record<string, (() => Promise<unknown>) | undefined> = {
  "at once": undefined,
  "by a promise": () => Promise.resolve(),
  "a turn later": turn,
};
for (const [when, pause] of Object.entries(pauses)) {
  Deno.test(`serveHttp() counts a request that Deno.upgradeWebSocket() has upgraded as over when its response is returned ${when}`, async () => {
    const ctxs: Context[] = [];
    const handler = (ctx: Context, request: Request) => {
      ctxs.push(ctx);
      const { socket, response } = Deno.upgradeWebSocket(request);
      echo(ctx, socket);
      return pause === undefined ? response : pause().then(() => response);
    };
    const server = serveHttp(background(), here, handler);
    const peer = new Peer(server);
    await peer.opened;
    peer.socket.send("one");
    assertEquals(await peer.next(), "echo one");
    assertEquals([ctxs[0]!.err === undefined, server.inFlight], [false, 0]);
    const { forced } = await server.shutdown();
    assertEquals(forced, 0);
    assertEquals((await peer.closed).code, 1001);
  });
}

Deno.test("upgradeWebSocket() lets a handler say goodbye when the server drains", async () => {
  const ctx = withCancel(background());
  const upgrader = new Upgrader((ctx, socket) => {
    draining(ctx).done.then(() => {
      socket.send("goodbye");
      socket.close(1001, "restarting");
    });
  });
  const server = serveHttp(ctx, here, upgrader.handler);
  const peer = new Peer(server);
  await peer.opened;
  ctx.cancel();
  assertEquals(await peer.next(), "goodbye");
  const { code, reason } = await peer.closed;
  assertEquals([code, reason], [1001, "restarting"]);
  const report = await server.finished;
  assertEquals([report.drained, report.forced], [1, 0]);
});

Deno.test("upgradeWebSocket() opens new sockets during the lame duck", async () => {
  const upgrader = new Upgrader(echo);
  const options = { ...here, lameDuck: 60_000 };
  const server = serveHttp(background(), options, upgrader.handler);
  server.shutdown();
  const peer = new Peer(server);
  await peer.opened;
  assertEquals(server.state, "lame-duck");
  peer.socket.send("one");
  assertEquals(await peer.next(), "echo one");
  peer.socket.close();
  await Promise.all([peer.closed, upgrader.closed]);
  await server.shutdown({ grace: 0 });
});

Deno.test("upgradeWebSocket() remembers a close() from before the socket is open", async () => {
  const upgrader = new Upgrader((_ctx, socket) =>
    socket.close(1001, "restarting")
  );
  await using server = serveHttp(background(), here, upgrader.handler);
  const peer = new Peer(server);
  const { code, reason } = await peer.closed;
  assertEquals([code, reason], [1001, "restarting"]);
  await upgrader.closed;
});

const goodbye = (ctx: Context, socket: WebSocket): void =>
  void draining(ctx).done.then(() => socket.send("goodbye"));

for (
  const [when, use, options, frames] of [
    ["while it drains", echo, {}, ["close 1001"]],
    ["after a goodbye", goodbye, {}, ["goodbye", "close 1001"]],
    ["at shutdown({ grace: 0 })", echo, { grace: 0 }, ["close 1001"]],
  ] as const
) {
  Deno.test(`serveHttp() closes a WebSocket with 1001 ${when}, and waits for no reply`, async () => {
    const upgrader = new Upgrader(use);
    const server = serveHttp(
      background(),
      { ...here, grace: 60_000 },
      upgrader.handler,
    );
    using peer = await SilentPeer.connect(server);
    await upgrader.opened;
    await server.shutdown(options);
    for (const frame of frames) assertEquals(await peer.next(), frame);
    assertEquals(await peer.next(), undefined);
  });
}

Deno.test("serveHttp() closes a WebSocket with 1001 while it waits for an upload", async () => {
  const upgrader = new Upgrader(goodbye);
  const uploading = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async (ctx, request) => {
    if (request.method === "GET") return upgrader.handler(ctx, request);
    uploading.resolve();
    return new Response(await request.text());
  });
  using upload = await TcpClient.connect(server.addr);
  await upload.write(
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf",
  );
  await uploading.promise;
  using peer = await SilentPeer.connect(server);
  await upgrader.opened;
  const finished = server.shutdown();
  assertEquals(await peer.next(), "goodbye");
  assertEquals(await peer.next(), "close 1001");
  await upload.write("half");
  await upload.readUntil("halfhalf");
  await finished;
  assertEquals(await peer.next(), undefined);
});

Deno.test("serveHttp() closes a WebSocket with 1001 at the end of the grace period that has opened while it waits for an upload", async () => {
  const upgrader = new Upgrader(echo);
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async (ctx, request) => {
    if (request.method === "GET") return upgrader.handler(ctx, request);
    entered.resolve();
    return new Response(await request.text());
  });
  using upload = await TcpClient.connect(server.addr);
  await upload.write(
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf",
  );
  await entered.promise;
  server.shutdown();
  // Longer than the first turns of the drain, in which it closes all sockets.
  await new Promise((resolve) => setTimeout(resolve, 50));
  using peer = await SilentPeer.connect(server);
  await upgrader.opened;
  await server.shutdown({ grace: 0 });
  assertEquals(await peer.next(), "close 1001");
});

Deno.test("serveHttp() refuses new WebSockets while it drains", async () => {
  const released = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async () => {
    entered.resolve();
    await released.promise;
    return new Response("x");
  });
  const held = fetch(`http://127.0.0.1:${server.addr.port}/`);
  await entered.promise;
  const finished = server.shutdown();
  await untilRefused(server);
  const peer = new Peer(server);
  peer.socket.onerror = (event) => event.preventDefault();
  await peer.closed;
  released.resolve();
  await (await held).text();
  assertEquals((await finished).drained, 1);
});

for (
  const [what, answer, reported] of [
    ["throws", () => {
      throw new Error("no");
    }, ["Error: no"]],
    ["answers with something else", () => new Response("no"), []],
    ["answers too late", () => new Promise<Response>(() => {}), []],
  ] as [string, () => Response | Promise<Response>, string[]][]
) {
  Deno.test(`upgradeWebSocket() closes the socket with 1011 if the handler ${what}`, async () => {
    const errors: string[] = [];
    const isLate = what === "answers too late";
    await using server = serveHttp(
      background(),
      {
        ...here,
        requestTimeout: isLate ? 5 : 60_000,
        onError: (error) => errors.push(String(error)),
      },
      (_ctx, request) => {
        if (!request.url.endsWith("/socket")) return new Response("served");
        upgradeWebSocket(request);
        return answer();
      },
    );
    const peer = new Peer(server);
    assertEquals((await peer.closed).code, 1011);
    const reply = await fetch(`http://127.0.0.1:${server.addr.port}/`);
    assertEquals(await reply.text(), "served");
    assertEquals(errors, reported);
    // A handler that never ends is in flight until the end.
    const { forced } = await server.shutdown({ grace: isLate ? 0 : 60_000 });
    assertEquals(forced, isLate ? 1 : 0);
  });
}

Deno.test("upgradeWebSocket() keeps the request in flight if the handler goes on after it", async () => {
  const ctxs: Context[] = [];
  const server = serveHttp(background(), here, async (ctx, request) => {
    const { socket, response } = upgradeWebSocket(request);
    echo(ctx, socket);
    // In the meantime Deno says that the request is over.
    await new Promise((resolve) => setTimeout(resolve, 60));
    ctxs.push(ctx);
    return response;
  });
  const peer = new Peer(server);
  await peer.opened;
  assertEquals(ctxs[0]?.err, undefined);
  assertEquals(server.inFlight, 1);
  peer.socket.send("one");
  assertEquals(await peer.next(), "echo one");
  const report = await server.shutdown();
  assertEquals((await peer.closed).code, 1001);
  assertEquals([report.drained, report.forced], [1, 0]);
});

Deno.test({
  name:
    "upgradeWebSocket() ends the request of a client that leaves before the socket is open",
  // Deno never ends this upgrade.
  sanitizeOps: false,
  async fn() {
    const upgraded = Promise.withResolvers<Context>();
    const left = Promise.withResolvers<void>();
    const server = serveHttp(background(), here, async (ctx, request) => {
      const { response } = upgradeWebSocket(request);
      upgraded.resolve(ctx);
      await left.promise;
      return response;
    });
    {
      using client = await TcpClient.connect(server.addr);
      await client.write(upgradeText);
      await upgraded.promise;
    }
    // Time for the server to see it: the socket will neither open nor close.
    await new Promise((resolve) => setTimeout(resolve, 60));
    left.resolve();
    const ctx = await upgraded.promise;
    await ctx.done;
    assertEquals(cause(ctx) instanceof ClientGone, true);
    assertEquals((await server.shutdown({ grace: 0 })).forced, 0);
  },
});
