// The service as a process, with real clients and real signals.
//
// The kernel drops UDP packets when its buffer holds a few hundred of them. So the
// tests send as many as surely fit, then wait until /metrics counts them.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async";
// deno-lint-ignore no-import-prefix -- a client for tests only
import { type StatsCb, StatsD } from "npm:hot-shots@17.1.1";
import config from "../../deno.json" with { type: "json" };
import { USAGE } from "../../examples/statsd/options.ts";
import type { Reason } from "../../examples/statsd/parse.ts";
import { hasIpv6 } from "../net/ipv6.ts";
import { Random } from "./statsd_random.ts";
import { runStatsd, StatsdService } from "./statsd_service.ts";

/** Size of the largest datagram, in bytes. */
const MAX_DATAGRAM = 65_507;

const RECEIVED = 'statsd_packets_total{transport="udp"}';
const BYTES = 'statsd_received_bytes_total{transport="udp"}';
const DROPPED = 'statsd_packets_dropped_total{transport="udp"}';

/** Calls a method of the client and waits for its callback. */
function called(method: (callback: StatsCb) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    method((error) => error ? reject(error) : resolve());
  });
}

/** Client of a service; `await using` closes it. */
class Client extends StatsD implements AsyncDisposable {
  constructor(
    { udp }: StatsdService,
    options: { maxBufferSize?: number; telegraf?: boolean } = {},
  ) {
    super({
      host: udp.hostname,
      port: udp.port,
      globalTags: { env: "test" },
      // Independent of the environment of the tests.
      datadog: false,
      includeDataDogTags: false,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await called((callback) => this.close(callback));
  }
}

/** Sends datagrams of any bytes to a service and waits until it has read them. */
class Sender implements Disposable {
  readonly #service: StatsdService;
  readonly #conn = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  sent = 0;

  constructor(service: StatsdService) {
    this.#service = service;
  }

  async send(...datagrams: (string | Uint8Array)[]): Promise<void> {
    for (const data of datagrams) {
      const bytes = typeof data === "string"
        ? new TextEncoder().encode(data)
        : data;
      await this.#conn.send(bytes, this.#service.udp);
      this.sent++;
    }
    await this.#service.reaches(RECEIVED, this.sent);
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/** Tags as the client takes them, and as /metrics shows them. */
const TAGS: [tags: Record<string, string> | string[], labels: string][] = [
  [[], 'env="test"'],
  [{ route: "/a", code: "200" }, 'code="200",env="test",route="/a"'],
  [["url:http://b/", "env:other"], 'env="other",url="http://b/"'],
  [
    { "quoted-key": '"\\"', größe: "ü" },
    'env="test",gr__e="ü",quoted_key="\\"\\\\\\""',
  ],
];

const QUANTILES = [0.5, 0.9, 0.99];

/** Expected /metrics, computed in the simplest way. */
class Model {
  readonly #values = new Map<string, number>();
  readonly #observed = new Map<string, number[]>();
  readonly #members = new Map<string, Set<string>>();
  /** Number of lines by outcome. */
  readonly outcomes = new Map<string, number>();
  lines = 0;

  outcome(what: string): void {
    this.lines++;
    this.outcomes.set(what, (this.outcomes.get(what) ?? 0) + 1);
  }

  add(name: string, labels: string, value: number): void {
    const key = `${name}{${labels}}`;
    this.#values.set(key, (this.#values.get(key) ?? 0) + value);
  }

  set(name: string, labels: string, value: number): void {
    this.#values.set(`${name}{${labels}}`, value);
  }

  /** Adds an observation. The key has a `%` in the place of suffixes such as `_sum`. */
  observe(name: string, labels: string, value: number, times: number): void {
    const key = `${name}%{${labels}}`;
    const values = this.#observed.get(key) ?? [];
    this.#observed.set(key, values);
    for (let i = 0; i < times; i++) values.push(value);
  }

  member(name: string, labels: string, member: string): void {
    const key = `${name}{${labels}}`;
    const members = this.#members.get(key) ?? new Set();
    this.#members.set(key, members.add(member));
  }

  get series(): number {
    return this.#values.size + this.#observed.size + this.#members.size;
  }

  get samples(): Record<string, number> {
    const samples = Object.fromEntries(this.#values);
    for (const [key, members] of this.#members) samples[key] = members.size;
    for (const [key, values] of this.#observed) {
      // Seconds of a timing are rounded once, after the sum.
      const scale = key.startsWith("latency") ? 1000 : 1;
      const sum = values.reduce((sum, value) => sum + value, 0);
      samples[key.replace("%", "_sum")] = sum / scale;
      samples[key.replace("%", "_count")] = values.length;
      values.sort((a, b) => a - b);
      for (const q of QUANTILES) {
        const value = values[Math.ceil(q * values.length) - 1] ?? NaN;
        const quantile = key.replace("%", "").replace("}", `,quantile="${q}"}`);
        samples[quantile] = value / scale;
      }
    }
    return samples;
  }
}

/** Replaces Math.random(), with which the client decides which samples to send. */
class Chance implements Disposable {
  readonly #random = Math.random;
  /** Next result; random if undefined. */
  next: number | undefined;

  constructor() {
    Math.random = () => this.next ?? this.#random();
  }

  [Symbol.dispose](): void {
    Math.random = this.#random;
  }
}

/** Sends metrics and adds them to the model. */
class Traffic implements AsyncDisposable {
  readonly model = new Model();
  readonly #random = new Random();
  readonly #chance = new Chance();
  readonly #client: Client;
  /** Client that writes tags into the name. */
  readonly #telegraf: Client;

  constructor(service: StatsdService) {
    // As much as fits into a packet of an Ethernet.
    const maxBufferSize = 1_432;
    this.#client = new Client(service, { maxBufferSize });
    this.#telegraf = new Client(service, { maxBufferSize, telegraf: true });
  }

  /** Sends what the clients have buffered. */
  async flush(): Promise<void> {
    for (const client of [this.#client, this.#telegraf]) {
      await called((callback) => client.flush(callback));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#chance[Symbol.dispose]();
    await this.#client[Symbol.asyncDispose]();
    await this.#telegraf[Symbol.asyncDispose]();
  }

  /** Sends one metric; twelve numbers in a row stand for all the kinds. */
  send(i: number): void {
    const rate = this.#random.of([1, 1, 0.5, 0.25]);
    const chance = this.#random.below(100) / 100;
    this.#chance.next = chance;
    // The weight of the sample if it is sent.
    this.#send(i % 12, rate, chance < rate ? 1 / rate : 0);
    this.#chance.next = undefined;
  }

  #send(kind: number, rate: number, times: number): void {
    const { model } = this;
    const client = this.#client;
    const [tags, labels] = this.#random.of(TAGS);
    const number = 1 + this.#random.below(1_000);
    switch (kind) {
      case 0:
      case 1: {
        // Tags in the name contain no colon.
        const telegraf = kind === 1 && !labels.includes(":");
        (telegraf ? this.#telegraf : client)
          .increment("requests", number, rate, tags);
        if (times === 0) return;
        model.add("requests", labels, number * times);
        return model.outcome("counter");
      }
      case 2:
        client.increment(["several.names", "at-once"], number, tags);
        for (const name of ["several_names", "at_once"]) {
          model.add(name, labels, number);
          model.outcome("counter");
        }
        return;
      case 3:
        // Counters of Prometheus never decrease.
        client.decrement("requests", number, tags);
        return model.outcome("illegal_negative_counter");
      case 4:
        client.gauge("queue.length", number, tags);
        model.set("queue_length", labels, number);
        return model.outcome("gauge");
      case 5:
        client.gaugeDelta("queue.length", number - 500, tags);
        model.add("queue_length", labels, number - 500);
        return model.outcome("gauge");
      case 6:
        client.timing("latency", number, rate, tags);
        if (times === 0) return;
        model.observe("latency", labels, number, times);
        return model.outcome("timing");
      case 7:
        client.histogram("size", number / 4, rate, tags);
        if (times === 0) return;
        model.observe("size", labels, number / 4, times);
        return model.outcome("timing");
      case 8:
        client.distribution("weight", -number / 8, rate, tags);
        if (times === 0) return;
        model.observe("weight", labels, -number / 8, times);
        return model.outcome("timing");
      case 9: {
        const member = this.#random.of([number, `a:b ${number}`]);
        client.set("users", member, rate, tags);
        if (times === 0) return;
        model.member("users", labels, String(member));
        return model.outcome("set");
      }
      case 10:
        client.event("title", "text", {}, tags);
        return model.outcome("event");
      default:
        client.check("database", client.CHECKS.OK, { message: "up" }, tags);
        return model.outcome("service_check");
    }
  }
}

Deno.test("20,000 metrics of every type from hot-shots add up exactly", async () => {
  await using service = await StatsdService.start();
  await using traffic = new Traffic(service);
  const { model } = traffic;
  for (let i = 0; i < 20_000; i++) {
    traffic.send(i);
    // Some 20 packets.
    if (i % 400 === 399) {
      await traffic.flush();
      await service.reaches("statsd_lines_total", model.lines);
    }
  }

  const samples = await service.scrape();
  const own = new Map<string, number>();
  for (const [name, value] of samples) {
    if (!/^(statsd|process)_/.test(name)) continue;
    own.set(name, value);
    samples.delete(name);
  }
  assertEquals(Object.fromEntries(samples), model.samples);

  const of = (what: string) => model.outcomes.get(what);
  for (const type of ["counter", "gauge", "timing", "set"]) {
    assertEquals(own.get(`statsd_events_total{type="${type}"}`), of(type));
  }
  for (const type of ["event", "service_check"]) {
    assertEquals(
      own.get(`statsd_skipped_lines_total{type="${type}"}`),
      of(type),
    );
  }
  for (const [name, value] of own) {
    if (!name.startsWith("statsd_sample_errors_total")) continue;
    const negative = name.includes('"illegal_negative_counter"');
    assertEquals(value, negative ? of("illegal_negative_counter") : 0, name);
  }
  assertEquals(own.get("statsd_lines_total"), model.lines);
  assertEquals(own.get("statsd_tag_errors_total"), 0);
  assertEquals(own.get("statsd_series"), model.series);
  assertEquals(own.get(DROPPED), 0);

  service.kill("SIGTERM");
  const stopped = await service.stopped();
  assertEquals(stopped.lines, model.lines);
  assertEquals(stopped.samples, own.get("statsd_samples_total"));
  assertEquals(stopped.errors, of("illegal_negative_counter"));
  assertEquals(stopped.series, model.series);
  assertEquals(stopped.udp.received, own.get(RECEIVED));
  assertEquals(stopped.udp.bytes, own.get(BYTES));
});

/** Streams to a service, sends it the signal in between, and asserts that its last
 * line counts everything sent before. */
async function interruptStream(
  signal: Deno.Signal,
  before: number,
  after: number,
): Promise<void> {
  await using service = await StatsdService.start();
  await using client = new Client(service);
  for (let i = 0; i < before; i++) {
    // One series each, so that none can replace a lost one.
    await called((callback) => client.gauge(`before.${i}`, 1, callback));
    // Up to a hundred are still in flight when the signal comes.
    if (i % 100 === 0) await service.reaches("statsd_lines_total", i + 1);
  }
  service.kill(signal);

  let running = true;
  const ended = service.ended.finally(() => running = false);
  let more = 0;
  for (; running && more < after; more++) {
    // The socket may be closed, which is not the client's error.
    await called((callback) => client.increment("after", 1, callback))
      .catch(() => {});
    // Leaves the service some CPU time.
    if (more % 10 === 0) await delay(1);
  }
  await ended;

  const stopped = await service.stopped();
  assertEquals(stopped.why, `AbortError: ${signal} received`);
  const late = stopped.lines - before;
  assert(late >= 0 && late <= more, `${late} of ${more} that came late`);
  assertEquals(stopped.series, before + (late > 0 ? 1 : 0));
  assertEquals(stopped.samples, stopped.lines);
  assertEquals(stopped.errors, 0);
  // An endless stream is cut in the end.
  const { received, failed, dropped } = stopped.udp;
  assertEquals([received - dropped, failed], [stopped.lines, 0]);
  if (after < Infinity) assertEquals(dropped, 0);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} in a stream loses nothing that was sent before it`, async () => {
    const random = new Random();
    // Nothing after the signal, a little, and an endless stream.
    for (const after of [0, 1 + random.below(100), Infinity]) {
      await interruptStream(signal, 1 + random.below(300), after);
    }
  });
}

Deno.test("a service without any traffic ends with zeros in its last line", async () => {
  await using service = await StatsdService.start();
  service.kill("SIGTERM");
  const { why, ...counts } = await service.stopped();
  assertEquals(why, "AbortError: SIGTERM received");
  const none = {
    ...{ received: 0, bytes: 0, failed: 0, dropped: 0 },
    kernelDropped: undefined,
  };
  assertEquals(counts, {
    ...{ lines: 0, samples: 0, errors: 0, series: 0 },
    ...{ udp: none, tcp: none, unixgram: none },
  });
});

Deno.test("a scrape that is in flight at SIGTERM is answered completely", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  // So many long names that the answer fits into no buffer.
  const long = "n".repeat(1_000);
  for (let packet = 0; packet < 30; packet++) {
    const lines = Array.from({ length: 60 }, (_, i) => {
      return `${long}${packet}_${i}:1|g`;
    });
    await sender.send(lines.join("\n"));
  }
  const series = 30 * 60;
  // Unlike fetch(), a socket reads only on request.
  using scrape = await Deno.connect({ port: service.httpPort });
  await scrape.write(new TextEncoder().encode(
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  ));
  const start = new Uint8Array(12);
  await scrape.read(start);
  assertEquals(new TextDecoder().decode(start), "HTTP/1.1 200");
  service.kill("SIGTERM");
  // From now on the service waits only for this client.
  while (!isFree(service.udp)) await delay(2);
  const text = await new Response(scrape.readable).text();
  assertEquals(text.match(/^n+\d+_\d+ 1$/mg)?.length, series);
  const stopped = await service.stopped();
  assertEquals(stopped.series, series);
  assertEquals(stopped.udp.received, sender.sent);
});

/** Tells whether the UDP port is free. */
function isFree({ hostname, port }: Deno.NetAddr): boolean {
  try {
    Deno.listenDatagram({ transport: "udp", hostname, port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** A line for each reason, except one that no datagram can hold. */
const MALFORMED: Record<Exclude<Reason, "line_too_long">, string | Uint8Array> =
  {
    malformed_line: Uint8Array.of(0x61, 0xff, 0x3a, 0x31, 0x7c, 0x63),
    field_too_long: `${"a".repeat(2_000)}:1|c`,
    mixed_tagging_styles: "a,b=c:1|c|#d:e",
    not_enough_parts_after_colon: "a:1",
    invalid_extended_aggregate_type: "a:1:2|c",
    malformed_component: "a:1|c||@1",
    malformed_value: "a:one|c",
    invalid_sample_factor: "a:1|c|one",
    malformed_container_id: "a:1|c|c:",
    malformed_timestamp: "a:1|c|Tone",
    illegal_event: "a:1|x",
  };

/** Asserts that the service answers and counts a good line. */
async function assertServes(
  service: StatsdService,
  sender: Sender,
): Promise<void> {
  const before = await service.sample("good") ?? 0;
  await sender.send("good:2|c");
  assertEquals(await service.sample("good"), before + 2);
  assertEquals(await service.request("/-/healthy"), [200, "healthy\n"]);
  assertEquals(await service.request("/-/ready"), [200, "ready\n"]);
}

Deno.test("malformed lines are counted by reason and change nothing else", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  const before = await service.scrape();
  const reasons = Object.keys(MALFORMED);
  for (const [i, line] of Object.values(MALFORMED).entries()) {
    for (let times = 0; times <= i; times++) await sender.send(line);
  }
  const lines = reasons.length * (reasons.length + 1) / 2;
  const after = await service.scrape();
  const name = (reason: string) =>
    `statsd_sample_errors_total{reason="${reason}"}`;
  for (const [i, reason] of reasons.entries()) {
    assertEquals(after.get(name(reason)), i + 1, reason);
  }
  const counted = new Set([
    RECEIVED,
    BYTES,
    "statsd_lines_total",
    ...reasons.map(name),
  ]);
  for (const [name, value] of after) {
    if (counted.has(name) || name.startsWith("process_")) continue;
    assertEquals(value, before.get(name), name);
  }
  assertEquals(after.get("statsd_lines_total"), lines);
  await assertServes(service, sender);
  service.kill("SIGTERM");
  const stopped = await service.stopped();
  assertEquals(stopped.errors, lines);
  assertEquals(stopped.udp.received, sender.sent);
});

Deno.test("an empty datagram is received and is not a line", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  await sender.send("", new Uint8Array(0), "\n", "\r\n\n");
  assertEquals(await service.sample("statsd_lines_total"), 0);
  await assertServes(service, sender);
  service.kill("SIGTERM");
  const { udp, lines, errors } = await service.stopped();
  assertEquals([udp.received, lines, errors], [5, 1, 0]);
});

Deno.test("a datagram of the largest size is read to its last line", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  const line = "full:1|c\n";
  const lines = Math.floor(MAX_DATAGRAM / line.length);
  const full = line.repeat(lines).padEnd(MAX_DATAGRAM, "\n");
  // The last byte counts.
  const last = "x".repeat(MAX_DATAGRAM - 9) + "\nlast:7|c";
  await sender.send(full);
  await sender.send(last);
  await sender.send("x".repeat(MAX_DATAGRAM));
  const samples = await service.scrape();
  assertEquals(samples.get("full"), lines);
  assertEquals(samples.get("last"), 7);
  assertEquals(samples.get("statsd_lines_total"), lines + 3);
  assertEquals(
    samples.get(BYTES),
    3 * MAX_DATAGRAM,
  );
  await assertServes(service, sender);
});

Deno.test("a megabyte of random bytes leaves the service as it was", async () => {
  const random = new Random();
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  let bytes = 0;
  while (bytes < 1_000_000) {
    const burst = Array.from({ length: 10 }, () => {
      return Uint8Array.from(
        { length: random.below(3_000) },
        () => random.below(256),
      );
    });
    await sender.send(...burst);
    bytes += burst.reduce((sum, { length }) => sum + length, 0);
  }
  const samples = await service.scrape();
  assertEquals(samples.get(BYTES), bytes);
  let errors = 0;
  for (const [name, value] of samples) {
    if (name.startsWith("statsd_sample_errors_total")) errors += value;
  }
  assert(errors > 0);
  await assertServes(service, sender);
  service.kill("SIGTERM");
  const stopped = await service.stopped();
  assertEquals(stopped.udp.received, sender.sent);
  assertEquals([stopped.udp.failed, stopped.udp.dropped], [0, 0]);
});

Deno.test("/metrics is in the text format of Prometheus, version 0.0.4", async () => {
  await using service = await StatsdService.start();
  const response = await fetch(`${service.http}/metrics`);
  const text = await response.text();
  assertEquals(response.status, 200);
  assertEquals(
    response.headers.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  assertStringIncludes(text, "# TYPE statsd_lines_total counter\n");
  assertEquals(await service.request("/metrics", "HEAD"), [200, ""]);
});

Deno.test("/-/healthy and /-/ready are 200, other paths 404", async () => {
  await using service = await StatsdService.start();
  assertEquals(await service.request("/-/healthy"), [200, "healthy\n"]);
  assertEquals(await service.request("/-/ready?x"), [200, "ready\n"]);
  for (
    const [path, method] of [
      ["/index.html", "GET"],
      ["/metrics/", "GET"],
      ["/constructor", "GET"],
    ] as const
  ) {
    const answer = await service.request(path, method);
    assertEquals(answer, [404, "not found\n"], `${method} ${path}`);
  }
});

Deno.test("POST /-/quit does nothing without --lifecycle", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  assertEquals(
    await service.request("/-/quit", "POST"),
    [403, "start with --lifecycle\n"],
  );
  await assertServes(service, sender);
});

/** Sends a request with this Host header and returns the status. */
async function askAs(
  { httpHost, httpPort }: StatsdService,
  host: string,
): Promise<string> {
  using conn = await Deno.connect({ hostname: httpHost, port: httpPort });
  const request = `GET /-/healthy HTTP/1.1\r\nHost: ${host}\r\n` +
    "Connection: close\r\n\r\n";
  await conn.write(new TextEncoder().encode(request));
  return (await new Response(conn.readable).text()).slice(9, 12);
}

for (const spelling of ["LOCALHOST", "127.1", "[0:0:0:0:0:0:0:1]"]) {
  Deno.test({
    name: `bound to ${spelling}, the service answers loopback names only`,
    ignore: spelling.startsWith("[") && !hasIpv6,
    async fn() {
      await using service = await StatsdService.start(
        "--http",
        `${spelling}:0`,
      );
      assertEquals(await askAs(service, "localhost"), "200");
      assertEquals(await askAs(service, "evil.example"), "421");
    },
  });
}

Deno.test("a malformed Host header gets 400 and is not logged", async () => {
  await using service = await StatsdService.start();
  for (const host of ["a b", "["]) {
    assertEquals(await askAs(service, host), "400", host);
  }
  service.kill("SIGTERM");
  const { stdout } = await service.ended;
  assert(!stdout.includes("ERROR"), stdout);
});

Deno.test("POST /-/quit ends a service with --lifecycle", async () => {
  await using service = await StatsdService.start("--lifecycle");
  await using client = new Client(service);
  const lines = 100;
  for (let i = 0; i < lines; i++) {
    await called((callback) => client.increment("a", 1, callback));
  }
  assertEquals(
    await service.request("/-/quit", "POST"),
    [200, "stopping\n"],
  );
  const stopped = await service.stopped();
  assertEquals(stopped.why, "quit over HTTP");
  assertEquals([stopped.lines, stopped.udp.received], [lines, lines]);
});

Deno.test("a port in use is named, and the service exits with 1", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  const udp = String(service.udp.port);
  const http = String(service.httpPort);
  const [noUdp, noHttp] = await Promise.all([
    runStatsd("--udp", udp, "--http", "0"),
    runStatsd("--udp", "0", "--http", http),
  ]);
  assertEquals([noUdp.code, noUdp.stdout], [1, ""]);
  assertStringIncludes(noUdp.stderr, `--udp 127.0.0.1:${udp}: it is in use`);
  assertEquals([noHttp.code, noHttp.stdout], [1, ""]);
  assertStringIncludes(noHttp.stderr, `--http 127.0.0.1:${http}: it is in use`);
  await assertServes(service, sender);
});

Deno.test("--help prints the usage", async () => {
  assertEquals(
    await runStatsd("--help"),
    { code: 0, stdout: `${USAGE}\n`, stderr: "" },
  );
});

Deno.test("--version prints the version of the package", async () => {
  assertEquals(
    await runStatsd("--version"),
    { code: 0, stdout: `statsd ${config.version}\n`, stderr: "" },
  );
});

Deno.test("--udp, --tcp and --http take :PORT, which listens on every address", async () => {
  await using service = await StatsdService.start(
    ...["--udp", ":0", "--tcp", ":0", "--http", ":0"],
  );
  const { udp, tcp, httpHost } = service;
  assertEquals(
    [udp.hostname, tcp.hostname, httpHost],
    Array(3).fill("0.0.0.0"),
  );
  assertEquals(await askAs(service, "metrics.example"), "200");
});

/** Asserts that none of the bytes can drive a terminal. */
function assertPrintable(text: string): void {
  // deno-lint-ignore no-control-regex -- exactly these must not be there
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(text), JSON.stringify(text));
}

Deno.test("--log-level debug logs refusals by name before the last line", async () => {
  await using service = await StatsdService.start("--log-level", "debug");
  using sender = new Sender(service);
  const name = "zuul.geard.packet.GRAB_JOB_UNIQ";
  await sender.send(
    `${name}:0|ms\n${name}:1|c`,
    "page.load:fast|ms\npage.views:1|q\npage.clicks",
    "esc\x1b[31m:1|q",
  );
  service.kill("SIGTERM");
  const { stdout } = await service.ended;
  for (
    const refusal of [
      `${name} (kind_conflict: zuul_geard_packet_GRAB_JOB_UNIQ is a timing)`,
      "page.load (malformed_value)",
      "page.views (illegal_event)",
      "page.clicks (malformed_line)",
      "esc\\u{1b}[31m (illegal_event)",
    ]
  ) assertStringIncludes(stdout, ` DEBUG refused ${refusal}: `);
  assertPrintable(stdout);
  assertStringIncludes(stdout.trimEnd().split("\n").at(-1)!, " INFO stopped (");
});

Deno.test("--tag-style dogstatsd leaves brackets in names", async () => {
  const lines = [1, 2].map((i) =>
    `envoy.listener.[__${i}]_8080.downstream_cx_total:1|c`
  ).join("\n");
  const counters: Record<string, string[]> = {
    "dogstatsd": [
      "envoy_listener____1__8080_downstream_cx_total 1",
      "envoy_listener____2__8080_downstream_cx_total 1",
    ],
    "dogstatsd,influxdb,librato,signalfx": [
      "envoy_listener__8080_downstream_cx_total 2",
    ],
  };
  for (const [styles, expected] of Object.entries(counters)) {
    await using service = await StatsdService.start(
      ...["--tag-style", styles, "--tcp", "0"],
    );
    using sender = new Sender(service);
    await sender.send(lines);
    const [, text] = await service.request("/metrics");
    assertEquals(text.match(/^envoy.*$/gm), expected);
    const errors = expected.length === 2 ? 0 : 2;
    assertStringIncludes(text, `\nstatsd_tag_errors_total ${errors}\n`);
    // Lines over TCP are read in the same style.
    using conn = await Deno.connect(service.tcp);
    await conn.write(new TextEncoder().encode(`${lines}\n`));
    await service.reaches(expected[0]!.split(" ")[0]!, 4 / expected.length);
  }
});

Deno.test("control characters from clients leave neither /metrics nor /events", async () => {
  await using service = await StatsdService.start();
  using sender = new Sender(service);
  await sender.send(
    "esc\x1b[31mname:1|c\ncolors:1|c|#color:\x1b[31mred",
    "esc\x1b]0;owned\x07:1|q\nc1:1|c|#x:\u009b31m\n\u009b31m:x|c",
  );
  const text = await (await fetch(`${service.http}/metrics`)).text();
  assertPrintable(text);
  assertStringIncludes(text, "\nesc__31mname 1\n");
  const { body } = await fetch(`${service.http}/events`);
  const reader = body!.getReader();
  const { value } = await reader.read();
  assertPrintable(new TextDecoder().decode(value));
  await reader.cancel();
});

Deno.test("one line names the flag and the reason if the service cannot listen", async () => {
  const directory = await Deno.makeTempDir();
  const free = ["--udp", "0", "--http", "0"];
  const runs: [args: string[], stderr: string][] = [
    [
      ["--udp", "192.0.2.1:0", "--http", "0"],
      "--udp 192.0.2.1:0: 192.0.2.1 is not an address of this machine",
    ],
    [["--udp", "1.2.3.4.5:1", "--http", "0"], "--udp 1.2.3.4.5:1: "],
    [["--udp", "0", "--http", "1.2.3.4.5:80"], "--http 1.2.3.4.5:80: "],
    [[...free, "--tcp", "1.2.3.4.5:1"], "--tcp 1.2.3.4.5:1: "],
    [
      [...free, "--unixgram", directory],
      `--unixgram ${directory}: it is in use`,
    ],
    [
      [...free, "--unixgram", `${directory}/none/a.sock`],
      `--unixgram ${directory}/none/a.sock: there is no such directory`,
    ],
    [
      [...free, "--unixgram", `${directory}/${"a".repeat(120)}`],
      "path must be shorter",
    ],
  ];
  for (const [args, stderr] of runs) {
    const ended = await runStatsd(...args);
    assertEquals([ended.code, ended.stdout], [1, ""]);
    assertStringIncludes(ended.stderr, stderr);
    assertEquals(ended.stderr.trimEnd().split("\n").length, 1, ended.stderr);
    assert(ended.stderr.startsWith("statsd: --"), ended.stderr);
  }
  await Deno.remove(directory);
});

Deno.test("wrong arguments exit with 2 and are named on stderr", async () => {
  const runs: [args: string[], stderr: string][] = [
    [["--udb", "1"], 'statsd: unknown argument "--udb"; '],
    [["--udp", "0", "--http", "65536"], "statsd: --http must be PORT"],
  ];
  await Promise.all(runs.map(async ([args, stderr]) => {
    const ended = await runStatsd(...args);
    assertEquals([ended.code, ended.stdout], [2, ""]);
    assertStringIncludes(ended.stderr, stderr);
    // One line for the user, no stack.
    assertEquals(ended.stderr.trimEnd().split("\n").length, 1);
  }));
});
