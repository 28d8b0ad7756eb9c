// Several gateways behind one Prometheus: what adds up, and what one that stops in
// mid-stream leaves behind.

import { assert, assertEquals } from "@std/assert";
// deno-lint-ignore no-import-prefix -- a client for tests only
import { StatsD } from "npm:hot-shots@17.1.1";
import { Prometheus, prometheus } from "./prometheus.ts";
import { StatsdService } from "./statsd_service.ts";

/** Returns the scrape configuration of the README for these targets, with a short
 * interval. */
async function scrapeConfig(targets: string[]): Promise<string> {
  const readme = await Deno.readTextFile(
    new URL("../../examples/statsd/README.md", import.meta.url),
  );
  const [, config] = /```yaml\n(scrape_configs:\n[^]*?)```/.exec(readme) ?? [];
  const list = targets.map((target) => JSON.stringify(target)).join(", ");
  return "global: { scrape_interval: 250ms }\n" + config!
    .replace(/targets: \[[^\]]*\]/, `targets: [${list}]`)
    .replace(/scrape_interval: .*/, "scrape_interval: 250ms");
}

/** A gateway with a client of its own, and what was sent to it. */
class Gateway implements AsyncDisposable {
  readonly service: StatsdService;
  readonly #client: StatsD;
  lines = 0;
  counted = 0;
  /** Number of timings up to 100 ms. */
  fast = 0;
  timings = 0;

  private constructor(service: StatsdService) {
    this.service = service;
    this.#client = new StatsD({
      ...{ host: service.udp.hostname, port: service.udp.port },
      ...{ datadog: false, includeDataDogTags: false, maxBufferSize: 1_432 },
    });
  }

  static async start(...flags: string[]): Promise<Gateway> {
    return new Gateway(await StatsdService.start(...flags));
  }

  get target(): string {
    return this.service.http.slice("http://".length);
  }

  /** Sends three lines. */
  send(i: number): void {
    this.#client.increment("requests_total", 2, { route: `/${i % 7}` });
    this.#client.increment("hits");
    this.#client.timing("latency", i % 200);
    this.lines += 3;
    this.counted += 2;
    this.timings++;
    if (i % 200 <= 100) this.fast++;
  }

  async flush(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#client.flush((error) => error ? reject(error) : resolve())
    );
  }

  async isReady(): Promise<boolean> {
    const [status] = await this.service.request("/-/ready");
    return status === 200;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#client.close(() => resolve()));
    await this.service[Symbol.asyncDispose]();
  }
}

const LINES = 300_000;
/** Lines per gateway between two looks, which fit into the receive buffer. */
const BATCH = 1_500;

Deno.test({
  name:
    "300,000 lines add up in Prometheus over three gateways, one of which is stopped",
  ignore: prometheus === undefined,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const gateways: Gateway[] = [];
    for (let i = 0; i < 3; i++) {
      gateways.push(stack.use(
        await Gateway.start("--buckets", "0.05,0.1,1", "--lame-duck", "1"),
      ));
    }
    const targets = gateways.map(({ target }) => target);
    const server = stack.use(
      await Prometheus.start(await scrapeConfig(targets)),
    );
    const stopped = gateways[1]!;
    const sent = () => gateways.reduce((sum, { lines }) => sum + lines, 0);

    let ready = gateways;
    let stopping = false;
    for (let i = 0; sent() < LINES;) {
      for (const gateway of ready) {
        const end = Math.min(BATCH, LINES - sent());
        for (let lines = 0; lines < end; lines += 3) gateway.send(i++);
        await gateway.flush();
      }
      if (!stopping && sent() >= LINES / 2) {
        // Its last batch is still in flight.
        stopped.service.kill("SIGTERM");
        stopping = true;
      }
      if (stopping && ready.includes(stopped) && !await stopped.isReady()) {
        // A load balancer does the same. The lame duck takes what came meanwhile.
        ready = gateways.filter((gateway) => gateway !== stopped);
      }
      for (const { service, lines } of ready) {
        await service.reaches("statsd_lines_total", lines);
      }
    }

    const last = await stopped.service.stopped();
    assertEquals(sent(), LINES);
    assertEquals(last.lines, stopped.lines);
    assert(last.lines > 0 && last.lines < LINES / 2, `${last.lines} lines`);
    const expected = LINES - last.lines;
    await server.reaches("sum(statsd_lines_total)", expected);
    assertEquals(await server.value("count(up == 1)"), 2);

    const sum = (field: "counted" | "fast" | "timings") =>
      ready.reduce((sum, gateway) => sum + gateway[field], 0);
    for (
      const [query, value] of [
        ["sum without (instance, route) (requests_total)", sum("counted")],
        ["sum without (instance) (hits)", sum("timings")],
        ["sum without (instance) (latency_count)", sum("timings")],
        ['sum without (instance) (latency_bucket{le="0.1"})', sum("fast")],
        ['sum without (instance) (latency_bucket{le="+Inf"})', sum("timings")],
      ] as const
    ) assertEquals(await server.value(query), value, query);
  },
});

Deno.test({
  name:
    "native histograms of two gateways add up in Prometheus, quantiles included",
  ignore: prometheus === undefined,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const gateways: Gateway[] = [];
    for (let i = 0; i < 2; i++) {
      gateways.push(stack.use(await Gateway.start("--buckets", "native")));
    }
    const server = stack.use(
      await Prometheus.start(
        await scrapeConfig(gateways.map(({ target }) => target)),
        "--enable-feature=native-histograms",
      ),
    );
    // The first takes the fast half, the second the slow one.
    for (let i = 0; i < 200; i++) gateways[i < 100 ? 0 : 1]!.send(i);
    for (const gateway of gateways) await gateway.flush();
    const all = "sum without (instance) (latency)";
    await server.reaches(`histogram_count(${all})`, 200);
    assertEquals(await server.value(`histogram_sum(${all})`), 19.9);
    for (const quantile of [0.25, 0.5, 0.9]) {
      const query = `histogram_quantile(${quantile}, ${all})`;
      const value = await server.value(query);
      // A bucket is 9 % wide.
      const exact = 0.2 * quantile;
      assert(Math.abs(value! / exact - 1) < 0.09, `${query} is ${value}`);
    }
    // The other metrics are in the same messages.
    assertEquals(await server.value("sum(hits)"), 200);
    assertEquals(await server.value("sum(statsd_lines_total)"), 600);
  },
});
