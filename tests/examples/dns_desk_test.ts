import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, type Context } from "@curfew/context";
import { Desk, type Resolve } from "../../examples/dns/desk.ts";
import type { Transport } from "../../examples/dns/upstream.ts";
import { Rcode } from "../../examples/dns/wire.ts";
import { answer, header, query } from "./dns_message.ts";

const client: Deno.NetAddr = {
  transport: "udp",
  hostname: "192.0.2.9",
  port: 4242,
};

/** Answers every query, with `size` bytes of data. */
function answering(size = 4): Resolve {
  return () => ({
    message: answer(query("a"), Array(size).fill(1)),
    from: "server",
  });
}

const failing: Resolve = () => Promise.reject(new Error("no server"));

/** Asks a desk; resolves with its reply, or undefined if it sends none. */
async function ask(
  desk: Desk,
  message: Uint8Array,
  transport: Transport = "udp",
): Promise<Uint8Array | undefined> {
  let reply: Uint8Array | undefined;
  await desk.handle(background(), {
    transport,
    client,
    message,
    send: (message) => {
      reply = message;
      return Promise.resolve();
    },
  });
  return reply;
}

function deskWith(resolve: Resolve, recursive = true): Desk {
  return new Desk({ resolve, recursive, timeout: 4_000 });
}

Deno.test("Desk sends the answer and counts it", async () => {
  const desk = deskWith(answering());
  const reply = await ask(desk, query("a"));
  assertEquals(reply, answer(query("a"), [1, 1, 1, 1]));
  await ask(desk, query("a"), "tcp");
  assertEquals(desk.counts, {
    ...{ udp: 1, tcp: 1, answered: 2, failed: 0, dropped: 0 },
  });
  assertEquals([...desk.replies], [["NOERROR", 2]]);
});

Deno.test("Desk replies SERVFAIL if there is no answer", async () => {
  const desk = deskWith(failing);
  const { rcode, id } = header((await ask(desk, query("a", { id: 7 })))!);
  assertEquals([rcode, id], [Rcode.SERVFAIL, 7]);
  assertEquals(desk.counts, {
    ...{ udp: 1, tcp: 0, answered: 0, failed: 1, dropped: 0 },
  });
  assertEquals([...desk.replies], [["SERVFAIL", 1]]);
});

Deno.test("Desk replies SERVFAIL when the time of the query is over", async () => {
  using time = new FakeTime();
  let ended: Context | undefined;
  const desk = deskWith(async (ctx) => {
    ended = ctx;
    await ctx.done;
    throw ctx.err;
  });
  const asked = ask(desk, query("a"));
  await time.tickAsync(3_999);
  assertEquals(ended?.err, undefined);
  await time.tickAsync(1);
  assertEquals(header((await asked)!).rcode, Rcode.SERVFAIL);
});

Deno.test("Desk replies to a query with a fault itself, and counts it as answered", async () => {
  const desk = deskWith(failing);
  const reply = (await ask(desk, query("a", { flags: 0x1000 })))!;
  assertEquals(header(reply).rcode, Rcode.NOTIMP);
  assertEquals(desk.counts, {
    ...{ udp: 1, tcp: 0, answered: 1, failed: 0, dropped: 0 },
  });
});

for (const recursive of [true, false]) {
  Deno.test(`Desk ${recursive ? "sets" : "leaves"} RA in its own replies if ${recursive ? "it forwards" : "it does not"}`, async () => {
    const desk = deskWith(failing, recursive);
    for (const message of [query("a"), query("a", { flags: 0x1000 })]) {
      const reply = (await ask(desk, message))!;
      assertEquals(header(reply).recursionAvailable, recursive);
    }
  });
}

Deno.test("Desk drops what deserves no reply", async () => {
  const desk = deskWith(answering());
  assertEquals(await ask(desk, answer(query("a"), [1, 1, 1, 1])), undefined);
  assertEquals(desk.counts, {
    ...{ udp: 1, tcp: 0, answered: 0, failed: 0, dropped: 1 },
  });
  assertEquals(desk.replies.size, 0);
});

Deno.test("Desk cuts answers over UDP to the size that the client allows, and none over TCP", async () => {
  const desk = deskWith(answering(600));
  const message = query("a", { udpSize: 600 });
  assertEquals(header((await ask(desk, message))!).truncated, true);
  assertEquals(header((await ask(desk, message, "tcp"))!).truncated, false);
  const large = query("a", { udpSize: 1232 });
  assertEquals(header((await ask(desk, large))!).truncated, false);
});

Deno.test("Desk rejects with the error of a send, and counts the query as failed", async () => {
  const desk = deskWith(answering());
  const error = new Error("unreachable");
  const handled = desk.handle(background(), {
    transport: "udp",
    client,
    message: query("a"),
    send: () => Promise.reject(error),
  });
  assertEquals(await assertRejects(() => handled), error);
  assertEquals(desk.counts, {
    ...{ udp: 1, tcp: 0, answered: 0, failed: 1, dropped: 0 },
  });
  assertEquals(desk.replies.size, 0);
});
