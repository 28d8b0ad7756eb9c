import { assertEquals } from "@std/assert";
import {
  MAX_LINE,
  MAX_NAME,
  MAX_TAGS,
  MIN_RATE,
  parsePacket,
  parseTags,
  type Reason,
  REASONS,
  type Sample,
  type Sink,
  type Skipped,
  TAG_STYLES,
  type TagStyle,
  tagSyntax,
} from "../../examples/statsd/parse.ts";

/** Copy of a sample, which is lent only. */
type Kept = Pick<
  Sample,
  "name" | "kind" | "value" | "member" | "relative" | "rate" | "tags"
>;

class Found implements Sink {
  lines = 0;
  samples: Kept[] = [];
  errors: Reason[] = [];
  skipped: Skipped[] = [];

  line(): void {
    this.lines++;
  }
  sample(sample: Sample): void {
    const { name, kind, value, member, relative, rate, tags } = sample;
    this.samples.push({ name, kind, value, member, relative, rate, tags });
  }
  error(reason: Reason): void {
    this.errors.push(reason);
  }
  skip(what: Skipped): void {
    this.skipped.push(what);
  }
}

function parse(packet: string | Uint8Array, styles?: TagStyle[]): Found {
  const found = new Found();
  const data = typeof packet === "string"
    ? new TextEncoder().encode(packet)
    : packet;
  parsePacket(data, found, styles && tagSyntax(styles));
  return found;
}

function sample(fields: Partial<Kept>): Kept {
  return {
    name: "foo",
    kind: "counter",
    value: 0,
    member: "",
    relative: false,
    rate: 1,
    tags: "",
    ...fields,
  };
}

const GOOD: [line: string, samples: Partial<Kept>[]][] = [
  ["foo:2|c", [{ value: 2 }]],
  ["foo:+2|c", [{ value: 2 }]],
  ["foo:-2|c", [{ value: -2 }]],
  ["foo:2.5|c", [{ value: 2.5 }]],
  ["foo:.5|c", [{ value: 0.5 }]],
  ["foo:5.|c", [{ value: 5 }]],
  ["foo:1e3|c", [{ value: 1000 }]],
  ["foo:1.5E-3|c", [{ value: 0.0015 }]],
  ["foo:007|c", [{ value: 7 }]],
  ["foo:999999999999999|c", [{ value: 999999999999999 }]],
  ["foo:9007199254740993|c", [{ value: 9007199254740992 }]],
  ["foo:3|g", [{ kind: "gauge", value: 3 }]],
  ["foo:+3|g", [{ kind: "gauge", value: 3, relative: true }]],
  ["foo:-3.5|g", [{ kind: "gauge", value: -3.5, relative: true }]],
  ["foo:200|ms", [{ kind: "timing", value: 200 }]],
  ["foo:200|h", [{ kind: "histogram", value: 200 }]],
  ["foo:200|d", [{ kind: "distribution", value: 200 }]],
  ["foo:765|s", [{ kind: "set", member: "765" }]],
  ["foo:user one|s", [{ kind: "set", member: "user one" }]],
  ["foo:2001:db8::1|s", [{ kind: "set", member: "2001:db8::1" }]],
  ["foo:2|c|@0.1", [{ value: 2, rate: 0.1 }]],
  ["foo:2|c|@1", [{ value: 2 }]],
  ["foo:2|c|@0", [{ value: 2 }]],
  ["foo:2|c|@2", [{ value: 2 }]],
  ["foo:2|c|@1e-9", [{ value: 2, rate: MIN_RATE }]],
  ["foo:2|ms|@0.5", [{ kind: "timing", value: 2, rate: 0.5 }]],
  ["foo:2|c|#a:1,b:2", [{ value: 2, tags: "a:1,b:2" }]],
  ["foo:2|c|#a:1,#b:2", [{ value: 2, tags: "a:1,#b:2" }]],
  ["foo:2|c|#a:1|#b:2", [{ value: 2, tags: "a:1,b:2" }]],
  ["foo:2|c|#", [{ value: 2 }]],
  ["foo:2|c|#a:1|@0.5", [{ value: 2, rate: 0.5, tags: "a:1" }]],
  ["foo:2|c|@0.5|#url:http://x:80/", [
    { value: 2, rate: 0.5, tags: "url:http://x:80/" },
  ]],
  ["foo:2|c|T1656581400", [{ value: 2 }]],
  ["foo:2|c|T5", [{ value: 2 }]],
  ["foo:2|c|T+5", [{ value: 2 }]],
  ["foo:2|c|T-5", [{ value: 2 }]],
  ["foo:2|c|@1|@1|@1|@1|@1|@1", [{ value: 2 }]],
  ["\ufefffoo:2|c", [{ name: "\ufefffoo", value: 2 }]],
  ["foo:2|c|c:ci-83f2", [{ value: 2 }]],
  ["foo:2|c|e:it-false,cn-web|card:low", [{ value: 2 }]],
  ["foo:2|c|@0.5|#a:1|c:in-4711|T1656581400", [
    { value: 2, rate: 0.5, tags: "a:1" },
  ]],
  ["foo:1:2:3|h", [
    { kind: "histogram", value: 1 },
    { kind: "histogram", value: 2 },
    { kind: "histogram", value: 3 },
  ]],
  ["foo:0.5:120|ms|@0.5|#a:1", [
    { kind: "timing", value: 0.5, rate: 0.5, tags: "a:1" },
    { kind: "timing", value: 120, rate: 0.5, tags: "a:1" },
  ]],
  ["foo:1:2|d|c:ci-83f2", [
    { kind: "distribution", value: 1 },
    { kind: "distribution", value: 2 },
  ]],
  ["foo:200|ms:300|ms:5|c|@0.1:6|g", [
    { kind: "timing", value: 200 },
    { kind: "timing", value: 300 },
    { value: 5, rate: 0.1 },
    { kind: "gauge", value: 6 },
  ]],
  ["foo,a=1,b=2:3|c", [{ value: 3, tags: "a:1,b:2" }]],
  ["foo#a=1,b=2:3|c", [{ value: 3, tags: "a:1,b:2" }]],
  ["fo[a=1,b=2]o:3|c", [{ value: 3, tags: "a:1,b:2" }]],
  ["foo[]:3|c", [{ value: 3 }]],
  ["foo,a=b=c:3|c", [{ value: 3, tags: "a:b=c" }]],
  ["foo,a:3|c", [{ value: 3, tags: "a" }]],
  // A lone bracket is a tag error.
  ["fo[o:3|c", [{ name: "fo[o", value: 3, tags: "[" }]],
  ["f]o[o:3|c", [{ name: "f]o[o", value: 3, tags: "[" }]],
  ["foo,bad:1|c|#b:2", [{ value: 1, tags: "bad,b:2" }]],
  ["foo,bad,:1|c|#b:2", [{ value: 1, tags: "bad,b:2" }]],
  ["[foo:1|c|#b:2", [{ name: "[foo", value: 1, tags: "[,b:2" }]],
  ["späß.🎉:3|c|#ort:Köln", [
    { name: "späß.🎉", value: 3, tags: "ort:Köln" },
  ]],
  ["__proto__:1|c|#constructor:x", [
    { name: "__proto__", value: 1, tags: "constructor:x" },
  ]],
];

for (const [line, samples] of GOOD) {
  Deno.test(`parsePacket() reads ${line}`, () => {
    const found = parse(line);
    assertEquals(found.samples, samples.map(sample));
    assertEquals([found.lines, found.errors], [1, []]);
  });
}

const STYLES: [
  line: string,
  styles: TagStyle[],
  samples: Partial<Kept>[],
  error?: Reason,
][] = [
  ["f[__1]oo:1|c", ["dogstatsd"], [{ name: "f[__1]oo", value: 1 }]],
  ["f[__1]oo:1|c", ["influxdb", "librato"], [{ name: "f[__1]oo", value: 1 }]],
  ["foo[:1|c", ["dogstatsd"], [{ name: "foo[", value: 1 }]],
  ["f[a=1]oo:1|c", ["signalfx"], [{ value: 1, tags: "a:1" }]],
  ["foo,a=1:1|c", ["signalfx"], [{ name: "foo,a=1", value: 1 }]],
  ["foo,a=1:1|c", ["librato"], [{ name: "foo,a=1", value: 1 }]],
  ["foo,a=1:1|c", ["influxdb"], [{ value: 1, tags: "a:1" }]],
  ["foo#a=1:1|c", ["influxdb"], [{ name: "foo#a=1", value: 1 }]],
  ["foo#a=1:1|c", ["librato"], [{ value: 1, tags: "a:1" }]],
  ["foo#b,a=1:1|c", ["influxdb"], [{ name: "foo#b", value: 1, tags: "a:1" }]],
  ["foo,b#a=1:1|c", ["librato"], [{ name: "foo,b", value: 1, tags: "a:1" }]],
  ["foo,a=1,b#=2:1|c", ["influxdb", "librato"], [
    { value: 1, tags: "a:1,b#:2" },
  ]],
  ["foo:1|c|#a:1", ["influxdb"], [{ value: 1 }]],
  ["foo:1|c|#a:1", [], [{ value: 1 }]],
  [`foo:1|c|#${"x".repeat(MAX_TAGS + 1)}`, [], [{ value: 1 }]],
  ["foo:1|c|@0.5|#a:1|#b:2", ["dogstatsd"], [
    { value: 1, rate: 0.5, tags: "a:1,b:2" },
  ]],
  ["foo,a=1:1|c|#b:2", ["influxdb"], [{ value: 1, tags: "a:1" }]],
  ["foo,a=1:1|c|#b:2", ["influxdb", "dogstatsd"], [], "mixed_tagging_styles"],
  ["foo,a=1:1|c|#b:2", ["dogstatsd"], [
    { name: "foo,a=1", value: 1, tags: "b:2" },
  ]],
  // A colon in tags that are not read ends no group either.
  ["foo:1|c|#a:1:2", [], [{ value: 1 }]],
];

for (const [line, styles, samples, error] of STYLES) {
  const shown = line.length > 40 ? `${line.slice(0, 40)}…` : line;
  Deno.test(`parsePacket() reads ${shown} with the styles [${styles}]`, () => {
    const found = parse(line, styles);
    assertEquals(found.samples, samples.map(sample));
    assertEquals(found.errors, error === undefined ? [] : [error]);
  });
}

Deno.test("parsePacket() reads every style by default", () => {
  for (
    const line of ["f[a=1]oo:1|c", "foo,a=1:1|c", "foo#a=1:1|c", "foo:1|c|#a:1"]
  ) {
    assertEquals(parse(line), parse(line, [...TAG_STYLES]));
    assertEquals(parse(line).samples, [sample({ value: 1, tags: "a:1" })]);
  }
});

Deno.test("parsePacket() lends each line to its sink before anything about it", () => {
  const heard: string[] = [];
  const hear = (what: string) => () => void heard.push(what);
  parsePacket(new TextEncoder().encode("a:1|c\r\n\nb\n_sc|x|0\nc:1|c"), {
    line: (data, from, to) => {
      heard.push(new TextDecoder().decode(data.subarray(from, to)));
    },
    ...{ sample: hear("sample"), error: hear("error"), skip: hear("skip") },
  });
  assertEquals(heard, [
    ...["a:1|c", "sample", "b", "error", "_sc|x|0", "skip", "c:1|c", "sample"],
  ]);
});

Deno.test("parsePacket() reads every decimal number as JavaScript does", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const random = lcg(seed);
  const digits = (most: number) =>
    Array.from(
      { length: Math.floor(random() * (most + 1)) },
      () => Math.floor(random() * 10),
    ).join("");
  for (let i = 0; i < 20_000; i++) {
    const point = random() < 0.7 ? "." : "";
    const exponent = random() < 0.2 ? `e${Math.floor(random() * 40) - 20}` : "";
    const text = `${digits(12)}${point}${digits(12)}${exponent}`;
    const value = Number(text);
    if (!/\d/.test(text.split("e")[0]!)) continue;
    const found = parse(`foo:${text}|h`);
    assertEquals(found.samples.map(({ value }) => value), [value], text);
  }
});

// Lines of the benchmark of statsd_exporter, with the number of samples it reads.
const MIXED: [line: string, samples: number][] = [
  ["foo1:2|c", 1],
  ["foo2:3|g", 1],
  ["foo3:200|ms", 1],
  ["foo4:100|c|#tag1:bar,tag2:baz", 1],
  ["foo5:100|c|#tag1:bar,#tag2:baz", 1],
  ["foo6:100|c|#09digits:0,tag.with.dots:1", 1],
  ["foo10:100|c|@0.1|#tag1:bar,#tag2:baz", 1],
  ["foo11:100|c|@0.1|#tag1:foo:bar", 1],
  ["foo.[foo=bar,dim=val]test:1|g", 1],
  ["foo15:200|ms:300|ms:5|c|@0.1:6|g\nfoo15a:1|c:5|ms", 6],
  ["some_very_useful_metrics_with_quite_a_log_name:13|c", 1],
];

Deno.test("parsePacket() reads a packet of the mixed lines of statsd_exporter", () => {
  for (const [line, samples] of MIXED) {
    assertEquals(parse(line).samples.length, samples, line);
  }
  const found = parse(MIXED.map(([line]) => line).join("\n"));
  assertEquals(
    [found.lines, found.samples.length, found.errors],
    [12, 16, []],
  );
});

const long = (length: number): string => "x".repeat(length);

const BAD: [line: string, ...errors: Reason[]][] = [
  ["foo", "malformed_line"],
  [":1|c", "malformed_line"],
  ["#a=1:1|c", "malformed_line"],
  ["[a=1]:1|c", "malformed_line"],
  [`${long(MAX_LINE - 3)}:1|c`, "line_too_long"],
  [`${long(MAX_NAME + 1)}:1|c`, "field_too_long"],
  [`foo:${long(MAX_NAME + 1)}|s`, "field_too_long"],
  [`foo:1|c|#${long(MAX_TAGS + 1)}`, "field_too_long"],
  [`foo,${long(MAX_TAGS + 1)}:1|c`, "field_too_long"],
  ["foo,a=1:1|c|#b:2", "mixed_tagging_styles"],
  ["foo#a=1:1|c|@0.1|#b:2", "mixed_tagging_styles"],
  ["foo[a=1]:1|c|#b:2", "mixed_tagging_styles"],
  ["foo:1", "not_enough_parts_after_colon"],
  ["foo:", "not_enough_parts_after_colon"],
  ["foo:1:2", "not_enough_parts_after_colon"],
  ["foo:1:2|c", "invalid_extended_aggregate_type"],
  ["foo:1:2|g", "invalid_extended_aggregate_type"],
  ["foo:1:2|x", "invalid_extended_aggregate_type"],
  ["foo:1:2|h:3", "invalid_extended_aggregate_type"],
  ["foo:1:2|h:3|c", "invalid_extended_aggregate_type"],
  ["foo:1|c||", "malformed_component"],
  ["foo:1|c|@0.1|", "malformed_component"],
  ["foo:1|c|@1|@1|@1|@1|@1|@1|@1", "malformed_component"],
  ["foo:1|c|x|", "malformed_component"],
  ["foo:1|c|@x|", "malformed_component"],
  ["foo:x|c|@1|@1|@1|@1|@1|@1|@1", "malformed_component"],
  ["foo:x|c|", "malformed_value"],
  ["foo:1e308|c|@0.000001", "malformed_value"],
  ["foo:1e308|h|@0.000001", "malformed_value"],
  ["foo:|c", "malformed_value"],
  ["foo:|s", "malformed_value"],
  ["foo:x|c", "malformed_value"],
  ["foo:x|x", "malformed_value"],
  ["foo:1 |c", "malformed_value"],
  ["foo:1.2.3|c", "malformed_value"],
  ["foo:-|g", "malformed_value"],
  ["foo:.|g", "malformed_value"],
  ["foo:1e|g", "malformed_value"],
  ["foo:1e+|g", "malformed_value"],
  ["foo:0x10|g", "malformed_value"],
  ["foo:nan|g", "malformed_value"],
  ["foo:Infinity|g", "malformed_value"],
  ["foo:1e999|c", "malformed_value"],
  ["foo:x:y|h", "malformed_value", "malformed_value"],
  ["foo:1|c|what", "invalid_sample_factor"],
  ["foo:1|c|@x|what", "invalid_sample_factor", "invalid_sample_factor"],
  ["foo:1|x|@x", "invalid_sample_factor", "illegal_event"],
  ["foo:1|c|c:", "malformed_container_id"],
  ["foo:1|c|container", "malformed_container_id"],
  ["foo:1|c|T", "malformed_timestamp"],
  ["foo:1|c|T+", "malformed_timestamp"],
  ["foo:1|c|T-", "malformed_timestamp"],
  ["foo:1|c|T+-1", "malformed_timestamp"],
  ["foo:1|c|Tx1", "malformed_timestamp"],
  ["foo:1|c|what|#a:1", "invalid_sample_factor"],
  ["foo:1|c|what|T1", "invalid_sample_factor"],
  ["foo:1||c", "malformed_container_id"],
  ["foo::1|h:2|h", "invalid_extended_aggregate_type"],
  ["foo:1|c|T12x", "malformed_timestamp"],
  ["foo:1|x", "illegal_event"],
  ["foo:1|", "illegal_event"],
  ["foo:1|cc", "illegal_event"],
  ["foo:1|c:2|#a:1", "illegal_event"],
];

for (const [line, ...errors] of BAD) {
  const title = line.length > 40 ? `${line.slice(0, 40)}…` : line;
  Deno.test(`parsePacket() refuses ${title} as ${errors[0]}`, () => {
    const found = parse(line);
    assertEquals(found.errors, errors);
    assertEquals([found.lines, found.samples], [1, []]);
  });
}

Deno.test("parsePacket() takes a sample with a malformed rate as one that was not sampled", () => {
  for (const rate of ["x", "", "-0.5", "nan", "1x"]) {
    const found = parse(`foo:2|c|@${rate}|#a:1`);
    assertEquals(found.samples, [sample({ value: 2, tags: "a:1" })], rate);
    assertEquals(found.errors, ["invalid_sample_factor"], rate);
  }
  const packed = parse("foo:1:2|h|@x");
  assertEquals(packed.samples.map(({ value }) => value), [1, 2]);
  assertEquals(packed.errors, Array(2).fill("invalid_sample_factor"));
});

Deno.test("the table above has a bad line for every reason", () => {
  const seen = new Set(BAD.flatMap(([, ...errors]) => errors));
  assertEquals(REASONS.filter((reason) => !seen.has(reason)), []);
});

Deno.test("parsePacket() takes the good samples of a line with a bad one", () => {
  const packed = parse("foo:1:x:3|h");
  assertEquals(packed.samples.map(({ value }) => value), [1, 3]);
  assertEquals(packed.errors, ["malformed_value"]);

  const several = parse("foo:1|c|x:2|c:3|q:4|c:5:6|h");
  assertEquals(several.samples.map(({ value }) => value), [2, 4, 6]);
  assertEquals(several.errors, [
    ...["invalid_sample_factor", "illegal_event", "malformed_component"],
  ]);

  const last = parse("foo:1|c:2");
  assertEquals(last.samples.map(({ value }) => value), [1]);
  assertEquals(last.errors, ["malformed_component"]);
});

const PACKETS: [packet: string, lines: number][] = [
  ["", 0],
  ["\n", 0],
  ["\r\n\n\r\n", 0],
  ["a:1|c", 1],
  ["a:1|c\n", 1],
  ["a:1|c\nb:1|c", 2],
  ["a:1|c\r\nb:1|c\r\n", 2],
  ["\n\na:1|c\n\n\nb:1|c\n\n", 2],
];

Deno.test("parsePacket() splits a packet into the lines that are not empty", () => {
  for (const [packet, lines] of PACKETS) {
    const found = parse(packet);
    assertEquals(
      [found.lines, found.samples.length, found.errors],
      [lines, lines, []],
      JSON.stringify(packet),
    );
  }
});

Deno.test("parsePacket() never reads into the next line", () => {
  for (
    const line of [..."@#TcegX:|_[,"].flatMap((end) => [
      `a${end}`,
      `a:1${end}`,
      `a:1|${end}`,
      `a:1|c|${end}`,
      `a:1|c${end}`,
    ])
  ) {
    const alone = parse(line);
    const before = parse(`${line}\n:1|c|#x:y`);
    assertEquals(before.samples, alone.samples, line);
    assertEquals(before.errors, [...alone.errors, "malformed_line"], line);
  }
});

const LONGEST: [what: string, line: string, samples?: number][] = [
  ["name", `${long(MAX_NAME)}:1|c`],
  ["name beside tags", `${long(MAX_NAME)},a=1:1|c`],
  ["tags in the name", `foo,a=${long(MAX_TAGS - 2)}:1|c`],
  ["section of tags", `foo:1|c|#a:${long(MAX_TAGS - 2)}`],
  ["member", `foo:${long(MAX_NAME)}|s`],
  ["line", `foo:${"1:".repeat((MAX_LINE - 8) / 2)}12|h`, MAX_LINE / 2 - 3],
];

for (const [what, line, samples = 1] of LONGEST) {
  Deno.test(`parsePacket() takes a ${what} of the maximum length`, () => {
    const found = parse(line);
    assertEquals([found.errors, found.samples.length], [[], samples]);
    if (what === "line") assertEquals(line.length, MAX_LINE);
  });
}

Deno.test("parseTags() returns the first faulty tag", () => {
  const { labels, errors, firstError } = parseTags("a:1,b,c:,:d");
  assertEquals([...labels], [["a", "1"]]);
  assertEquals([errors, firstError], [3, "b"]);
  assertEquals(parseTags("a:1").firstError, undefined);
});

Deno.test("parsePacket() skips the events and service checks of DogStatsD", () => {
  const found = parse(
    "_e{5,4}:title|text|#a:1\n_sc|db|2|m:down\n_e:1|c\n_scan:1|c\n_e{\n_sc|",
  );
  assertEquals(found.skipped, [
    ...["event", "service_check", "event", "service_check"] as const,
  ]);
  assertEquals(found.samples.map(({ name }) => name), ["_e", "_scan"]);
  assertEquals([found.lines, found.errors], [6, []]);
});

Deno.test("parsePacket() refuses lines that are not UTF-8, and only those", () => {
  const good = new TextEncoder().encode("a:1|c|#ort:Köln\n");
  const bad = [...new TextEncoder().encode("b:1|c|#x:"), 0xc3, 0x28, 0x0a];
  const cut = [...new TextEncoder().encode("c:1|c|#x:"), 0xf0, 0x9f, 0x0a];
  const found = parse(new Uint8Array([...good, ...bad, ...cut, ...good]));
  assertEquals(found.samples.map(({ name }) => name), ["a", "a"]);
  assertEquals(found.errors, ["malformed_line", "malformed_line"]);
});

Deno.test("parsePacket() reads the largest packet of UDP", () => {
  const size = 65_507;
  const line = "some.counter:1|c\n";
  const found = parse(
    line.repeat(Math.ceil(size / line.length)).slice(
      0,
      size,
    ),
  );
  assertEquals(found.lines, Math.ceil(size / line.length));
  assertEquals(found.samples.length + found.errors.length, found.lines);
  assertEquals(parse(`a:${"1:".repeat(32_750)}1|h`).samples.length, 32_751);
});

Deno.test("parsePacket() has an outcome for every line of random bytes", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const random = lcg(seed);
  const bytes = Uint8Array.from({ length: 1_000_000 }, () => random() * 256);
  const letters = new TextEncoder().encode("ab:12|cgmshd@#,.+-[]T_e{\r\n\n");
  const likely = Uint8Array.from(
    { length: 1_000_000 },
    () => letters[Math.floor(random() * letters.length)] ?? 0,
  );
  for (const data of [bytes, likely]) {
    const whole = parse(data);
    // A line is read the same way alone, and has at least one outcome.
    let lines = 0;
    let outcomes = 0;
    for (const line of splitLines(data)) {
      const found = parse(line);
      const count = found.samples.length + found.errors.length +
        found.skipped.length;
      assertEquals(count > 0, found.lines === 1);
      lines += found.lines;
      outcomes += count;
    }
    assertEquals(whole.lines, lines);
    assertEquals(
      whole.samples.length + whole.errors.length + whole.skipped.length,
      outcomes,
    );
  }
});

function* splitLines(data: Uint8Array): Generator<Uint8Array> {
  let from = 0;
  while (from < data.length) {
    const feed = data.indexOf(0x0a, from);
    const to = feed === -1 ? data.length : feed;
    yield data.subarray(from, to);
    from = to + 1;
  }
}

/** Returns pseudorandom numbers in [0, 1), reproducible by seed. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const TAGS: [text: string, labels: [string, string][], errors: number][] = [
  ["", [], 0],
  ["a:1", [["a", "1"]], 0],
  ["a:1,b:2", [["a", "1"], ["b", "2"]], 0],
  ["a:1,#b:2", [["a", "1"], ["b", "2"]], 0],
  ["a:b:c", [["a", "b:c"]], 0],
  ["a:1,a:2", [["a", "2"]], 0],
  ["a.b:1,a_b:2,a.b:3", [["a_b", "2"], ["a.b", "3"]], 0],
  ["a:1,", [["a", "1"]], 0],
  ["a:1,,", [["a", "1"]], 1],
  ["urgent", [], 1],
  ["urgent,a:1", [["a", "1"]], 1],
  [":1,a:,:", [], 3],
  ["#", [], 1],
  ["__proto__:1", [["__proto__", "1"]], 0],
];

Deno.test("takes tags apart", () => {
  for (const [text, labels, errors] of TAGS) {
    const tags = parseTags(text);
    assertEquals([[...tags.labels], tags.errors], [labels, errors], text);
  }
});
