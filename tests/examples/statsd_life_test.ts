// The service in the process of the test, with a fake clock and a log to read.

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

/** Collects the log. */
class Kept extends BaseHandler {
  readonly records: string[] = [];

  constructor() {
    super("DEBUG");
  }

  override handle({ levelName, msg }: LogRecord): void {
    this.records.push(`${levelName} ${msg}`);
  }

  override log(): void {}
}

/** Running service; `await using` ends it. */
class Life implements AsyncDisposable {
  readonly ctx: CancelableContext = withCancel(background());
  readonly ended: Promise<unknown>;
  readonly log = new Kept();
  readonly #time = new FakeTime();
  readonly #listening = Promise.withResolvers<[url: string, udp: number]>();
  readonly #socket = Deno.listenDatagram({
    ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
  });
  url = "";
  #udp = 0;

  /** UDP sockets of the service. */
  readonly sockets: Deno.DatagramConn[] = [];

  private constructor(flags: string[]) {
    const options = readOptions(["--udp", "0", "--http", "0", ...flags]);
    const level = options.logLevel === "debug" ? "DEBUG" : "INFO";
    setup({
      handlers: { kept: this.log },
      loggers: { default: { level, handlers: ["kept"] } },
    });
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
    // The tests that expect a failure look at it later.
    this.ended.catch(() => {});
  }

  static async start(...flags: string[]): Promise<Life> {
    const life = new Life(flags);
    [life.url, life.#udp] = await life.#listening.promise;
    return life;
  }

  /** Advances the clock in steps of at most a second. */
  async pass(ms: number): Promise<void> {
    for (; ms > 0; ms -= 1_000) await this.#time.tickAsync(Math.min(ms, 1_000));
  }

  async ask(path: string): Promise<[status: number, text: string]> {
    const response = await fetch(this.url + path);
    return [response.status, await response.text()];
  }

  /** Sends lines and waits until `count` lines in all are counted. */
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

Deno.test("the service takes lines and answers scrapes during the lame duck, but is not ready", async () => {
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

Deno.test("the service ends within the stop timeouts of the README", async () => {
  const readme = await Deno.readTextFile(
    new URL("../../examples/statsd/README.md", import.meta.url),
  );
  const seconds = readme.matchAll(
    /(?:TimeoutStopSec=|terminationGracePeriodSeconds: )(\d+)/g,
  );
  const grace = graceOf(readOptions(["--lame-duck", "5"]));
  const given = Array.from(seconds, ([, text]) => Number(text) * 1000);
  assert(given.length >= 2);
  for (const ms of given) assert(grace < ms, `${grace} of ${ms} ms`);
});

Deno.test("the service ends with an error that names a socket that failed", async () => {
  await using life = await Life.start();
  for (const socket of life.sockets) socket.close();
  await assertRejects(
    () => life.ended,
    SocketFailed,
    "the socket of udp has failed",
  );
  assert(life.log.records.some((record) => record.startsWith("ERROR udp: ")));
});

Deno.test("a series without samples is removed after --ttl", async () => {
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

Deno.test("refused series are logged once a minute", async () => {
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

Deno.test("/events sends the state every second, and a last one at the end", async () => {
  await using life = await Life.start();
  const response = await fetch(`${life.url}/events`);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const events = eventsOf(response.body!);
  const first = (await events.next()).value;
  assertEquals([first.rates, first.busiest], [[], null]);
  // The first second with a viewer only starts the measurement.
  await life.pass(1_000);
  const second = (await events.next()).value;
  assertEquals([second.rates, second.busiest], [[0], null]);
  await life.send(3, "a:1|c", "b:1|c", "c");
  await life.pass(1_000);
  const { phase, rates, busiest, refused } = (await events.next()).value;
  assertEquals([phase, rates, busiest.length], ["serving", [0, 3], 2]);
  assertEquals(refused.map(({ name }: { name: string }) => name), ["c"]);
  life.ctx.cancel("enough");
  const phases: string[] = [];
  for await (const { phase } of events) phases.push(phase);
  assertEquals([...new Set(phases)], ["draining", "gone"]);
});

Deno.test("the first event has no busiest series after traffic without a viewer", async () => {
  await using life = await Life.start();
  await life.send(2, "a:1|c", "a:1|c");
  await life.pass(3_000);
  const first = await firstEvent(life);
  assertEquals([first.rates.at(-1), first.busiest], [0, null]);
});

Deno.test("the first event of a new viewer has no busiest series of an earlier one", async () => {
  await using life = await Life.start();
  const { body } = await fetch(`${life.url}/events`);
  const events = eventsOf(body!);
  await life.pass(1_000);
  await life.send(1, "a:1|c");
  await life.pass(1_000);
  let { busiest } = (await events.next()).value;
  while (busiest === null) busiest = (await events.next()).value.busiest;
  assertEquals(busiest.length, 1);
  await events.return(undefined);
  for (;;) {
    await life.pass(1_000);
    const first = await firstEvent(life);
    if (first.busiest !== null) continue; // The first viewer is still leaving.
    assertEquals(first.rates.at(-1), 0);
    break;
  }
});

/** Returns the first event of a new viewer. */
// deno-lint-ignore no-explicit-any
async function firstEvent(life: Life): Promise<any> {
  const { body } = await fetch(`${life.url}/events`);
  const events = eventsOf(body!);
  const { value } = await events.next();
  await events.return(undefined);
  return value;
}

const debugLines = ({ log }: Life) =>
  log.records.filter((record) => record.startsWith("DEBUG"));

Deno.test("--log-level debug logs refusals by name, at most ten per second", async () => {
  await using life = await Life.start("--log-level", "debug");
  await life.send(5, "a:0|ms\na:1|c\na:2|c\nb\x1b:1|q\nok:1|c|#bad");
  await life.pass(1_000);
  assertEquals(debugLines(life), [
    "DEBUG refused a (kind_conflict: a is a timing), 2 times: a:2|c",
    "DEBUG refused b\\u{1b} (illegal_event): b\\u{1b}:1|q",
    'DEBUG refused ok (tag_error: not KEY:VALUE: "bad"): ok:1|c|#bad',
  ]);
  const flood = Array.from({ length: 25 }, (_, i) => `n${i}:1|q`);
  await life.send(30, flood.join("\n"));
  await life.pass(1_000);
  const flooded = debugLines(life).slice(3);
  assertEquals(flooded.length, 11);
  assertEquals(flooded[0], "DEBUG refused n15 (illegal_event): n15:1|q");
  assertEquals(flooded.at(-1), "DEBUG refused 15 others");
  await life.pass(5_000);
  assertEquals(debugLines(life).length, 14);
});

Deno.test("--log-level debug logs the refusals of the last second before the last line", async () => {
  await using life = await Life.start("--log-level", "debug");
  await life.send(1, "late:1|q");
  life.ctx.cancel("enough");
  await life.ended;
  const [refused, stopped] = life.log.records.slice(-2);
  assertEquals(refused, "DEBUG refused late (illegal_event): late:1|q");
  assertMatch(stopped!, /^INFO stopped \(enough\): 1 lines/);
});

Deno.test("the log names no refusals by default", async () => {
  await using life = await Life.start();
  await life.send(1, "a:1|q");
  await life.pass(5_000);
  life.ctx.cancel();
  await life.ended;
  assertEquals(life.log.records.length, 2);
});

/** Yields the data of a stream of events. */
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

Deno.test("no events pile up for a page that does not read", async () => {
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

Deno.test("MAX_VIEWERS pages may be open, and one that is closed makes room", async () => {
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

Deno.test("/events sends each change of phase at once", async () => {
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
