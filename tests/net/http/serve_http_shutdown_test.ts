// What each kind of connection sees when its server ends, and what the report
// says of it. By raw TCP: fetch would send a request that was cut a second time,
// and hide which bytes came.

import {
  background,
  type Context,
  serveHttp,
  type ShutdownReport,
} from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { TcpClient } from "../tcp/tcp_client.ts";

/**
 * - soft: the server is told to end, and all that can end does, in time.
 * - hard: the same, and the grace passes.
 * - close: the two are one, by `shutdown({ grace: 0 })`.
 */
type Moment = "soft" | "hard" | "close";

interface Row {
  readonly kind: string;
  readonly moment: Moment;
  /** What the client has sent before the soft moment. */
  readonly sends: string;
  /** What it reads before the soft moment: up to and with this. */
  readonly reads?: string;
  /** How many of its requests are in flight then; 0 where it is not said. */
  readonly inFlight?: number;
  /** Whether a request on another connection keeps the server from its end. */
  readonly beside?: boolean;
  /** What it sends while the server drains. */
  readonly sendsLate?: string;
  /** What it reads of the answer to that. */
  readonly readsLate?: string;
  /** Each response that it got in the end: its status, and whether it is whole. */
  readonly sees: readonly string[];
  readonly drained?: number;
  readonly refused?: number;
  readonly forced?: readonly string[];
}

const half = "GET /quick HTTP/1.1\r\nHost: te";
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

/** More than the buffers of both ends of a connection hold. */
const bigSize = 50_000_000;

const table: readonly Row[] = [
  {
    kind: "a request in flight",
    moment: "soft",
    sends: get("/gate"),
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a request in flight",
    moment: "hard",
    sends: get("/gate"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
  },
  {
    kind: "a request in flight",
    moment: "close",
    sends: get("/gate"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
  },
  {
    kind: "an idle connection",
    moment: "soft",
    sends: get("/quick"),
    reads: "quick",
    sees: ["200 whole"],
  },
  {
    kind: "an idle connection that asks again",
    moment: "soft",
    sends: get("/quick"),
    reads: "quick",
    beside: true,
    sendsLate: get("/quick"),
    readsLate: "Unavailable\n",
    sees: ["200 whole", "503 whole"],
    drained: 1,
    refused: 1,
  },
  {
    kind: "an idle connection",
    moment: "hard",
    sends: get("/quick"),
    reads: "quick",
    beside: true,
    sees: ["200 whole"],
    forced: ["GET /beside"],
  },
  {
    kind: "an idle connection",
    moment: "close",
    sends: get("/quick"),
    reads: "quick",
    sees: ["200 whole"],
  },
  { kind: "a silent connection", moment: "soft", sends: "", sees: [] },
  {
    kind: "a silent connection that speaks at last",
    moment: "soft",
    sends: "",
    beside: true,
    sendsLate: get("/quick"),
    readsLate: "Unavailable\n",
    sees: ["503 whole"],
    drained: 1,
    refused: 1,
  },
  {
    kind: "a silent connection",
    moment: "hard",
    sends: "",
    beside: true,
    sees: [],
    forced: ["GET /beside"],
  },
  { kind: "a silent connection", moment: "close", sends: "", sees: [] },
  { kind: "half a header", moment: "soft", sends: half, sees: [] },
  {
    kind: "half a header and then the rest",
    moment: "soft",
    sends: half,
    beside: true,
    sendsLate: "st\r\n\r\n",
    readsLate: "Unavailable\n",
    sees: ["503 whole"],
    drained: 1,
    refused: 1,
  },
  {
    kind: "half a header",
    moment: "hard",
    sends: half,
    beside: true,
    sees: [],
    forced: ["GET /beside"],
  },
  { kind: "half a header", moment: "close", sends: half, sees: [] },
  {
    kind: "a pipelined request",
    moment: "soft",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    beside: true,
    readsLate: "Unavailable\n",
    sees: ["200 whole", "503 whole"],
    drained: 2,
    refused: 1,
  },
  {
    kind: "a pipelined request",
    moment: "hard",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
  },
  {
    kind: "a pipelined request",
    moment: "close",
    sends: get("/gate") + get("/quick"),
    inFlight: 1,
    sees: [],
    forced: ["GET /gate"],
  },
  {
    kind: "a streaming body",
    moment: "soft",
    sends: get("/stream"),
    reads: "first",
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a streaming body",
    moment: "hard",
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
    moment: "soft",
    sends: get("/endless"),
    reads: "\r\n\r\n",
    inFlight: 1,
    sees: ["200 whole"],
    drained: 1,
  },
  {
    kind: "a stuck reader of a stream",
    moment: "hard",
    sends: get("/endless"),
    reads: "\r\n\r\n",
    inFlight: 1,
    sees: ["200 cut"],
    forced: ["GET /endless"],
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
  // Deno says that a body which is no stream has been sent once it has taken it
  // over, however little of it the client has read.
  {
    kind: "a stuck reader of bytes that reads on",
    moment: "soft",
    sends: get("/big"),
    reads: "\r\n\r\n",
    sees: ["200 whole"],
  },
  {
    kind: "a stuck reader of bytes",
    moment: "hard",
    sends: get("/big"),
    reads: "\r\n\r\n",
    beside: true,
    sees: ["200 cut"],
    forced: ["GET /beside"],
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
    moment: "hard",
    sends: get("/never"),
    inFlight: 1,
    sees: [],
    forced: ["GET /never"],
  },
  {
    kind: "a handler that never ends",
    moment: "close",
    sends: get("/never"),
    inFlight: 1,
    sees: [],
    forced: ["GET /never"],
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

  /** Goes on until it is told to end. */
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
  const { kind, moment, sends, inFlight = 0 } = row;
  const { drained = 0, refused = 0, forced = [] } = row;
  const seen = row.sees.length === 0 ? "nothing" : row.sees.join(", ");

  Deno.test(`${kind}, at the ${moment} moment: the client sees ${seen}`, async () => {
    using time = new FakeTime();
    const site = new Site();
    const server = serveHttp(background(), options, site.handler);
    using other = row.beside === true
      ? await TcpClient.connect(server.addr)
      : undefined;
    await other?.get("/beside");
    if (other !== undefined) await site.entered("/beside");

    using client = await TcpClient.connect(server.addr);
    await client.write(sends);
    let text = "";
    if (row.reads !== undefined) text += await client.readUntil(row.reads);
    const held = sends.split(" ")[1];
    const ctx = inFlight > 0 ? await site.entered(held!) : undefined;
    // The end of a response is told a little after it was read.
    const waiting = inFlight + (other === undefined ? 0 : 1);
    while (server.inFlight > waiting) {
      await FakeTime.restoreFor(() => new Promise((go) => setTimeout(go)));
    }

    let finished: Promise<ShutdownReport>;
    if (moment === "close") {
      finished = server.shutdown({ grace: 0 });
    } else {
      finished = server.shutdown();
      while (server.state === "serving") await Promise.resolve();
      assertEquals(ctx?.err, undefined);
      if (row.sendsLate !== undefined) await client.write(row.sendsLate);
    }
    if (moment === "soft") site.release();
    if (row.readsLate !== undefined) {
      text += await client.readUntil(row.readsLate);
    }
    if (moment === "soft") {
      site.releaseBeside();
    } else if (moment === "hard") {
      await time.tickAsync(grace - 1);
      assertEquals([ctx?.err, server.inFlight], [undefined, waiting]);
      await time.tickAsync(1);
    }
    // One that is to read on must do so for the server to end.
    if (moment === "soft") text += await client.readToEnd();
    const report = await finished;
    if (moment !== "soft") text += await client.readToEnd();

    assertEquals(responsesIn(text), row.sees);
    assertEquals(
      {
        drained: report.drained,
        refused: report.refused,
        forced: report.forced,
        forcedRequests: report.forcedRequests,
      },
      { drained, refused, forced: forced.length, forcedRequests: [...forced] },
    );
    assertEquals(ctx === undefined || ctx.err !== undefined, true);
    assertEquals([server.state, server.ready], ["closed", false]);
    site.release();
    site.releaseBeside();
  });
}

Deno.test("a handler that never ends, at the soft moment: it is left alone, others get 503", async () => {
  using _time = new FakeTime();
  const site = new Site();
  const server = serveHttp(background(), options, site.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/never");
  const ctx = await site.entered("/never");
  using late = await TcpClient.connect(server.addr);
  server.shutdown();
  while (server.state === "serving") await Promise.resolve();
  await late.get("/late");
  const refusal = await late.readUntil("Unavailable\n");
  assertEquals(responsesIn(refusal), ["503 whole"]);
  assertEquals([ctx.err, server.inFlight], [undefined, 1]);
  const report = await server.shutdown({ grace: 0 });
  assertEquals(await client.readToEnd(), "");
  assertEquals(report.refused, 1);
  assertEquals(report.forcedRequests, ["GET /never"]);
});

Deno.test("a reply to what was in flight at the soft moment asks the client to connect anew", async () => {
  const site = new Site();
  const server = serveHttp(background(), options, site.handler);
  using client = await TcpClient.connect(server.addr);
  await client.get("/gate");
  await site.entered("/gate");
  const finished = server.shutdown();
  site.release();
  const reply = (await client.readUntil("late")).toLowerCase();
  assert(reply.includes("connection: close"), reply);
  await finished;
});

Deno.test("all kinds of connections at once, at the hard moment: all are cut", async () => {
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
  while (server.state === "serving") await Promise.resolve();
  await time.tickAsync(grace);
  const report = await finished;
  const texts = [];
  for (const client of clients) {
    texts.push(responsesIn(await client.readToEnd()));
    client.close();
  }
  assertEquals([texts[0], texts[3], texts[4], texts[5]], [[], [], [], []]);
  assert(!texts.flat().includes("200 whole"));
  assertEquals([report.drained, report.forced], [0, 4]);
  assertEquals(report.forcedRequests, paths.map((path) => `GET ${path}`));
  site.release();
});
