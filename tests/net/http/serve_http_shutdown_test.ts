// Each kind of connection at each moment of the shutdown, and the report. By raw
// TCP: fetch sends a request again that was cut, and hides which bytes came.

import { background, type Context, serveHttp } from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TcpClient } from "../tcp/tcp_client.ts";
import { untilRefused } from "./until_refused.ts";

/**
 * - drain: the server drains, and all requests that can end do so in time.
 * - end: the server drains, and the grace period passes.
 * - close: `shutdown({ grace: 0 })`.
 */
type Moment = "drain" | "end" | "close";

interface Row {
  readonly kind: string;
  readonly moment: Moment;
  /** Sent by the client before the shutdown. */
  readonly sends: string;
  /** Read by the client before the shutdown, up to and including this. */
  readonly reads?: string;
  /** Number of its requests that are in flight then; 0 by default. */
  readonly inFlight?: number;
  /** True if a request on another connection keeps the server from its end. */
  readonly beside?: boolean;
  /** Sent by the client once new connections are refused. */
  readonly sendsLate?: string;
  /** Responses the client got in the end: status, and whether it is whole. */
  readonly sees: readonly string[];
  readonly drained?: number;
  readonly forced?: readonly string[];
  /** Undefined if it depends on the speed of the machine. */
  readonly lingering?: readonly string[];
}

const half = "GET /quick HTTP/1.1\r\nHost: te";
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

/** More than the buffers of both ends of a connection hold. */
const bigSize = 50_000_000;

const table: readonly Row[] = [
  {
    kind: "a request in flight",
    moment: "drain",
    sends: get("/gate"),
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a request in flight",
    moment: "end",
    sends: get("/gate"),
    inFlight: 1,
    sees: ["503 whole"],
    forced: ["GET /gate"],
    lingering: ["GET /gate"],
  },
  {
    kind: "a request in flight",
    moment: "close",
    sends: get("/gate"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
    lingering: ["GET /gate"],
  },
  {
    kind: "an idle connection",
    moment: "drain",
    sends: get("/quick"),
    reads: "quick",
    sees: ["200 whole"],
  },
  {
    kind: "an idle connection with another request",
    moment: "drain",
    sends: get("/quick"),
    reads: "quick",
    beside: true,
    sendsLate: get("/quick"),
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "an idle connection",
    moment: "end",
    sends: get("/quick"),
    reads: "quick",
    beside: true,
    sees: ["200 whole"],
    forced: ["GET /beside"],
    lingering: ["GET /beside"],
  },
  {
    kind: "an idle connection",
    moment: "close",
    sends: get("/quick"),
    reads: "quick",
    sees: ["200 whole"],
  },
  { kind: "a silent connection", moment: "drain", sends: "", sees: [] },
  {
    kind: "a silent connection with its first request",
    moment: "drain",
    sends: "",
    beside: true,
    sendsLate: get("/quick"),
    sees: [],
    drained: 1,
  },
  {
    kind: "a silent connection",
    moment: "end",
    sends: "",
    beside: true,
    sees: [],
    forced: ["GET /beside"],
    lingering: ["GET /beside"],
  },
  { kind: "a silent connection", moment: "close", sends: "", sees: [] },
  { kind: "half a header", moment: "drain", sends: half, sees: [] },
  {
    kind: "half a header with the rest of it",
    moment: "drain",
    sends: half,
    beside: true,
    sendsLate: "st\r\n\r\n",
    sees: [],
    drained: 1,
  },
  {
    kind: "half a header",
    moment: "end",
    sends: half,
    beside: true,
    sees: [],
    forced: ["GET /beside"],
    lingering: ["GET /beside"],
  },
  { kind: "half a header", moment: "close", sends: half, sees: [] },
  // Deno drops the second one. Without an answer, the client may send it again.
  {
    kind: "a pipelined request",
    moment: "drain",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a pipelined request",
    moment: "end",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    sees: ["503 whole"],
    forced: ["GET /gate"],
    lingering: ["GET /gate"],
  },
  {
    kind: "a pipelined request",
    moment: "close",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
    lingering: ["GET /gate"],
  },
  {
    kind: "a streaming body",
    moment: "drain",
    sends: get("/stream"),
    reads: "first",
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a streaming body",
    moment: "end",
    sends: get("/stream"),
    reads: "first",
    inFlight: 1,
    sees: ["200 cut"],
    forced: ["GET /stream"],
  },
  {
    kind: "a streaming body",
    moment: "close",
    sends: get("/stream"),
    reads: "first",
    inFlight: 1,
    sees: ["200 cut"],
    forced: ["GET /stream"],
  },
  {
    kind: "a stuck reader of a stream that reads on",
    moment: "drain",
    sends: get("/endless"),
    reads: "\r\n\r\n",
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  // Deno learns that the stream has ended when the client reads on.
  {
    kind: "a stuck reader of a stream",
    moment: "end",
    sends: get("/endless"),
    reads: "\r\n\r\n",
    inFlight: 1,
    sees: ["200 cut"],
    forced: ["GET /endless"],
    lingering: ["GET /endless"],
  },
  {
    kind: "a stuck reader of a stream",
    moment: "close",
    sends: get("/endless"),
    reads: "\r\n\r\n",
    inFlight: 1,
    sees: ["200 cut"],
    forced: ["GET /endless"],
  },
  // Deno says that bytes have been sent once it has taken them over, however few
  // of them the client has read.
  {
    kind: "a stuck reader of bytes",
    moment: "drain",
    sends: get("/big"),
    reads: "\r\n\r\n",
    sees: ["200 whole"],
    lingering: [],
  },
  {
    kind: "a stuck reader of bytes",
    moment: "end",
    sends: get("/big"),
    reads: "\r\n\r\n",
    beside: true,
    sees: ["200 whole"],
    forced: ["GET /beside"],
    lingering: ["GET /beside"],
  },
  {
    kind: "a stuck reader of bytes",
    moment: "close",
    sends: get("/big"),
    reads: "\r\n\r\n",
    sees: ["200 cut"],
  },
  {
    kind: "a handler that never ends",
    moment: "end",
    sends: get("/never"),
    inFlight: 1,
    sees: ["503 whole"],
    forced: ["GET /never"],
    lingering: ["GET /never"],
  },
  {
    kind: "a handler that never ends",
    moment: "close",
    sends: get("/never"),
    inFlight: 1,
    sees: [],
    forced: ["GET /never"],
    lingering: ["GET /never"],
  },
];

const grace = 1_000;
const options = { hostname: "127.0.0.1", port: 0, grace };

/** The handlers of one server, and what the test knows of them. */
class Site {
  readonly #entered = new Map<string, PromiseWithResolvers<Context>>();
  readonly #released = Promise.withResolvers<void>();
  readonly #besideReleased = Promise.withResolvers<void>();
  /** Lets all end that can. */
  readonly release: () => void = this.#released.resolve;
  readonly releaseBeside: () => void = this.#besideReleased.resolve;

  /** The ctx of the first request for a path, once its handler runs. */
  entered(path: string): Promise<Context> {
    return this.#entry(path).promise;
  }

  readonly handler = async (
    ctx: Context,
    request: Request,
  ): Promise<Response> => {
    const { pathname } = new URL(request.url);
    this.#entry(pathname).resolve(ctx);
    switch (pathname) {
      case "/quick":
        return new Response("quick");
      case "/stream":
        return new Response(this.#stream());
      case "/endless":
        return new Response(this.#endless());
      case "/big":
        return new Response(new Uint8Array(bigSize));
      case "/never":
        return await new Promise(() => {});
      case "/beside":
        await this.#besideReleased.promise;
        return new Response("beside");
      default:
        await this.#released.promise;
        return new Response("late");
    }
  };

  #entry(path: string): PromiseWithResolvers<Context> {
    const known = this.#entered.get(path);
    if (known !== undefined) return known;
    const entry = Promise.withResolvers<Context>();
    this.#entered.set(path, entry);
    return entry;
  }

  /** Goes on until it is released. */
  #endless(): ReadableStream<Uint8Array> {
    let released = false;
    this.#released.promise.then(() => released = true);
    return new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(65_536));
        if (released) controller.close();
      },
    });
  }

  #stream(): ReadableStream<Uint8Array> {
    const released = this.#released.promise;
    const text = new TextEncoder();
    return new ReadableStream({
      start: (controller) => controller.enqueue(text.encode("first")),
      async pull(controller) {
        await released;
        try {
          controller.enqueue(text.encode("last"));
          controller.close();
        } catch {
          // Cut before.
        }
      },
    });
  }
}

/** The responses in what a client has read, such as "200 whole". */
function responsesIn(text: string): string[] {
  const responses: string[] = [];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    assert(end > 0, `half a header: ${rest.slice(0, 200)}`);
    const head = rest.slice(0, end).toLowerCase();
    const status = head.slice("http/1.1 ".length, "http/1.1 ".length + 3);
    const length = head.match(/content-length: (\d+)/);
    const body = end + "\r\n\r\n".length;
    let after = -1;
    if (length !== null) {
      after = body + Number(length[1]);
      if (after > rest.length) after = -1;
    } else {
      const last = rest.indexOf("\r\n0\r\n\r\n", body);
      if (last >= 0) after = last + "\r\n0\r\n\r\n".length;
    }
    responses.push(`${status} ${after < 0 ? "cut" : "whole"}`);
    rest = after < 0 ? "" : rest.slice(after);
  }
  return responses;
}

for (const row of table) {
  const { kind, moment, sends, inFlight = 0, beside = false } = row;
  const { drained = 0, forced = [] } = row;
  const seen = row.sees.length === 0 ? "nothing" : row.sees.join(", ");
  const when = {
    drain: "while the server drains",
    end: "at the end of the grace period",
    close: "at shutdown({ grace: 0 })",
  }[moment];

  Deno.test(`serveHttp() with ${kind}, ${when}: the client sees ${seen}`, async () => {
    using time = new FakeTime();
    const site = new Site();
    const server = serveHttp(background(), options, site.handler);
    using other = beside ? await TcpClient.connect(server.addr) : undefined;
    await other?.get("/beside");
    if (beside) await site.entered("/beside");

    using client = await TcpClient.connect(server.addr);
    await client.write(sends);
    let text = "";
    if (row.reads !== undefined) text += await client.readUntil(row.reads);
    const held = sends.split(" ")[1];
    const ctx = inFlight > 0 ? await site.entered(held!) : undefined;
    // Deno tells of the end of a response a little after the client has read it.
    const waiting = inFlight + (beside ? 1 : 0);
    while (server.inFlight > waiting) {
      await FakeTime.restoreFor(() => new Promise((go) => setTimeout(go)));
    }

    const finished = server.shutdown(moment === "close" ? { grace: 0 } : {});
    if (waiting > 0 && moment !== "close") {
      await untilRefused(server);
      assertEquals(ctx?.err, undefined);
    }
    if (row.sendsLate !== undefined) await client.writeIfOpen(row.sendsLate);
    if (moment === "drain") {
      site.release();
      site.releaseBeside();
    } else if (moment === "end" && waiting > 0) {
      await time.tickAsync(grace - 1);
      assertEquals([ctx?.err, server.inFlight], [undefined, waiting]);
      await time.tickAsync(1);
    }
    // The drain is over when the client has read the response.
    const mustRead = moment === "drain" &&
      (inFlight > 0 || row.reads !== undefined);
    if (mustRead) text += await client.readToEnd();
    const report = await finished;
    if (!mustRead) text += await client.readToEnd();

    assertEquals(responsesIn(text), row.sees);
    assertEquals(
      {
        drained: report.drained,
        forced: report.forced,
        forcedRequests: report.forcedRequests,
      },
      { drained, forced: forced.length, forcedRequests: [...forced] },
    );
    if (row.lingering !== undefined) {
      assertEquals(report.lingering, [...row.lingering]);
    }
    assertEquals(ctx === undefined || ctx.err !== undefined, true);
    assertEquals([server.state, server.ready], ["closed", false]);
    site.release();
    site.releaseBeside();
  });
}

Deno.test("serveHttp() leaves a handler that never ends alone while it drains", async () => {
  using _time = new FakeTime();
  const site = new Site();
  const server = serveHttp(background(), options, site.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/never");
  const ctx = await site.entered("/never");
  server.shutdown();
  await untilRefused(server);
  assertEquals([ctx.err, server.inFlight], [undefined, 1]);
  const report = await server.shutdown({ grace: 0 });
  assertEquals(responsesIn(await client.readToEnd()), ["503 whole"]);
  assertEquals(report.forcedRequests, ["GET /never"]);
});

Deno.test("serveHttp() asks the clients of requests in flight to connect again", async () => {
  const site = new Site();
  const server = serveHttp(background(), options, site.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/gate");
  await site.entered("/gate");
  const finished = server.shutdown();
  await untilRefused(server);
  site.release();
  const reply = (await client.readUntil("late")).toLowerCase();
  assert(reply.includes("connection: close"), reply);
  await finished;
});

Deno.test("serveHttp() ends all kinds of connections at the end of the grace period", async () => {
  using time = new FakeTime();
  const site = new Site();
  const server = serveHttp(background(), options, site.handler);
  const paths = ["/gate", "/stream", "/endless", "/never"];
  const clients: TcpClient[] = [];
  for (const path of paths) {
    const client = await TcpClient.connect(server.addr);
    await client.get(path);
    await site.entered(path);
    clients.push(client);
  }
  for (const bytes of ["", half]) {
    const client = await TcpClient.connect(server.addr);
    await client.write(bytes);
    clients.push(client);
  }
  const finished = server.shutdown();
  await untilRefused(server);
  await time.tickAsync(grace);
  const report = await finished;
  const texts = [];
  for (const client of clients) {
    texts.push(responsesIn(await client.readToEnd()).join());
    client.close();
  }
  assertEquals(texts, [
    "503 whole",
    "200 cut",
    "200 cut",
    "503 whole",
    "",
    "",
  ]);
  assertEquals([report.drained, report.forced], [0, 4]);
  assertEquals(report.forcedRequests, paths.map((path) => `GET ${path}`));
  site.release();
});
