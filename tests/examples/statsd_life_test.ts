// The service in this process, where the clock can be set and the log be read.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  background,
  type CancelableContext,
  withCancel,
} from "@curfew/context";
import { BaseHandler, type LogRecord, setup } from "@std/log";
import { FakeTime } from "@std/testing/time";
import { Aggregate } from "../../examples/statsd/aggregate.ts";
import { SocketFailed } from "../../examples/statsd/intake.ts";
import { graceOf, serve } from "../../examples/statsd/main.ts";
import { readOptions } from "../../examples/statsd/options.ts";
import { MAX_VIEWERS, Monitor } from "../../examples/statsd/page.ts";

/** Keeps the log. */
class Kept extends BaseHandler {
  readonly records: string[] = [];

  constructor() {
    super("INFO");
  }

  override handle({ levelName, msg }: LogRecord): void {
    this.records.push(`${levelName} ${msg}`);
  }

  override log(): void {}
}

/** The running service; `await using` ends it, if it has not ended. */
class Life implements AsyncDisposable {
  readonly ctx: CancelableContext = withCancel(background());
  readonly ended: Promise<void>;
  readonly log = new Kept();
  readonly #time = new FakeTime();
  readonly #listening = Promise.withResolvers<[url: string, udp: number]>();
  readonly #socket = Deno.listenDatagram({
    ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
  });
  url = "";
  #udp = 0;

  /** The sockets that it has opened. */
  readonly sockets: Deno.DatagramConn[] = [];

  private constructor(flags: string[]) {
    setup({
      handlers: { kept: this.log },
      loggers: { default: { level: "INFO", handlers: ["kept"] } },
    });
    const options = readOptions(["--udp", "0", "--http", "0", ...flags]);
    const { listenDatagram } = Deno;
    Deno.listenDatagram = (options) => {
      const socket = listenDatagram(
        options as Deno.UdpListenOptions & { transport: "udp" },
      );
      this.sockets.push(socket);
      return socket;
    };
    this.ended = serve(
      this.ctx,
      options,
      (url, [udp]) =>
        this.#listening.resolve([url, Number(udp!.at.split(":")[1])]),
    );
    Deno.listenDatagram = listenDatagram;
    // Whoever waits for it is told.
    this.ended.catch(() => {});
  }

  static async start(...flags: string[]): Promise<Life> {
    const life = new Life(flags);
    [life.url, life.#udp] = await life.#listening.promise;
    return life;
  }

  /** Sets the clock forward, in steps that miss no second. */
  async pass(ms: number): Promise<void> {
    for (; ms > 0; ms -= 1_000) await this.#time.tickAsync(Math.min(ms, 1_000));
  }

  async ask(path: string): Promise<[status: number, text: string]> {
    const response = await fetch(this.url + path);
    return [response.status, await response.text()];
  }

  /** Sends lines, and waits until all sent so far are counted. */
  async send(count: number, ...lines: string[]): Promise<void> {
    const to: Deno.NetAddr = {
      ...{ transport: "udp", hostname: "127.0.0.1", port: this.#udp },
    };
    for (const line of lines) {
      await this.#socket.send(new TextEncoder().encode(line), to);
    }
    for (;;) {
      const [, text] = await this.ask("/metrics");
      if (text.includes(`\nstatsd_lines_total ${count}\n`)) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ctx.cancel();
    this.#time.restore();
    await Promise.allSettled([this.ended]);
    this.#socket.close();
  }
}

Deno.test("a lame duck is not ready, takes lines and answers scrapes until it is over", async () => {
  await using life = await Life.start("--lame-duck", "5");
  await life.send(1, "a:1|c");
  life.ctx.cancel("enough");
  await life.pass(4_900);
  assertEquals(await life.ask("/-/ready"), [503, "stopping\n"]);
  assertEquals(await life.ask("/-/healthy"), [200, "healthy\n"]);
  await life.send(2, "a:1|c");
  const { body } = await fetch(`${life.url}/events`);
  const events = eventsOf(body!);
  assertEquals((await events.next()).value.phase, "lame duck");
  await events.return(undefined);
  await life.pass(100);
  await life.ended;
  assertMatch(
    life.log.records.at(-1)!,
    /^INFO stopped \(enough\): 2 lines, 2 samples, 0 errors, 1 series; udp /,
  );
});

Deno.test("ends in less time than the README has others give it", async () => {
  const readme = await Deno.readTextFile(
    new URL("../../examples/statsd/README.md", import.meta.url),
  );
  const seconds = readme.matchAll(
    /(?:TimeoutStopSec=|terminationGracePeriodSeconds: )(\d+)/g,
  );
  const grace = graceOf(readOptions(["--lame-duck", "5"]));
  const given = Array.from(seconds, ([, text]) => Number(text) * 1000);
  assertEquals(given.length, 2);
  for (const ms of given) assert(grace < ms, `${grace} of ${ms} ms`);
});

Deno.test("a service whose socket has failed ends, and says which", async () => {
  await using life = await Life.start();
  for (const socket of life.sockets) socket.close();
  await assertRejects(
    () => life.ended,
    SocketFailed,
    "the socket of udp has failed",
  );
  assert(life.log.records.some((record) => record.startsWith("ERROR udp: ")));
});

Deno.test("a series is gone once nobody has written to it for its time to live", async () => {
  await using life = await Life.start("--ttl", "100");
  await life.send(2, "old:1|g", "kept:1|g");
  const has = async (name: string) =>
    (await life.ask("/metrics"))[1].includes(`\n${name} 1\n`);
  await life.pass(60_000);
  await life.send(3, "kept:1|g");
  await life.pass(39_000);
  assertEquals([await has("old"), await has("kept")], [true, true]);
  await life.pass(21_000);
  assertEquals([await has("old"), await has("kept")], [false, true]);
  assert((await life.ask("/metrics"))[1].includes("\nstatsd_series 1\n"));
});

Deno.test("series that are refused are logged once a minute", async () => {
  await using life = await Life.start("--max-series", "1");
  const warnings = () =>
    life.log.records.filter((record) => record.startsWith("WARN"));
  await life.send(3, "a:1|g\nb:1|g\nc:1|g");
  await life.pass(1_000);
  await life.send(4, "d:1|g");
  await life.pass(58_000);
  assertEquals(warnings().length, 1);
  assertMatch(warnings()[0]!, /^WARN refused 2 samples of new series: /);
  await life.pass(3_000);
  assertEquals(warnings().length, 2);
  assertMatch(warnings()[1]!, /^WARN refused 1 samples of new series: /);
  await life.pass(300_000);
  assertEquals(warnings().length, 2);
});

Deno.test("a stream of events tells of every second, and says goodbye", async () => {
  await using life = await Life.start();
  const response = await fetch(`${life.url}/events`);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const events = eventsOf(response.body!);
  assertEquals((await events.next()).value.rates, []);
  await life.send(2, "a:1|c", "b:1|c");
  await life.pass(1_000);
  const { phase, rates, busiest } = (await events.next()).value;
  assertEquals([phase, rates, busiest.length], ["serving", [2], 2]);
  life.ctx.cancel("enough");
  const phases: string[] = [];
  for await (const { phase } of events) phases.push(phase);
  assertEquals([...new Set(phases)], ["draining", "gone"]);
});

/** The data of a stream of events. */
async function* eventsOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  // deno-lint-ignore no-explicit-any
): AsyncGenerator<any> {
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) yield JSON.parse(event.slice("data: ".length));
  }
}

Deno.test("nothing piles up for a page that does not read", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const monitor = new Monitor(ctx, ctx, new Aggregate(), []);
  const watching = monitor.watch(ctx);
  const page = monitor.events(ctx);
  for (let second = 0; second < 100; second++) await time.tickAsync(1_000);
  ctx.cancel();
  await watching;
  const phases: string[] = [];
  for await (const { phase } of eventsOf(page.body!)) phases.push(phase);
  assertEquals(phases, [...Array(4).fill("serving"), "gone"]);
});

Deno.test("so many pages and no more may be open, and one that is closed makes room", async () => {
  using ctx = withCancel(background());
  const monitor = new Monitor(ctx, ctx, new Aggregate(), []);
  const pages = Array.from({ length: MAX_VIEWERS }, () => monitor.events(ctx));
  const refused = monitor.events(ctx);
  assertEquals([pages.at(-1)?.status, refused.status], [200, 503]);
  await refused.body?.cancel();
  await pages[0]?.body?.cancel();
  const next = monitor.events(ctx);
  assertEquals(next.status, 200);
  for (const page of [...pages.slice(1), next]) await page.body?.cancel();
});

Deno.test("a page hears at once of each step to the end", async () => {
  using ctx = withCancel(background());
  using open = withCancel(background());
  using http = withCancel(background());
  const events = eventsOf(
    new Monitor(ctx, open, new Aggregate(), []).events(http).body!,
  );
  const phase = async () => (await events.next()).value.phase;
  assertEquals(await phase(), "serving");
  ctx.cancel();
  assertEquals(await phase(), "lame duck");
  open.cancel();
  assertEquals(await phase(), "draining");
  http.cancel();
  assertEquals(await phase(), "gone");
});
