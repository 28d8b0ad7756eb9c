// WebSockets inside serveHttp, by upgradeWebSocket in a handler.

import {
  background,
  cause,
  ClientGone,
  type Context,
  type HttpServer,
  serveHttp,
  softDone,
  upgradeWebSocket,
  withCancel,
} from "@curfew/context";
import { assertEquals } from "@std/assert";
import { TcpClient } from "../tcp/tcp_client.ts";

const here = { hostname: "127.0.0.1", port: 0 };

/** What a client sends that speaks no more of it than that. */
const upgradeText = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n" +
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A client's end, with what came in the order it came. */
class Peer {
  readonly socket: WebSocket;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<CloseEvent>();
  readonly #messages: string[] = [];
  #arrived = Promise.withResolvers<void>();
  readonly opened: Promise<void> = this.#opened.promise;
  readonly closed: Promise<CloseEvent> = this.#closed.promise;

  constructor(server: HttpServer, path = "/socket") {
    const { port } = server.addr as Deno.NetAddr;
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
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
  readonly #closed = Promise.withResolvers<CloseEvent>();
  readonly #use: (ctx: Context, socket: WebSocket) => void;
  readonly ctx: Promise<Context> = this.#ctx.promise;
  readonly closed: Promise<CloseEvent> = this.#closed.promise;

  constructor(use: (ctx: Context, socket: WebSocket) => void) {
    this.#use = use;
  }

  readonly handler = (ctx: Context, request: Request): Response => {
    const { socket, response } = upgradeWebSocket(request);
    socket.addEventListener("close", this.#closed.resolve);
    this.#use(ctx, socket);
    this.#ctx.resolve(ctx);
    return response;
  };
}

function echo(_ctx: Context, socket: WebSocket): void {
  socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
}

Deno.test("a WebSocket works inside a handler", async () => {
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

Deno.test("the ctx of a WebSocket is open while the socket is, and done when the client has closed it", async () => {
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

Deno.test("a WebSocket that stays open for long is not taken for a client that has gone", async () => {
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

Deno.test("a WebSocket is told of the soft moment by softDone(), and can close in good order", async () => {
  const ctx = withCancel(background());
  const upgrader = new Upgrader((ctx, socket) => {
    softDone(ctx).then(() => {
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

Deno.test("in lame duck a new WebSocket is still opened", async () => {
  const upgrader = new Upgrader(echo);
  const server = serveHttp(
    background(),
    { ...here, lameDuck: 60_000 },
    upgrader.handler,
  );
  server.shutdown();
  while (server.state !== "lame-duck") await Promise.resolve();
  const peer = new Peer(server);
  await peer.opened;
  peer.socket.send("one");
  assertEquals(await peer.next(), "echo one");
  peer.socket.close();
  await Promise.all([peer.closed, upgrader.closed]);
  await server.shutdown({ grace: 0 });
});

Deno.test("in lame duck a WebSocket that says goodbye at the soft moment is closed as it opens", async () => {
  const upgrader = new Upgrader((ctx, socket) =>
    softDone(ctx).then(() => socket.close(1001, "restarting"))
  );
  const server = serveHttp(
    background(),
    { ...here, lameDuck: 60_000 },
    upgrader.handler,
  );
  server.shutdown();
  while (server.state !== "lame-duck") await Promise.resolve();
  const peer = new Peer(server);
  const { code, reason } = await peer.closed;
  assertEquals([code, reason], [1001, "restarting"]);
  await upgrader.closed;
  assertEquals((await server.shutdown({ grace: 1_000 })).forced, 0);
});

Deno.test("a WebSocket that goes on is cut at the hard moment, and its ctx says why", async () => {
  const ctx = withCancel(background());
  const upgrader = new Upgrader(echo);
  const server = serveHttp(ctx, { ...here, grace: 5 }, upgrader.handler);
  const peer = new Peer(server);
  await peer.opened;
  peer.socket.send("one");
  await peer.next();
  ctx.cancel();
  const report = await server.finished;
  await peer.closed;
  assertEquals(report.forcedRequests, ["GET /socket"]);
  assertEquals(
    String(cause(await upgrader.ctx)),
    "Error: serveHttp: the grace of 5 ms is over",
  );
});

Deno.test("a WebSocket that is opened while the server drains gets 503", async () => {
  const released = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const server = serveHttp(background(), here, async () => {
    entered.resolve();
    await released.promise;
    return new Response("x");
  });
  const { port } = server.addr as Deno.NetAddr;
  const held = fetch(`http://127.0.0.1:${port}/`);
  await entered.promise;
  const finished = server.shutdown();
  while (server.state !== "draining") await Promise.resolve();
  const peer = new Peer(server);
  peer.socket.onerror = (event) => event.preventDefault();
  await peer.closed;
  released.resolve();
  await (await held).text();
  assertEquals((await finished).refused, 1);
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
  Deno.test(`a handler that ${what} after the upgrade costs its own socket, and says so`, async () => {
    const errors: string[] = [];
    await using server = serveHttp(
      background(),
      {
        ...here,
        requestTimeout: what === "answers too late" ? 5 : 60_000,
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
    const { port } = server.addr as Deno.NetAddr;
    const reply = await fetch(`http://127.0.0.1:${port}/`);
    assertEquals(await reply.text(), "served");
    assertEquals(errors, reported);
    const isLate = what === "answers too late";
    // It never ends; the others do once they hear of the client's end of it.
    const { forced } = await server.shutdown({ grace: isLate ? 0 : 60_000 });
    assertEquals(forced, isLate ? 1 : 0);
  });
}

Deno.test({
  name: "a server that Deno has closed ends well, whatever is in flight",
  // Deno never ends an upgrade that it has dropped.
  sanitizeOps: false,
  async fn() {
    const entered = Promise.withResolvers<void>();
    const errors: string[] = [];
    const server = serveHttp(
      background(),
      { ...here, grace: 5, onError: (error) => errors.push(String(error)) },
      (_ctx, request) => {
        if (request.url.endsWith("/never")) {
          entered.resolve();
          return new Promise(() => {});
        }
        // By its own, and with another answer: Deno closes all of the server.
        Deno.upgradeWebSocket(request);
        return new Response("no");
      },
    );
    using client = await TcpClient.connect(server.addr);
    await client.get("/never");
    await entered.promise;
    using other = await TcpClient.connect(server.addr);
    await other.write(upgradeText);
    const { forcedRequests, cause } = await server.finished;
    assertEquals(forcedRequests.includes("GET /never"), true);
    assertEquals(errors, [String(cause)]);
  },
});

Deno.test("a WebSocket is in flight also where the handler goes on after the upgrade", async () => {
  const ctxs: Context[] = [];
  const server = serveHttp(background(), here, async (ctx, request) => {
    const { socket, response } = upgradeWebSocket(request);
    echo(ctx, socket);
    softDone(ctx).then(() => socket.close(1001, "restarting"));
    // Deno says in between that the request is over.
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
  assertEquals((await peer.closed).reason, "restarting");
  assertEquals([report.drained, report.forced], [1, 0]);
});

Deno.test({
  name:
    "a client that leaves between the upgrade and the answer is in flight no longer",
  // Nor does it ever end this one.
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
    // Time for the server to see it: the socket will never open, nor close.
    await new Promise((resolve) => setTimeout(resolve, 60));
    left.resolve();
    await (await upgraded.promise).done;
    assertEquals((await server.shutdown({ grace: 0 })).forced, 0);
  },
});
