import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  Aggregate,
  type AggregateOptions,
} from "../../examples/statsd/aggregate.ts";
import {
  CONTENT_TYPES,
  expose,
  type Family,
  type Format,
  labelText,
  legalLabel,
  legalName,
  parseLabels,
} from "../../examples/statsd/expose.ts";
import { parsePacket } from "../../examples/statsd/parse.ts";
import { ownFamilies } from "../../examples/statsd/telemetry.ts";
import { inPath } from "./in_path.ts";
import { Random } from "./statsd_random.ts";

function written(format: Format, ...sources: Iterable<Family>[]): string {
  return [...expose(format, ...sources)].join("");
}

function gauge(name: string, value: number): Family {
  return { name, help: "A gauge.", type: "gauge", samples: [{ value }] };
}

Deno.test("CONTENT_TYPES names the versions of the formats", () => {
  assertEquals(CONTENT_TYPES, {
    text: "text/plain; version=0.0.4; charset=utf-8",
    openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  });
});

Deno.test("expose() writes families with their help and type, in their order", () => {
  const text = written("text", [
    {
      name: "b_seconds",
      help: "How long\nb \\ takes.",
      type: "summary",
      samples: [
        { labels: 'x="1"', quantile: 0.5, value: 0.25 },
        { labels: 'x="1"', suffix: "_sum", value: 2.5 },
        { labels: 'x="1"', suffix: "_count", value: 10 },
      ],
    },
    gauge("a", -1),
  ], [gauge("B", 3)]);
  assertEquals(
    text,
    `# HELP b_seconds How long\\nb \\\\ takes.
# TYPE b_seconds summary
b_seconds{x="1",quantile="0.5"} 0.25
b_seconds_sum{x="1"} 2.5
b_seconds_count{x="1"} 10
# HELP a A gauge.
# TYPE a gauge
a -1
# HELP B A gauge.
# TYPE B gauge
B 3
`,
  );
});

Deno.test("expose() writes nothing if there is no family", () => {
  assertEquals(written("text"), "");
  assertEquals(written("text", [], []), "");
});

Deno.test("expose() writes OpenMetrics: titles, floats in labels, quotes in help, an end", () => {
  const text = written("openmetrics", [
    {
      name: "c_total",
      help: 'Say "c".',
      type: "counter",
      samples: [{ value: 3 }, { labels: 'x="1"', value: 4 }],
    },
    {
      name: "h",
      help: "A histogram.",
      type: "histogram",
      samples: [
        { suffix: "_bucket", labels: 'x="1"', le: 0.5, value: 1 },
        { suffix: "_bucket", labels: 'x="1"', le: 1, value: 2 },
        { suffix: "_bucket", labels: 'x="1"', le: Infinity, value: 3 },
        { suffix: "_sum", labels: 'x="1"', value: 9 },
        { suffix: "_count", labels: 'x="1"', value: 3 },
      ],
    },
    gauge("g", 1),
  ]);
  assertEquals(
    text,
    `# HELP c Say \\"c\\".
# TYPE c counter
c_total 3
c_total{x="1"} 4
# HELP h A histogram.
# TYPE h histogram
h_bucket{x="1",le="0.5"} 1
h_bucket{x="1",le="1.0"} 2
h_bucket{x="1",le="+Inf"} 3
h_sum{x="1"} 9
h_count{x="1"} 3
# HELP g A gauge.
# TYPE g gauge
g 1
# EOF
`,
  );
  assertEquals(written("openmetrics"), "# EOF\n");
});

/** Counters whose title in OpenMetrics would clash with another family. */
const WHOLE: [name: string, beside: Family][] = [
  ["a_total", gauge("a", 1)],
  ["a_sum_total", { ...gauge("a", 1), type: "summary", samples: [] }],
  ["a_bucket_total", { ...gauge("a", 1), type: "histogram", samples: [] }],
  ["_total", gauge("a", 1)],
];

for (const [name, beside] of WHOLE) {
  Deno.test(`expose() gives ${name} beside a ${beside.type} its whole name in OpenMetrics`, () => {
    const counter: Family = {
      ...{ name, help: "A counter.", type: "counter" },
      samples: [{ value: 2 }],
    };
    const lines =
      `# HELP ${name} A counter.\n# TYPE ${name} unknown\n${name} 2\n`;
    for (const families of [[beside, counter], [counter, beside]]) {
      assertStringIncludes(written("openmetrics", families), lines);
    }
  });
}

const VALUES: [value: number, text: string][] = [
  [0, "0"],
  [-0, "0"],
  [1.5, "1.5"],
  [1e21, "1e+21"],
  [5e-324, "5e-324"],
  [NaN, "NaN"],
  [Infinity, "+Inf"],
  [-Infinity, "-Inf"],
];

Deno.test("expose() writes every float as Prometheus reads it", () => {
  for (const [value, text] of VALUES) {
    assertEquals(
      written("text", [gauge("a", value)]).split("\n")[2],
      `a ${text}`,
    );
  }
});

const NAMES: [text: string, name: string][] = [
  ["a", "a"],
  ["azAZ_09", "azAZ_09"],
  ["a@b[c`d{e/f:g", "a_b_c_d_e_f_g"],
  ["page.views", "page_views"],
  ["a:b", "a_b"],
  ["a..b", "a__b"],
  ["a-b", "a_b"],
  ["a--b", "a_b"],
  ["a---b-", "a_b_"],
  ["a/b c%", "a_b_c_"],
  ["9lives", "_9lives"],
  ["über", "_ber"],
  ["🎉🎉", "__"],
  ["", ""],
];

Deno.test("legalName() makes names legal as statsd_exporter does", () => {
  for (const [text, name] of NAMES) assertEquals(legalName(text), name, text);
});

const LABELS: [text: string, label: string][] = [
  ["env", "env"],
  ["tag.with.dots", "tag_with_dots"],
  ["09digits", "_09digits"],
  ["_a", "_a"],
  ["__name__", "_name__"],
  ["..a", "_a"],
  ["___", "_"],
  ["quantile", "exported_quantile"],
  ["le", "exported_le"],
];

Deno.test("legalLabel() avoids the reserved names", () => {
  for (const [text, label] of LABELS) assertEquals(legalLabel(text), label);
});

Deno.test("labelText() escapes values", () => {
  assertEquals(labelText([]), "");
  assertEquals(
    labelText([["a", 'say "hi"'], ["b", "C:\\new\nline"]]),
    'a="say \\"hi\\"",b="C:\\\\new\\nline"',
  );
});

Deno.test("parseLabels() reads what labelText() writes", () => {
  const labels: [string, string][] = [
    ["a", 'say "hi"'],
    ["b_1", "C:\\new\nline\\\\n"],
    ["c", ""],
    ["d", 'x="1",y'],
  ];
  assertEquals(parseLabels(labelText(labels)), labels);
  assertEquals(parseLabels(""), []);
});

const encoder = new TextEncoder();

function exposed(
  packet: string,
  own: Family[] = [],
  options: AggregateOptions = {},
): string {
  const aggregate = new Aggregate(options);
  parsePacket(encoder.encode(packet), aggregate);
  return written("text", aggregate.families(), own);
}

/** Checks order, uniqueness and form of the lines of an exposition. */
function assertWellFormed(text: string): void {
  assert(text.endsWith("\n"));
  const seen = new Set<string>();
  let family = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const [, kind, name = ""] = line.match(/^# (HELP|TYPE) (\S+) ./) ?? [];
    if (kind !== undefined) {
      assert(!seen.has(`${kind} ${name}`), `${line} occurs twice`);
      seen.add(`${kind} ${name}`);
      family = name;
      continue;
    }
    const labels = String.raw`[a-zA-Z_]\w*="(?:[^"\\]|\\["\\n])*"`;
    const match = line.match(
      new RegExp(`^([a-zA-Z_]\\w*)(\\{${labels}(?:,${labels})*\\})? (\\S+)$`),
    );
    assert(match !== null, `${line} is not a line of a metric`);
    const [, metric = "", braced = "", value = ""] = match;
    assert(
      ["", "_sum", "_count", "_bucket"].some((suffix) =>
        metric === family + suffix
      ),
      `${line} is under ${family}`,
    );
    const key = metric + braced;
    assert(!seen.has(key), `${key} occurs twice`);
    seen.add(key);
    assert(/^(NaN|[+-]Inf|-?\d.*)$/.test(value), `${value} is not a value`);
  }
}

Deno.test("expose() writes every kind of metric beside those of the service", () => {
  const text = exposed("c:1|c\ng:2|g\nt:3|ms|#x:1\nh:4|h\ns:5|s\nbad", [
    gauge("statsd_up", 1),
  ]);
  assertWellFormed(text);
  for (
    const line of [
      "# TYPE c counter\nc 1",
      "# TYPE g gauge\ng 2",
      '# TYPE t summary\nt{x="1",quantile="0.5"} 0.003',
      't_sum{x="1"} 0.003\nt_count{x="1"} 1',
      "h_sum 4\nh_count 1",
      "# TYPE s gauge\ns 1",
      "statsd_lines_total 6",
      "statsd_samples_total 5",
      'statsd_sample_errors_total{reason="malformed_line"} 1',
      'statsd_sample_errors_total{reason="kind_conflict"} 0',
      'statsd_events_total{type="set"} 1',
      "statsd_series 5",
      "statsd_up 1",
    ]
  ) {
    assert(text.includes(`${line}\n`), line);
  }
});

const NASTY = [
  "a:1|c\na:1|g\na_total:1|c\na.total:2|g\na:1|ms",
  "t:1|ms\nt_sum:1|g\nt_count:1|c\nt_bucket:1|g\nt_sum_total:1|c",
  'q:1|ms|#quantile:0.5,le:1,__name__:x,9:a,x:"\\,y:\\n',
  "ünïcode.🎉:1|c|#🎉:🎉\n9lives:1|g\n!:1|g\n?:2|g",
  "big:1e308|c\nbig:1e308|c\nbig:1e308|c|#x:1",
  "inf:1e308|g\ninf:+1e308|g\nnul\0l:1|g|#n:a\0b",
  "statsd_lines_total:9|c\nstatsd_series:9|g\nstatsd.events:9|c",
  "__proto__:1|c\nconstructor:1|g\nhasOwnProperty:x|s|#__proto__:1",
  "tab\there:1|g|#a:b\tc\nline\u2028sep:1|g|#a:\u2028",
  "a:1|c|#x:1,x:2\nb:1|g|#x.y:1,x-y:2",
].join("\n");

Deno.test("expose() writes a well-formed exposition of hostile lines", () => {
  assertWellFormed(exposed(NASTY));
  assertWellFormed(exposed(NASTY, [], { buckets: [0.1, 1] }));
});

Deno.test("expose() writes a well-formed exposition of random names and tags", () => {
  const random = new Random();
  const part = ["a", "a", "b", "_sum", "_count", "_total", ".", "-", "9", '"'];
  const kinds = ["c", "g", "ms", "h", "s"];
  const lines = Array.from({ length: 5000 }, () => {
    const name = `${random.of(part)}${random.of(part)}${random.of(part)}`;
    const tags = `${random.of(part)}:${random.of(part)}`;
    return `${name}:1|${random.of(kinds)}|#${tags},${tags}:\\`;
  });
  assertWellFormed(exposed(lines.join("\n")));
});

const CONTROLS: [line: string, shown: string][] = [
  [
    "esc\x1b[31mname:1|c",
    "# HELP esc__31mname StatsD counter esc\\\\u{1b}[31mname.",
  ],
  ["colors:1|c|#color:\x1b[31mred", 'colors{color="\\\\u{1b}[31mred"} 1'],
  ["c1:1|c|#x:\u009b31m", 'c1{x="\\\\u{9b}31m"} 1'],
  ["del:1|c|#x:\x7f\0\t", 'del{x="\\\\u{7f}\\\\u{0}\\\\u{9}"} 1'],
  ["bidi:1|c|#x:\u202eabc", 'bidi{x="\\\\u{202e}abc"} 1'],
  ["literal:1|c|#x:\\u{1b}", 'literal{x="\\\\u{5c}u{1b}"} 1'],
];

for (const [line, shown] of CONTROLS) {
  Deno.test(`expose() makes control characters of ${JSON.stringify(line)} visible`, () => {
    const text = exposed(line);
    assertStringIncludes(text, `\n${shown}\n`);
    // deno-lint-ignore no-control-regex -- exactly these must not be there
    assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(text));
  });
}

Deno.test("label values that differ in control characters only stay two series", () => {
  const text = exposed("a:1|c|#x:\x1b\na:2|c|#x:\\u{1b}\na:4|c|#x:\x1c");
  assertEquals(text.match(/^a\{.*\} \d$/gm)?.length, 3);
});

/** Path of promtool, the linter of Prometheus; undefined if it is not installed. */
const promtool = inPath("promtool");

const USUAL = [
  "requests_total:1|c|#route:/a,code:200",
  "queue_length:3|g",
  "latency_seconds:12|ms:7|ms",
  'size_bytes:1:2:3|h|#kind:"quoted"',
  "users:ada|s",
].join("\n");

for (const buckets of [undefined, [0.1, 1, 10]]) {
  const what = buckets === undefined ? "summaries" : "histograms";
  Deno.test({
    name: `promtool finds no fault with an exposition with ${what}`,
    ignore: promtool === undefined,
    async fn() {
      const text = exposed(USUAL, [...ownFamilies([])], { buckets });
      assertStringIncludes(text, "process_start_time_seconds ");
      const check = new Deno.Command(promtool!, {
        args: ["check", "metrics"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = check.stdin.getWriter();
      await writer.write(encoder.encode(text));
      await writer.close();
      const { code, stdout, stderr } = await check.output();
      const said = new TextDecoder();
      assertEquals([said.decode(stdout), said.decode(stderr), code], [
        "",
        "",
        0,
      ]);
    },
  });
}

/** Size of a piece, in characters. */
const CHUNK = 32_768;

for (const buckets of [undefined, [1, 2]]) {
  const what = buckets === undefined ? "summary" : "histogram";
  Deno.test(`expose() never splits the lines of a ${what} that changes during a scrape`, () => {
    const aggregate = new Aggregate({ buckets });
    let round = 0;
    // The largest of `count` observations is `count`.
    const add = () => {
      round++;
      const lines = Array.from({ length: 2_000 }, (_, i) => {
        return `a:${round}|h|#n:${"n".repeat(i % 100)}${i}\n`;
      });
      parsePacket(encoder.encode(lines.join("")), aggregate);
    };
    add();
    const pieces: string[] = [];
    for (const piece of expose("text", aggregate.families())) {
      pieces.push(piece);
      add();
    }
    assert(pieces.length > 10);
    for (const piece of pieces.slice(0, -1)) {
      assert(piece.length >= CHUNK && piece.length < 2 * CHUNK);
    }
    const text = pieces.join("");
    const read = (pattern: RegExp) =>
      new Map(
        text.matchAll(pattern).map(([, labels, value]) =>
          [labels, Number(value)] as const
        ),
      );
    const counts = read(/^a_count\{(.*)\} (\d+)$/gm);
    const sums = read(/^a_sum\{(.*)\} (\d+)$/gm);
    assertEquals(counts.size, 2_000);
    const largest = buckets === undefined
      ? read(/^a\{(.*),quantile="0.99"\} (\d+)$/gm)
      : read(/^a_bucket\{(.*),le="\+Inf"\} (\d+)$/gm);
    for (const [labels, count] of counts) {
      assertEquals(sums.get(labels), count * (count + 1) / 2);
      assertEquals(largest.get(labels), count);
    }
  });
}

Deno.test("expose() yields many gauges in pieces", () => {
  const samples = Array.from({ length: 2_000 }, (_, i) => ({
    labels: `n="${"n".repeat(100)}${i}"`,
    value: i,
  }));
  const pieces = [...expose("text", [{ ...gauge("a", 0), samples }])];
  assert(pieces.length > 5);
  assertEquals(pieces.join("").match(/^a\{/gm)?.length, 2_000);
});
