import { assert, assertEquals } from "@std/assert";
import {
  Aggregate,
  type AggregateOptions,
  MAX_TAG_COUNT,
  type Refusal,
  REFUSALS,
} from "../../examples/statsd/aggregate.ts";
import { parsePacket, type Reason } from "../../examples/statsd/parse.ts";

const encoder = new TextEncoder();

function send(aggregate: Aggregate, ...lines: string[]): void {
  for (const line of lines) parsePacket(encoder.encode(line), aggregate);
}

function aggregated(lines: string[], options?: AggregateOptions): Aggregate {
  const aggregate = new Aggregate(options);
  send(aggregate, ...lines);
  return aggregate;
}

/** Values of all lines except those of the aggregate itself, by name and labels. */
function values(aggregate: Aggregate): Record<string, number> {
  const found: [string, number][] = [];
  for (const { name, samples } of aggregate.families()) {
    if (name.startsWith("statsd_")) continue;
    for (const { suffix = "", labels = "", le, quantile, value } of samples) {
      const all = [
        ...(labels === "" ? [] : [labels]),
        ...(le === undefined ? [] : [`le="${le}"`]),
        ...(quantile === undefined ? [] : [`quantile="${quantile}"`]),
      ].join(",");
      found.push([`${name}${suffix}${all && `{${all}}`}`, value]);
    }
  }
  return Object.fromEntries(found);
}

function errors(aggregate: Aggregate): Partial<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(aggregate.errors).filter(([, count]) => count > 0),
  );
}

const CASES: [
  behavior: string,
  lines: string[],
  values: Record<string, number>,
][] = [
  ["adds a counter", ["a:1|c", "a:2|c"], { a: 3 }],
  ["keeps a suffix that was sent", ["a_total:1|c"], { a_total: 1 }],
  ["scales a sampled counter", ["a:3|c|@0.5", "a:1|c|@0.1"], { a: 16 }],
  ["sets a gauge", ["a:1|g", "a:5|g"], { a: 5 }],
  ["moves a gauge", ["a:5|g", "a:+3|g", "a:-10|g"], { a: -2 }],
  ["moves a gauge from 0", ["a:-4|g"], { a: -4 }],
  ["gives no weight to a gauge", ["a:5|g|@0.1", "a:+1|g|@0.1"], { a: 6 }],
  ["sets a gauge to a negative value by way of 0", ["a:0|g", "a:-4|g"], {
    a: -4,
  }],
  ["sets a gauge exactly after large moves", ["a:+1e16|g", "a:+1|g", "a:0|g"], {
    a: 0,
  }],
  ["observes zero", ["a:0|h"], {
    'a{quantile="0.5"}': 0,
    'a{quantile="0.9"}': 0,
    'a{quantile="0.99"}': 0,
    a_sum: 0,
    a_count: 1,
  }],
  ["takes the smallest value with half of the weight as the median", [
    "a:1|h|@0.5",
    "a:5|h|@0.5",
  ], {
    'a{quantile="0.5"}': 1,
    'a{quantile="0.9"}': 5,
    'a{quantile="0.99"}': 5,
    a_sum: 12,
    a_count: 4,
  }],
  ["counts the members of a set", ["a:x|s", "a:y|s", "a:x|s|@0.1"], { a: 2 }],
  ["observes timings in seconds", ["a:320|ms"], {
    'a{quantile="0.5"}': 0.32,
    'a{quantile="0.9"}': 0.32,
    'a{quantile="0.99"}': 0.32,
    a_sum: 0.32,
    a_count: 1,
  }],
  ["observes histograms unscaled", ["a:1:2:3|h", "a:4|d"], {
    'a{quantile="0.5"}': 2,
    'a{quantile="0.9"}': 4,
    'a{quantile="0.99"}': 4,
    a_sum: 10,
    a_count: 4,
  }],
  ["gives a sampled observation its weight", ["a:1|h|@0.1", "a:5|h"], {
    'a{quantile="0.5"}': 1,
    'a{quantile="0.9"}': 1,
    'a{quantile="0.99"}': 5,
    a_sum: 15,
    a_count: 11,
  }],
  ["rounds the weight of an observation", ["a:1|h|@0.3"], {
    'a{quantile="0.5"}': 1,
    'a{quantile="0.9"}': 1,
    'a{quantile="0.99"}': 1,
    a_sum: 3,
    a_count: 3,
  }],
  ["makes a series of each set of tags", [
    "a:1|c",
    "a:2|c|#x:1",
    "a:4|c|#x:1,y:2",
    "a:8|c|#y:2,x:1",
    "a,x=1:16|c",
  ], { a: 1, 'a{x="1"}': 18, 'a{x="1",y="2"}': 12 }],
  ["drops tags that cannot be read", ["a:1|c|#urgent", "a:1|c|#x:1,,"], {
    a: 1,
    'a{x="1"}': 1,
  }],
  ["merges names that become the same legal name", [
    "a.b:1|c",
    "a-b:2|c",
    "a_b:4|c",
  ], { a_b: 7 }],
  [
    "merges tags that become the same label",
    ["a:1|c|#x.y:1", "a:2|c|#x-y:1"],
    { 'a{x_y="1"}': 3 },
  ],
  ["renames labels that Prometheus reserves", [
    "a:1|g|#quantile:1,le:2,__name__:evil",
  ], { 'a{_name__="evil",exported_le="2",exported_quantile="1"}': 1 }],
  ["escapes label values", ['a:1|g|#x:"\\'], { 'a{x="\\"\\\\"}': 1 }],
  ["takes names of members of Object.prototype", [
    "__proto__:1|c|#__proto__:x",
    "constructor:2|g",
  ], { '__proto__{_proto__="x"}': 1, constructor: 2 }],
];

for (const [behavior, lines, expected] of CASES) {
  Deno.test(`Aggregate ${behavior}`, () => {
    const aggregate = aggregated(lines);
    assertEquals(values(aggregate), expected);
    assertEquals(errors(aggregate), {});
  });
}

const full = Array.from({ length: MAX_TAG_COUNT + 1 }, (_, i) => `t${i}:1`);

const REFUSED: [
  lines: string[],
  reason: Refusal,
  values: Record<string, number>,
  options?: AggregateOptions,
][] = [
  [["a:-1|c"], "illegal_negative_counter", {}],
  [["a:1|c", "a:1|g"], "kind_conflict", { a: 1 }],
  [["a:1|c", "a:1|g|#x:1"], "kind_conflict", { a: 1 }],
  [["a:1|g", "a:1|c"], "kind_conflict", { a: 1 }],
  [["a:x|s", "a:1|g"], "kind_conflict", { a: 1 }],
  [["a:1|c", "a:x|s"], "kind_conflict", { a: 1 }],
  [["a:1|c", "a:1|h"], "kind_conflict", { a: 1 }],
  [["a.b:1|c", "a_b:1|g"], "kind_conflict", { a_b: 1 }],
  [["a_sum:1|g", "a:1|ms"], "kind_conflict", { a_sum: 1 }],
  [["statsd_lines_total:1|c"], "kind_conflict", {}],
  [["mine:1|g"], "kind_conflict", {}, { reserved: ["mine"] }],
  [[`a:1|c|#${full.join(",")}`], "too_many_tags", {}],
  [["a:1|g", "b:1|g", "a:2|g"], "series_limit", { a: 2 }, { maxSeries: 1 }],
  [["a:x|s", "a:y|s", "a:x|s"], "member_limit", { a: 1 }, { maxMembers: 1 }],
  [
    ["a:1|h", "a:9:1|h"],
    "bucket_limit",
    { 'a_bucket{le="Infinity"}': 2, a_sum: 2, a_count: 2 },
    { buckets: "native", maxAllObservations: 0 },
  ],
];

for (const [lines, reason, expected, options] of REFUSED) {
  const title = lines.join(" ").slice(0, 50);
  Deno.test(`Aggregate refuses ${title} as ${reason}`, () => {
    const aggregate = aggregated(lines, options);
    assertEquals(values(aggregate), expected);
    assertEquals(errors(aggregate), { [reason]: 1 });
  });
}

Deno.test("the table above has a line for every refusal", () => {
  const seen = new Set(REFUSED.map(([, reason]) => reason));
  assertEquals(REFUSALS.filter((reason) => !seen.has(reason)), []);
});

Deno.test("Aggregate refuses a name on the lines of a summary, for any kind", () => {
  const aggregate = aggregated(["a:1|ms", "a_sum:1|g", "a_count:x|s"]);
  assertEquals(errors(aggregate), { kind_conflict: 2 });
  assertEquals(aggregate.size, 1);
});

Deno.test("Aggregate counts lines, samples, tag errors and errors", () => {
  const aggregate = aggregated([
    "a:1|c\na:2|c\nb:1|g\nc:1|ms:2|ms\nd:x|s",
    "a:-1|c\na:1|g\nbad\na:1|c|#x",
    "_e{1,1}:t|x\n_sc|db|0",
  ]);
  assertEquals(aggregate.lines, 11);
  assertEquals(aggregate.samples, 9);
  assertEquals(aggregate.tagErrors, 1);
  assertEquals(aggregate.events, {
    counter: 3,
    gauge: 1,
    timing: 2,
    set: 1,
  });
  assertEquals(aggregate.skipped, {
    event: 1,
    service_check: 1,
  });
  assertEquals(errors(aggregate), {
    illegal_negative_counter: 1,
    kind_conflict: 1,
    malformed_line: 1,
  });
  assertEquals(aggregate.size, 4);
});

Deno.test("Aggregate counts the tag errors of every line", () => {
  const aggregate = aggregated(Array(5).fill("a:1|c|#x,y:1"));
  assertEquals(aggregate.tagErrors, 5);
  assertEquals(values(aggregate), { 'a{y="1"}': 5 });
});

Deno.test("Aggregate adds up 20,000 metrics of each kind exactly", () => {
  const aggregate = new Aggregate();
  const count = 20_000;
  for (let i = 0; i < count; i++) {
    send(
      aggregate,
      `c:${i}|c`,
      `s:${i}|c|@0.5`,
      `g:+${i}|g`,
      `ms:${i}|ms`,
      `h:${i}|h`,
      `d:0.1|d`,
      `u:user-${i}-of-many|s`,
    );
  }
  const sum = count * (count - 1) / 2;
  const found = values(aggregate);
  assertEquals(found["c"], sum);
  assertEquals(found["s"], 2 * sum);
  assertEquals(found["g"], sum);
  assertEquals(found["ms_sum"], sum / 1000);
  assertEquals(found["ms_count"], count);
  assertEquals(found["h_sum"], sum);
  assertEquals(found["h_count"], count);
  assertEquals(found["d_sum"], count / 10);
  assertEquals(found["d_count"], count);
  assertEquals(found["u"], count);
  assertEquals(errors(aggregate), {});
});

Deno.test("Aggregate adds up random integers exactly, in any order and grouping", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const random = lcg(seed);
  const aggregate = new Aggregate();
  const sums = new Map<string, bigint>();
  for (let packet = 0; packet < 500; packet++) {
    const lines = Array.from({ length: 1 + random() * 20 }, () => {
      const name = `n${Math.floor(random() * 10)}`;
      const value = Math.floor(random() * 2 ** 30);
      sums.set(name, (sums.get(name) ?? 0n) + BigInt(value));
      return `${name}:${value}|c`;
    });
    send(aggregate, lines.join("\n"));
  }
  const found = values(aggregate);
  for (const [name, sum] of sums) {
    assertEquals(found[name], Number(sum), name);
  }
});

Deno.test("Aggregate rounds a sum of fractions once", () => {
  const found = values(aggregated([
    ...Array(10).fill("c:0.1|c"),
    "h:1e16:1:1:-1e16|h",
  ]));
  assertEquals(found["c"], 1);
  assertEquals(found["h_sum"], 2);
});

Deno.test("Aggregate has exact quantiles while it keeps every observation", () => {
  const lines = Array.from({ length: 100 }, (_, i) => `a:${100 - i}|h`);
  const found = values(aggregated(lines));
  assertEquals(found['a{quantile="0.5"}'], 50);
  assertEquals(found['a{quantile="0.9"}'], 90);
  assertEquals(found['a{quantile="0.99"}'], 99);
});

Deno.test("Aggregate approximates the quantiles of more observations than it keeps", () => {
  const aggregate = new Aggregate({ random: lcg(42) });
  for (let i = 1; i <= 20_000; i++) send(aggregate, `a:${i}|h`);
  const found = values(aggregate);
  for (const quantile of [0.5, 0.9, 0.99]) {
    const value = found[`a{quantile="${quantile}"}`] ?? NaN;
    const off = Math.abs(value / 20_000 - quantile);
    assert(off < 0.05, `quantile ${quantile} is ${value}`);
  }
});

Deno.test("Aggregate drops old observations from quantiles, not from sums", () => {
  const aggregate = new Aggregate({ maxObservations: 100, random: lcg(42) });
  const packet = "a:1|h\n".repeat(1000);
  for (let i = 0; i < 100; i++) send(aggregate, packet);
  for (let i = 0; i < 400; i++) send(aggregate, packet.replaceAll("1", "2"));
  const found = values(aggregate);
  assertEquals(found['a{quantile="0.5"}'], 2);
  assertEquals(found["a_sum"], 900_000);
  assertEquals(found["a_count"], 500_000);
});

Deno.test("Aggregate stays within its bounds under a flood of new names", () => {
  const aggregate = new Aggregate({ maxSeries: 10, maxMembers: 10 });
  for (let i = 0; i < 1000; i++) {
    send(aggregate, `n${i}:1|c`, `n1:1|c|#t:${i}`, `s:${i}|s`, `n1,,:1|c`);
  }
  assertEquals(aggregate.size, 10);
  send(aggregate, "n1:1|c");
  assertEquals(aggregate.size, 10);
});

Deno.test("Aggregate finds a series in any number of spellings", () => {
  const aggregate = new Aggregate({ maxSeries: 4 });
  let most = 0;
  for (let i = 0; i < 100; i++) {
    send(aggregate, `a:1|c|#x:${i},x:1`);
    most = Math.max(most, aggregate.spellings);
  }
  assertEquals(values(aggregate), { 'a{x="1"}': 100 });
  assertEquals(most, 8);
});

Deno.test("Aggregate counts every sample of random lines once", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const random = lcg(seed);
  const letters = "ab:12|cgmshd@#,.+-[]T_\n\n";
  const aggregate = new Aggregate({ maxSeries: 50 });
  for (let packet = 0; packet < 2000; packet++) {
    let text = "";
    for (let i = 0; i < 200; i++) {
      // Whole lines among the letters, which alone form few.
      text += random() < 0.1
        ? "\na:1|c"
        : letters[Math.floor(random() * letters.length)];
    }
    send(aggregate, text);
  }
  const sum = (counts: Iterable<number>): number =>
    [...counts].reduce((a, b) => a + b, 0);
  const refused = REFUSALS.map((reason) => aggregate.errors[reason]);
  assertEquals(
    sum(Object.values(aggregate.events)) + sum(refused),
    aggregate.samples,
  );
  const bad = sum(Object.values(aggregate.errors)) - sum(refused);
  assert(
    aggregate.samples + bad + sum(Object.values(aggregate.skipped)) >=
      aggregate.lines,
  );
});

const BUCKETS: [
  behavior: string,
  lines: string[],
  values: Record<string, number>,
][] = [
  ["counts values up to and including a bound", ["a:0.1:0.10001:7|h"], {
    'a_bucket{le="0.1"}': 1,
    'a_bucket{le="1"}': 2,
    'a_bucket{le="Infinity"}': 3,
    a_sum: 7.20001,
    a_count: 3,
  }],
  ["observes timings in seconds", ["a:100|ms|#x:1", "a:100|ms|#x:1"], {
    'a_bucket{x="1",le="0.1"}': 2,
    'a_bucket{x="1",le="1"}': 2,
    'a_bucket{x="1",le="Infinity"}': 2,
    'a_sum{x="1"}': 0.2,
    'a_count{x="1"}': 2,
  }],
  ["gives a sampled observation its weight", ["a:0.5|d|@0.1"], {
    'a_bucket{le="0.1"}': 0,
    'a_bucket{le="1"}': 10,
    'a_bucket{le="Infinity"}': 10,
    a_sum: 5,
    a_count: 10,
  }],
];

for (const [behavior, lines, expected] of BUCKETS) {
  Deno.test(`Aggregate with buckets ${behavior}`, () => {
    const aggregate = aggregated(lines, { buckets: [0.1, 1] });
    assertEquals(values(aggregate), expected);
  });
}

Deno.test("Aggregate refuses a name on the lines of a histogram", () => {
  const aggregate = aggregated(["a:1|h", "a_bucket:1|g", "a_count:1|g"], {
    buckets: [1],
  });
  assertEquals(errors(aggregate), { kind_conflict: 2 });
});

Deno.test("Aggregate counts one event per line, whatever its rate", () => {
  const aggregate = aggregated(["a:1|h|@1e-300", "b:1|ms|@0.0000000001"]);
  assertEquals(aggregate.events.timing, 2);
  assertEquals(values(aggregate)["a_count"], 1e6);
  assertEquals(values(aggregate)["b_count"], 1e6);
});

Deno.test("sweep() removes series without samples for idleSweeps sweeps", () => {
  const aggregate = new Aggregate({ idleSweeps: 2 });
  send(aggregate, "a:1|c", "a:1|c|#x:1", "b:1|g", "c:1|h", "d:m|s");
  const swept: number[] = [];
  for (let i = 0; i < 5; i++) {
    swept.push(aggregate.sweep());
    send(aggregate, "a:1|c");
  }
  // The first sweep sees the samples before it, the next two see none.
  assertEquals(swept, [0, 0, 4, 0, 0]);
  assertEquals(values(aggregate), { a: 6 });
  assertEquals([aggregate.size, aggregate.spellings], [1, 1]);
});

Deno.test("sweep() frees the name of a family for any kind", () => {
  const aggregate = new Aggregate({ idleSweeps: 1, maxSeries: 1 });
  send(aggregate, "a:1|c", "a:1|c");
  assertEquals([aggregate.sweep(), aggregate.sweep()], [0, 1]);
  send(aggregate, "a:5|ms");
  assertEquals([aggregate.sweep(), aggregate.sweep()], [0, 1]);
  send(aggregate, "a_sum:1|g");
  assertEquals(values(aggregate), { a_sum: 1 });
  assertEquals(errors(aggregate), {});
});

Deno.test("a swept series starts from zero when it comes back", () => {
  const aggregate = new Aggregate({ idleSweeps: 1 });
  send(aggregate, "a:5|c", "s:x|s", "s:y|s");
  aggregate.sweep();
  aggregate.sweep();
  send(aggregate, "a:1|c", "s:x|s");
  assertEquals(values(aggregate), { a: 1, s: 1 });
});

Deno.test("a series that is swept and comes back during a scrape is written once", () => {
  const aggregate = new Aggregate({ idleSweeps: 1 });
  send(aggregate, "a:1|c|#x:1", "a:1|c|#x:2", "a:1|c|#x:3");
  aggregate.sweep();
  const family = [...aggregate.families()].find(({ name }) => name === "a")!;
  const read: (string | undefined)[] = [];
  for (const { labels } of family.samples) {
    read.push(labels);
    if (read.length > 1) continue;
    send(aggregate, "a:1|c|#x:3");
    assertEquals(aggregate.sweep(), 2);
    send(aggregate, "a:1|c|#x:1");
  }
  assertEquals(read.filter((labels) => labels === 'x="1"'), ['x="1"']);
  assertEquals(read.filter((labels) => labels === 'x="3"'), ['x="3"']);
});

Deno.test("sweep() returns the budget of the series that it removes", () => {
  const aggregate = new Aggregate({
    ...{ idleSweeps: 1, maxSeries: 3, maxMembers: 2, maxText: 32 },
    ...{ maxAllObservations: 3, random: () => 0.999 },
  });
  for (let round = 0; round < 50; round++) {
    send(aggregate, `a${round % 10}:xx|s`, `a${round % 10}:yy|s`);
    assertEquals(values(aggregate), { [`a${round % 10}`]: 2 });
    aggregate.sweep();
    aggregate.sweep();
    send(aggregate, `h${round % 10}:1:2:3:4|h`);
    assertEquals(values(aggregate)[`h${round % 10}{quantile="0.99"}`], 3);
    aggregate.sweep();
    aggregate.sweep();
  }
  assertEquals(errors(aggregate), {});
});

Deno.test("sweep() removes nothing by default", () => {
  const aggregate = aggregated(["a:1|c"]);
  for (let i = 0; i < 1_000; i++) assertEquals(aggregate.sweep(), 0);
});

const ZEROS: [options: AggregateOptions, lines: string[], refused: number][] = [
  [{ maxSeries: 0 }, ["a:1|c"], 1],
  [{ maxText: 0 }, ["a:1|c"], 1],
  [{ maxMembers: 0 }, ["a:x|s"], 1],
  [{ maxSeries: 1, maxText: 4 }, ["a:1|g"], 0],
];

for (const [options, lines, refused] of ZEROS) {
  Deno.test(`Aggregate with ${JSON.stringify(options)} refuses ${refused} of ${lines}`, () => {
    const counts = Object.values(errors(aggregated(lines, options)));
    assertEquals(counts.reduce((a, b) => a! + b!, 0), refused);
  });
}

Deno.test("Aggregate with no room for observations has sums and counts only", () => {
  const found = values(aggregated(["a:1:2|h"], { maxObservations: 0 }));
  assertEquals([found["a_sum"], found["a_count"]], [3, 2]);
  assertEquals(found['a{quantile="0.5"}'], NaN);
});

Deno.test("Aggregate with idleSweeps 0 removes every series at the next sweep", () => {
  const aggregate = aggregated(["a:1|c"], { idleSweeps: 0 });
  assertEquals([aggregate.sweep(), aggregate.size], [1, 0]);
});

Deno.test("names, labels and members may take all of maxText", () => {
  // Four times the name, three characters of the member, five of the labels.
  const lines = ["s:abc|s", "s:d|s|#x:1", "s:e|s"];
  const aggregate = aggregated(lines, { maxText: 4 + 3 + 5 });
  assertEquals(values(aggregate), { s: 1, 's{x="1"}': 0 });
  assertEquals(errors(aggregate), { member_limit: 2 });
});

Deno.test("a few series may have long names", () => {
  const name = (i: number) => `${"n".repeat(900)}${i}:1|g`;
  const lines = Array.from({ length: 10 }, (_, i) => name(i));
  assertEquals(aggregated(lines, { maxSeries: 10 }).size, 10);
});

Deno.test("Aggregate takes a line with the maximum number of tags", () => {
  const tags = full.slice(1).join(",");
  assertEquals(aggregated([`a:1|c|#${tags}`]).size, 1);
});

Deno.test("busiest() keeps the order of series with equally many samples", () => {
  const aggregate = aggregated(["a:1|c", "b:1|c", "c:1|c", "d:1|c", "d:1|c"]);
  assertEquals(aggregate.busiest(3).map(({ name }) => name), ["d", "a", "b"]);
});

Deno.test("names and members are refused beyond maxText", () => {
  // A gauge's name is kept four times.
  const aggregate = new Aggregate({ maxText: 28 });
  send(
    aggregate,
    "abcd:1|g",
    "abcdefg:1|g",
    "ef:mmmmm|s",
    "ef:m|s",
    "efgh:1|g",
  );
  assertEquals(values(aggregate), { abcd: 1, ef: 1 });
  assertEquals(errors(aggregate), { series_limit: 2, member_limit: 1 });
});

Deno.test("Aggregate keeps one observation of each series when its budget is used up", () => {
  const aggregate = new Aggregate({ maxAllObservations: 2, random: lcg(1) });
  send(aggregate, "a:1:2:3:4|h", "b:5|h", "c:6:6:6|h");
  const found = values(aggregate);
  assertEquals(found['b{quantile="0.5"}'], 5);
  assertEquals(found['c{quantile="0.99"}'], 6);
  assertEquals([found["a_count"], found["a_sum"]], [4, 10]);
});

Deno.test("a sum that overflows stays finite and can decrease again", () => {
  const huge = Array<string>(3).fill("c:1e308|c\ng:+1e308|g\nh:1e308|h");
  const back = Array<string>(2).fill("g:-1e308|g\nh:-1e308|h");
  const found = values(aggregated([...huge, ...back, "m:1|h", "m:1|ms"]));
  assertEquals(found["c"], Number.MAX_VALUE);
  for (const name of ["g", "h_sum"]) {
    assert(Math.abs(found[name]!) < 1e308, `${name} is ${found[name]}`);
  }
});

Deno.test("a lone bracket in a name counts as one tag error", () => {
  const aggregate = aggregated(["[k=v:1|c", "k]:1|c|#a:1"]);
  assertEquals(aggregate.tagErrors, 2);
  assertEquals(values(aggregate), { "_k_v": 1, 'k_{a="1"}': 1 });
});

Deno.test("the last of several tags that become the same label counts", () => {
  const line = "d:1|g|#a.b:1,a_b:2,a.b:3";
  assertEquals(values(aggregated([line])), { 'd{a_b="3"}': 1 });
});

Deno.test("a weight takes as much of the budget as an observation", () => {
  const aggregate = new Aggregate({
    ...{ idleSweeps: 1, maxAllObservations: 6, random: () => 0.999 },
  });
  for (let round = 0; round < 10; round++) {
    send(aggregate, "a:1:2|h", "a:3|h|@0.5", "b:1:2|h");
    const found = values(aggregate);
    assertEquals(found['a{quantile="0.99"}'], 3);
    assertEquals(found['b{quantile="0.99"}'], 1);
    aggregate.sweep();
    aggregate.sweep();
  }
});

Deno.test("Aggregate keeps maxObservations of a series", () => {
  const aggregate = new Aggregate({ maxObservations: 2, random: () => 0.999 });
  send(aggregate, "a:1:2:3|h");
  assertEquals(values(aggregate)['a{quantile="0.99"}'], 2);
});

Deno.test("replacing an observation takes nothing of the budget", () => {
  const aggregate = new Aggregate({
    ...{ maxObservations: 2, maxAllObservations: 6, random: () => 0 },
  });
  // Two observations and their weights, which leaves two.
  for (let i = 0; i < 10; i++) send(aggregate, "a:1|h|@0.5");
  send(aggregate, "b:1:2|h");
  const found = values(aggregate);
  assertEquals([found['b{quantile="0.5"}'], found['b{quantile="0.9"}']], [
    1,
    2,
  ]);
});

Deno.test("an observation beside weights takes twice the budget", () => {
  const aggregate = new Aggregate({
    ...{ maxAllObservations: 5, random: () => 0.999 },
  });
  // Two for each, which leaves one.
  send(aggregate, "a:1|h|@0.5", "a:2|h", "b:1:2:3|h");
  const found = values(aggregate);
  assertEquals(found['a{quantile="0.99"}'], 2);
  assertEquals(found['b{quantile="0.99"}'], 1);
});

Deno.test("sweep() returns the budget of native buckets", () => {
  const aggregate = new Aggregate({
    ...{ buckets: "native", idleSweeps: 1, maxAllObservations: 1 },
  });
  for (let round = 0; round < 10; round++) {
    // In two buckets at any resolution.
    send(aggregate, `a${round}:1e30:1e-30|h`);
    assertEquals(values(aggregate)[`a${round}_count`], 2);
    aggregate.sweep();
    aggregate.sweep();
  }
  assertEquals(errors(aggregate), {});
});

Deno.test("sweep() keeps the spellings of the series that stay", () => {
  const aggregate = new Aggregate({ idleSweeps: 2 });
  send(aggregate, "a:1|c", "b:1|c");
  aggregate.sweep();
  send(aggregate, "a:1|c");
  aggregate.sweep();
  assertEquals([aggregate.sweep(), aggregate.spellings], [1, 1]);
});

Deno.test("old observations leave the quantiles after the horizon", () => {
  const aggregate = new Aggregate({ maxObservations: 20, random: lcg(1) });
  const observe = (value: number) => {
    const line = `a${`:${value}`.repeat(1_000)}|h`;
    for (let i = 0; i < 300; i++) send(aggregate, line);
  };
  observe(1);
  assertEquals(values(aggregate)['a{quantile="0.5"}'], 1);
  observe(2);
  assertEquals(values(aggregate)['a{quantile="0.5"}'], 2);
  assertEquals(values(aggregate)["a_count"], 600_000);
});

Deno.test("busiest() returns the series with the most samples since the last call", () => {
  const aggregate = aggregated([
    ...["a:1|c", "a:1|c", "a:1|c", "b:1|g", "b:1|g"],
    ...["c:1|ms|#x:1", "d:1|h:2|h:3|h:4|h"],
  ]);
  assertEquals(aggregate.busiest(3), [
    { name: "d", kind: "timing", samples: 4 },
    { name: "a", kind: "counter", samples: 3 },
    { name: "b", kind: "gauge", samples: 2 },
  ]);
  assertEquals(aggregate.busiest(3), []);
  send(aggregate, "c:1|ms|#x:1");
  assertEquals(aggregate.busiest(3), [
    { name: 'c{x="1"}', kind: "timing", samples: 1 },
  ]);
});

Deno.test("a flood of names leaves known series correct", () => {
  const maxSeries = 1_000;
  const aggregate = new Aggregate({ maxSeries });
  send(aggregate, "known:1|c|#x:1");
  for (let i = 0; i < 200_000; i += 100) {
    const flood = Array.from({ length: 100 }, (_, j) => `n${i + j}:1|c|#y:1`);
    send(aggregate, flood.join("\n"), "known:1|c|#x:1");
  }
  assertEquals(values(aggregate)['known{x="1"}'], 2_001);
  assertEquals(aggregate.size, maxSeries);
  assert(aggregate.spellings <= 2 * maxSeries);
  assertEquals(errors(aggregate), { series_limit: 200_001 - maxSeries });
});

Deno.test("errors has a zero for every reason from the start", () => {
  const reasons: (Reason | Refusal)[] = ["malformed_line", "kind_conflict"];
  const { errors } = new Aggregate();
  for (const reason of reasons) assertEquals(errors[reason], 0);
});

/** Returns pseudorandom numbers in [0, 1), reproducible by seed. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
