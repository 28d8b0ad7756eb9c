import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, withCancel } from "@curfew/context";
import { converse, type Line } from "../../examples/dns/conversation.ts";
import type { Request } from "../../examples/dns/desk.ts";
import { frame } from "../../examples/dns/wire.ts";
import { query } from "./dns_message.ts";

/** A connection whose client is the test. */
class FakeLine implements Line {
  readonly remoteAddr: Deno.NetAddr = {
    transport: "tcp",
    hostname: "192.0.2.9",
    port: 4242,
  };
  readonly written: Uint8Array[] = [];
  readonly writable = new WritableStream<Uint8Array<ArrayBuffer>>({
    write: (bytes) => void this.written.push(bytes),
  });
  readonly #bytes: number[] = [];
  #end: { error?: unknown } | undefined;
  #news = Promise.withResolvers<void>();

  /** Sends bytes to the service. */
  send(...bytes: number[]): void {
    this.#bytes.push(...bytes);
    this.#news.resolve();
  }

  /** Ends the sending side, or breaks it with an error. */
  end(error?: unknown): void {
    this.#end = error === undefined ? {} : { error };
    this.#news.resolve();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#bytes.length === 0) {
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return null;
      }
      this.#news = Promise.withResolvers();
      await this.#news.promise;
    }
    const piece = this.#bytes.splice(0, buffer.length);
    buffer.set(piece);
    return piece.length;
  }
}

/** A desk that answers each message with its copy when the test says so. */
class FakeDesk {
  readonly requests: Request[] = [];
  #open = Promise.withResolvers<void>();

  constructor(open: boolean) {
    if (open) this.#open.resolve();
  }

  answerAll(): void {
    this.#open.resolve();
  }

  async handle(_ctx: unknown, request: Request): Promise<void> {
    this.requests.push(request);
    await this.#open.promise;
    await request.send(request.message);
  }
}

/** Longer than any sequence of microtasks here needs. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** Tells if a promise has settled. */
function watch(promise: Promise<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const settled = () => state.settled = true;
  promise.then(settled, settled);
  return state;
}

Deno.test("converse() ends if a query is incomplete after its patience, however often a byte arrives", async () => {
  using time = new FakeTime();
  const line = new FakeLine();
  const talk = converse(background(), line, new FakeDesk(true), 1_000);
  const state = watch(talk);
  line.send(0x0f, 0xff);
  for (let ms = 0; ms < 900; ms += 100) {
    line.send(0x61);
    await time.tickAsync(100);
  }
  await time.tickAsync(99);
  assertEquals(state.settled, false);
  await time.tickAsync(1);
  await talk;
});

Deno.test("converse() gives each query the whole patience again", async () => {
  using time = new FakeTime();
  const line = new FakeLine();
  const desk = new FakeDesk(true);
  const talk = converse(background(), line, desk, 1_000);
  const state = watch(talk);
  for (let id = 0; id < 5; id++) {
    await time.tickAsync(999);
    line.send(...frame(query("a", { id })));
    await settle();
  }
  assertEquals([state.settled, desk.requests.length], [false, 5]);
  await time.tickAsync(999);
  assertEquals(state.settled, false);
  await time.tickAsync(1);
  await talk;
  assertEquals(line.written.length, 5);
});

Deno.test("converse() sends the replies in flight before it ends", async () => {
  using time = new FakeTime();
  const line = new FakeLine();
  const desk = new FakeDesk(false);
  const talk = converse(background(), line, desk, 1_000);
  const state = watch(talk);
  line.send(...frame(query("a")), 0);
  await time.tickAsync(2_000);
  assertEquals([state.settled, line.written.length], [false, 0]);
  desk.answerAll();
  await talk;
  assertEquals(line.written, [frame(query("a"))]);
});

Deno.test("converse() ends with the connection, and tells the desk who asked", async () => {
  const line = new FakeLine();
  const desk = new FakeDesk(true);
  line.send(...frame(query("a")), ...frame(query("b")));
  line.end();
  await converse(background(), line, desk, 1_000);
  const { transport, client, message } = desk.requests[1]!;
  assertEquals([transport, client.port], ["tcp", 4242]);
  assertEquals(message, query("b"));
  assertEquals(line.written.length, 2);
});

Deno.test("converse() ends at a query of more than 4,096 bytes", async () => {
  const line = new FakeLine();
  const desk = new FakeDesk(true);
  line.send(...frame(new Uint8Array(4_096)), ...frame(new Uint8Array(4_097)));
  await converse(background(), line, desk, 1_000);
  assertEquals(desk.requests.map(({ message }) => message.length), [4_096]);
});

Deno.test("converse() reads no more once ctx is done", async () => {
  const ctx = withCancel(background());
  const line = new FakeLine();
  const talk = converse(ctx, line, new FakeDesk(true), 1_000);
  await settle();
  ctx.cancel();
  await talk;
});

Deno.test("converse() rejects with the error of a broken connection", async () => {
  const line = new FakeLine();
  const talk = converse(background(), line, new FakeDesk(true), 1_000);
  await settle();
  const error = new Deno.errors.ConnectionReset();
  line.end(error);
  assertEquals(await assertRejects(() => talk), error);
});
