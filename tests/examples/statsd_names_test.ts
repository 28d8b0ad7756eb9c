// Names of metrics: two names that were sent never meet, and no sample is refused for
// a name that is not exposed, in whatever order they arrive.

import { assert, assertEquals } from "@std/assert";
import { Aggregate } from "../../examples/statsd/aggregate.ts";
import {
  expose,
  type Family,
  type Format,
  legalName,
} from "../../examples/statsd/expose.ts";
import { parsePacket } from "../../examples/statsd/parse.ts";
import { ownFamilies } from "../../examples/statsd/telemetry.ts";
import { inPath } from "./in_path.ts";
import { pythonWith, runPython } from "./python.ts";
import { Random } from "./statsd_random.ts";

const FORMATS = ["text", "openmetrics"] as const;

const SUMMARIES = undefined;
const HISTOGRAMS = [1, 10];

function aggregated(lines: string[], buckets?: number[]): Aggregate {
  const aggregate = new Aggregate({ buckets });
  for (const line of lines) {
    parsePacket(new TextEncoder().encode(line), aggregate);
  }
  return aggregate;
}

const OWN = new Set([...new Aggregate().families()].map(({ name }) => name));

/** Yields the families that were sent, without those of the aggregate itself. */
function* sentFamilies(aggregate: Aggregate): Generator<Family> {
  for (const family of aggregate.families()) {
    if (!OWN.has(family.name)) yield family;
  }
}

/** Returns the families of an exposition as text, in alphabetical order, each with
 * its lines in alphabetical order. */
function exposed(aggregate: Aggregate, format: Format): string[] {
  const text = [...expose(format, sentFamilies(aggregate))].join("");
  return text.split(/^(?=# HELP)/m).map((family) => {
    const [help = "", ...lines] = family.replace(/# EOF\n$/, "").trimEnd()
      .split("\n");
    return [help, ...lines.toSorted()].join("\n");
  }).filter((family) => family !== "").sort();
}

/** Returns the lines with values, in alphabetical order. */
function lines(aggregate: Aggregate, format: Format): string[] {
  return exposed(aggregate, format).join("\n").split("\n")
    .filter((line) => !line.startsWith("#")).sort();
}

const TIMED = (name: string, seconds: number) => [
  `${name}_count 1`,
  `${name}_sum ${seconds}`,
  ...["0.5", "0.9", "0.99"].map((q) => `${name}{quantile="${q}"} ${seconds}`),
];

/** Names that met in earlier versions or in other gateways. */
const PAIRS: [sent: string[], lines: string[]][] = [
  [["jobs:1|c", "jobs.total:10|c"], ["jobs 1", "jobs_total 10"]],
  [
    [
      "envoy.cluster.upstream_rq:7|c|#envoy.response_code:200",
      "envoy.cluster.upstream_rq_total:7|c",
    ],
    [
      "envoy_cluster_upstream_rq_total 7",
      'envoy_cluster_upstream_rq{envoy_response_code="200"} 7',
    ],
  ],
  [["orders:1|c", "orders.created:5|g"], ["orders 1", "orders_created 5"]],
  [["reqs:1|c", "reqs.total:100|g"], ["reqs 1", "reqs_total 100"]],
  [["dur.total:9|ms", "dur:1|c"], ["dur 1", ...TIMED("dur_total", 0.009)]],
  [["a.total:1|c", "a:2|g"], ["a 2", "a_total 1"]],
  [["a.total:1|c", "a.created:2|g"], ["a_created 2", "a_total 1"]],
  [
    ["users:10|ms", "users.created:7|ms"],
    [...TIMED("users", 0.01), ...TIMED("users_created", 0.007)],
  ],
  [
    ["a.total:1|c", "a.created.total:2|c"],
    ["a_created_total 2", "a_total 1"],
  ],
  [["a.sum.total:1|c", "a:1|ms"], ["a_sum_total 1", ...TIMED("a", 0.001)]],
  [["a:1|ms", "a.bucket:2|g"], ["a_bucket 2", ...TIMED("a", 0.001)]],
];

for (const [sent, expected] of PAIRS) {
  for (const order of [sent, sent.toReversed()]) {
    Deno.test(`${order.join(" and ")} are both exposed under their names`, () => {
      const aggregate = aggregated(order);
      for (const format of FORMATS) {
        assertEquals(lines(aggregate, format), expected.toSorted(), format);
      }
      assertEquals(aggregate.refusals.latest(), []);
    });
  }
}

Deno.test("statsd.lines is exposed beside the aggregate's own statsd_lines_total", () => {
  const aggregate = aggregated(["statsd.lines:5|c"]);
  assertEquals(lines(aggregate, "text"), ["statsd_lines 5"]);
  const text = [...expose("openmetrics", aggregate.families())].join("");
  assert(text.includes("\nstatsd_lines_total 1\n"));
  assert(text.includes("\nstatsd_lines 5\n"));
});

const TYPES: [sent: string[], text: string[], openMetrics: string[]][] = [
  [["a:1|c"], ["a counter"], ["a unknown"]],
  [["a_total:1|c"], ["a_total counter"], ["a counter"]],
  [["_total:1|c"], ["_total counter"], ["_total unknown"]],
  [
    ["a:1|c", "a_total:1|c"],
    ["a counter", "a_total counter"],
    ["a unknown", "a_total unknown"],
  ],
  [
    ["a_total:1|c", "a_created:1|g"],
    ["a_total counter", "a_created gauge"],
    ["a_total unknown", "a_created gauge"],
  ],
  [
    ["a_created_total:1|c", "a_total:1|c"],
    ["a_created_total counter", "a_total counter"],
    ["a_created_total unknown", "a counter"],
  ],
  [
    ["a_sum_total:1|c", "a:1|ms"],
    ["a_sum_total counter", "a summary"],
    ["a_sum_total unknown", "a summary"],
  ],
  [["a:1|ms"], ["a summary"], ["a summary"]],
  [
    ["a:1|ms", "a_created:1|g"],
    ["a summary", "a_created gauge"],
    ["a unknown", "a_sum unknown", "a_count unknown", "a_created gauge"],
  ],
];

function types(aggregate: Aggregate, format: Format): string[] {
  return [...expose(format, sentFamilies(aggregate))].join("")
    .matchAll(/^# TYPE (\S+ \S+)$/gm).map(([, type]) => type!).toArray();
}

for (const [sent, text, openMetrics] of TYPES) {
  Deno.test(`expose() gives ${sent.join(" and ")} types that each format allows`, () => {
    const aggregate = aggregated(sent);
    assertEquals(types(aggregate, "text"), text);
    assertEquals(types(aggregate, "openmetrics"), openMetrics);
  });
}

Deno.test("expose() splits a histogram whose reserved name is taken in OpenMetrics", () => {
  const aggregate = aggregated(["a:1|h", "a_created:1|g"], HISTOGRAMS);
  assertEquals(types(aggregate, "openmetrics"), [
    "a_bucket unknown",
    "a_sum unknown",
    "a_count unknown",
    "a_created gauge",
  ]);
});

Deno.test("the help of names that merge does not depend on their order", () => {
  const sent = ["a--b:1|c", "a.b:1|c", "a_b:1|c"];
  for (const order of [sent, sent.toReversed()]) {
    const [family] = exposed(aggregated(order), "text");
    assertEquals(
      family,
      "# HELP a_b StatsD counter a--b.\n# TYPE a_b counter\na_b 3",
    );
  }
});

/** A name and a kind, and what their lines take of other names. */
interface Metric {
  readonly name: string;
  readonly kind: "c" | "g" | "h" | "s";
}

const KINDS = ["c", "g", "h", "s"] as const;
const PARTS = ["a", "b", ".a", "_sum", "_count", "_bucket", ".created"];
const ENDS = ["", "", ".total", "_total", "-total", ".created", "_info"];

function randomMetric(random: Random): Metric {
  const name = `${random.of(["a", "b"])}${random.of(PARTS)}${random.of(ENDS)}`;
  return { name, kind: random.of(KINDS) };
}

/** Returns the names that the lines of a metric are bound to have, and its own. */
function bound({ name, kind }: Metric, histograms: boolean): string[] {
  const legal = name.replace(/[.-]/g, "_");
  const suffixes = kind === "h"
    ? ["", "_sum", "_count", ...(histograms ? ["_bucket"] : [])]
    : [""];
  return suffixes.map((suffix) => legal + suffix);
}

/** Tells whether two metrics cannot both be exposed, whatever a gateway does. */
function collide(a: Metric, b: Metric, histograms: boolean): boolean {
  const [names, others] = [bound(a, histograms), bound(b, histograms)];
  if (names[0] === others[0]) return a.kind !== b.kind;
  return names.some((name) => others.includes(name));
}

function lineOf({ name, kind }: Metric, value: number): string {
  return kind === "g" ? `${name}:+${value}|g` : `${name}:${value}|${kind}`;
}

for (const buckets of [SUMMARIES, HISTOGRAMS]) {
  const histograms = buckets !== undefined;
  const what = histograms ? "histograms" : "summaries";
  Deno.test(`the exposition with ${what} does not depend on the order of samples`, () => {
    const random = new Random();
    for (let round = 0; round < 40; round++) {
      const metrics: Metric[] = [];
      for (let i = 0; i < 40; i++) {
        const metric = randomMetric(random);
        if (metrics.every((other) => !collide(metric, other, histograms))) {
          metrics.push(metric);
        }
      }
      const sent = metrics.flatMap((metric, i) => [
        lineOf(metric, i + 1),
        lineOf(metric, 100 * (i + 1)),
      ]);
      const first = aggregated(sent, buckets);
      const expected = FORMATS.map((format) => exposed(first, format));
      // Each legal name is a metric of its own, and nothing is refused.
      const names = new Set(metrics.map(({ name }) => legalName(name)));
      const families = [...sentFamilies(first)].map(({ name }) => name);
      assertEquals(families.toSorted(), [...names].sort());
      for (let permutation = 0; permutation < 10; permutation++) {
        const aggregate = aggregated(random.shuffled(sent), buckets);
        assertEquals(aggregate.refusals.total, 0);
        assertEquals(
          FORMATS.map((format) => exposed(aggregate, format)),
          expected,
        );
      }
      for (const [i, { name, kind }] of metrics.entries()) {
        const alone = metrics.every((other, j) =>
          j === i || legalName(other.name) !== legalName(name)
        );
        if (kind === "s" || !alone) continue;
        const suffix = kind === "h" ? "_sum" : "";
        const line = `${legalName(name)}${suffix} ${101 * (i + 1)}`;
        for (const format of FORMATS) {
          assert(lines(first, format).includes(line), line);
        }
      }
    }
  });
}

Deno.test("of metrics that would write the same line, the first is kept and the others are named", () => {
  const random = new Random();
  for (let round = 0; round < 400; round++) {
    const metrics = Array.from({ length: 12 }, () => randomMetric(random));
    const aggregate = aggregated(metrics.map((metric) => lineOf(metric, 1)));
    const kept: Metric[] = [];
    const refused: string[] = [];
    for (const metric of metrics) {
      if (kept.some((other) => collide(metric, other, false))) {
        refused.push(metric.name);
      } else kept.push(metric);
    }
    const named = aggregate.refusals.latest();
    assertEquals(
      named.flatMap(({ name, count }) => Array<string>(count).fill(name))
        .toSorted(),
      refused.toSorted(),
    );
    assertEquals(aggregate.errors.kind_conflict, refused.length);
    assertEquals(
      [...sentFamilies(aggregate)].map(({ name }) => name).toSorted(),
      [...new Set(kept.map(({ name }) => legalName(name)))].sort(),
    );
  }
});

const judge = pythonWith("prometheus_client");

Deno.test({
  name:
    "the reference parser of OpenMetrics accepts every exposition of random names",
  ignore: judge === undefined,
  async fn() {
    const random = new Random();
    const expositions: string[] = [];
    for (let round = 0; round < 200; round++) {
      const metrics = Array.from({ length: 30 }, () => randomMetric(random));
      const aggregate = aggregated(
        metrics.map((metric) => lineOf(metric, 1)),
        round % 2 === 0 ? SUMMARIES : HISTOGRAMS,
      );
      const families = [...aggregate.families(), ...ownFamilies([])];
      expositions.push([...expose("openmetrics", families)].join(""));
    }
    const read = await runPython(
      judge!,
      `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for text in json.load(sys.stdin):
    families = text_string_to_metric_families(text)
    print(sum(len(family.samples) for family in families))
`,
      JSON.stringify(expositions),
    );
    const written = expositions.map((text) =>
      text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
        .length
    );
    assertEquals(read.trim().split("\n").map(Number), written);
  },
});

const promtool = inPath("promtool");

Deno.test({
  name: "promtool parses every exposition of random names",
  ignore: promtool === undefined,
  async fn() {
    const random = new Random();
    for (let round = 0; round < 10; round++) {
      const metrics = Array.from({ length: 60 }, () => randomMetric(random));
      const aggregate = aggregated(
        metrics.map((metric) => lineOf(metric, 1)),
        round % 2 === 0 ? SUMMARIES : HISTOGRAMS,
      );
      const check = new Deno.Command(promtool!, {
        args: ["check", "metrics"],
        ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
      }).spawn();
      const output = check.output();
      const writer = check.stdin.getWriter();
      const text = [...expose("text", aggregate.families())].join("");
      await writer.write(new TextEncoder().encode(text));
      await writer.close();
      const { code, stderr } = await output;
      // 3 if it only dislikes a name, 1 if it cannot parse.
      const said = new TextDecoder().decode(stderr);
      assert(code === 0 || code === 3, `${code}: ${said}${text}`);
      assert(!said.includes("error while linting"), said);
    }
  },
});
