// Native histograms: their buckets, and the protobuf format that has them.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Aggregate } from "../../examples/statsd/aggregate.ts";
import { expose, type Family } from "../../examples/statsd/expose.ts";
import { exposeProtobuf } from "../../examples/statsd/expose_protobuf.ts";
import { NativeBuckets } from "../../examples/statsd/native_buckets.ts";
import { parsePacket } from "../../examples/statsd/parse.ts";
import { Random } from "./statsd_random.ts";

const budget = (observations: number) => ({
  ...{ members: 0, text: 0, observations },
});

function bucketsOf(...values: number[]): NativeBuckets {
  const buckets = new NativeBuckets();
  for (const value of values) assert(buckets.add(value, 1, budget(1_000)));
  return buckets;
}

const INDICES: [value: number, index: number][] = [
  [1, 0],
  [1.0000001, 1],
  [1 + Number.EPSILON, 1],
  [2 + 2 * Number.EPSILON, 9],
  [2 ** 100 * (1 + Number.EPSILON), 801],
  [1 - Number.EPSILON / 2, 0],
  [2, 8],
  [2.0000001, 9],
  [0.5, -8],
  [0.5000001, -7],
  [Math.SQRT2, 4],
  [1.4142136, 5],
  [1.09, 1],
  [1.0905077, 1],
  [1.0905078, 2],
  [0.9170041, 0],
  [0.917004, -1],
  [2 ** 1023, 8_184],
  [Number.MAX_VALUE, 8_192],
  [2 ** -127, -1_016],
];

Deno.test("NativeBuckets puts a value into the bucket whose upper bound it does not exceed", () => {
  for (const [value, index] of INDICES) {
    assertEquals(bucketsOf(value).exposed().positive, [[index, 1]], `${value}`);
    assertEquals(bucketsOf(-value).exposed().negative, [[index, 1]]);
  }
});

Deno.test("NativeBuckets puts each power of two at the upper end of its bucket", () => {
  for (let e = -127; e <= 1_023; e++) {
    assertEquals(bucketsOf(2 ** e).exposed().positive, [[8 * e, 1]]);
  }
});

Deno.test("NativeBuckets finds the bucket of random values", () => {
  const random = new Random();
  for (let i = 0; i < 20_000; i++) {
    const value = 2 ** (200 * random.next() - 100);
    const [[index]] = bucketsOf(value).exposed().positive as [[number, number]];
    // The bounds are rounded, here and in other implementations.
    assert(value <= 2 ** (index / 8) * (1 + 1e-14), `${value} in ${index}`);
    assert(
      value > 2 ** ((index - 1) / 8) * (1 - 1e-14),
      `${value} in ${index}`,
    );
  }
});

Deno.test("NativeBuckets counts tiny values as zero", () => {
  const { positive, negative, zeroCount, zeroThreshold, schema } = bucketsOf(
    ...[0, -0, 2 ** -128, -(2 ** -128), 5e-324, 2 ** -127],
  ).exposed();
  assertEquals([zeroCount, zeroThreshold, schema], [5, 2 ** -128, 3]);
  assertEquals([positive, negative], [[[-1_016, 1]], []]);
});

Deno.test("NativeBuckets adds weights and sorts buckets", () => {
  const buckets = new NativeBuckets();
  for (const [value, weight] of [[4, 2], [1, 3], [4, 5], [-2, 1], [-8, 1]]) {
    buckets.add(value!, weight!, budget(1_000));
  }
  const { positive, negative } = buckets.exposed();
  assertEquals(positive, [[0, 3], [16, 7]]);
  assertEquals(negative, [[8, 1], [24, 1]]);
  assertEquals(buckets.size, 4);
});

Deno.test("NativeBuckets halves its resolution beyond 160 buckets and loses no count", () => {
  const buckets = new NativeBuckets();
  const memory = budget(1_000_000);
  const value = (i: number) => 2 ** (i / 8);
  for (let i = 0; i < 160; i++) buckets.add(value(i), 1, memory);
  assertEquals([buckets.size, buckets.exposed().schema], [160, 3]);
  assertEquals(memory.observations, 1_000_000 - 159);
  buckets.add(value(0), 1, memory);
  assertEquals(buckets.exposed().schema, 3);
  buckets.add(value(160), 1, memory);
  const { schema, positive } = buckets.exposed();
  assertEquals(schema, 2);
  // Index 0 alone, then pairs.
  assertEquals(positive.slice(0, 3), [[0, 2], [1, 2], [2, 2]]);
  assertEquals(positive.length, 81);
  assertEquals(memory.observations, 1_000_000 - 80);
  assertEquals(positive.reduce((sum, [, count]) => sum + count, 0), 162);
  buckets.release(memory);
  assertEquals(memory.observations, 1_000_000);
});

Deno.test("NativeBuckets with the lowest resolution holds every float", () => {
  const buckets = new NativeBuckets();
  for (let e = -127; e <= 1_023; e++) {
    for (const sign of [1, -1]) {
      assert(buckets.add(sign * 1.5 * 2 ** e, 1, budget(1_000)));
    }
  }
  const { schema, positive, negative } = buckets.exposed();
  assertEquals(schema, -4);
  assertEquals(positive, negative);
  // 2 ** -127 to 2 ** 1024, 16 powers per bucket, the upper bound included.
  assertEquals([positive.at(0)?.[0], positive.at(-1)?.[0]], [-7, 64]);
  assertEquals(positive.reduce((sum, [, count]) => sum + count, 0), 1_151);
});

Deno.test("NativeBuckets keeps its first bucket and refuses more at the end of the budget", () => {
  const buckets = new NativeBuckets();
  const none = budget(0);
  assert(buckets.add(1, 1, none));
  // In the same bucket at some resolution.
  assert(buckets.add(0.9, 1, none));
  assert(buckets.exposed().schema < 3);
  assert(!buckets.add(2, 1, none));
  assert(!buckets.add(-1, 1, none));
  assert(buckets.add(0, 1, none));
  const { positive, zeroCount, schema } = buckets.exposed();
  assertEquals([positive, zeroCount, schema], [[[0, 2]], 1, -4]);
  assertEquals(none.observations, 0);
  buckets.release(none);
  assertEquals(none.observations, 0);
});

function aggregated(...lines: string[]): Aggregate {
  const aggregate = new Aggregate({ buckets: "native" });
  parsePacket(new TextEncoder().encode(lines.join("\n")), aggregate);
  return aggregate;
}

Deno.test("a native histogram is a histogram with one bucket in the text formats", () => {
  const aggregate = aggregated("a:100:300|ms|#x:1", "a:1|h|@0.1");
  const text = [...expose("text", aggregate.families())].join("");
  assertStringIncludes(
    text,
    `# TYPE a histogram
a_bucket{x="1",le="+Inf"} 2
a_sum{x="1"} 0.4
a_count{x="1"} 2
a_bucket{le="+Inf"} 10
a_sum 10
a_count 10
`,
  );
});

/** Fields of a message: number, and a varint, a float, or bytes. */
type Fields = [field: number, value: bigint | number | Uint8Array][];

/** Decodes a message, independently of the encoder. */
function decode(data: Uint8Array): Fields {
  const fields: Fields = [];
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = data[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = Number(varint());
    const field = key >> 3;
    if ((key & 7) === 0) fields.push([field, varint()]);
    else if ((key & 7) === 1) {
      fields.push([field, view.getFloat64(at, true)]);
      at += 8;
    } else if ((key & 7) === 2) {
      const length = Number(varint());
      fields.push([field, data.subarray(at, at + length)]);
      at += length;
    } else throw new Error(`unknown wire type in ${key}`);
  }
  assertEquals(at, data.length);
  return fields;
}

const text = (value: unknown) => new TextDecoder().decode(value as Uint8Array);

function all(fields: Fields, field: number): Uint8Array[] {
  return fields.filter(([number]) => number === field)
    .map(([, value]) => value as Uint8Array);
}

/** Undoes the zigzag coding of signed numbers. */
function signed(value: bigint): number {
  return Number(value & 1n ? -(value + 1n) / 2n : value / 2n);
}

function messages(...sources: Iterable<Family>[]): Fields[] {
  const found: Fields[] = [];
  for (const message of exposeProtobuf(...sources)) {
    let length = 0;
    let at = 0;
    for (;; at++) {
      length += (message[at]! & 0x7f) * 0x80 ** at;
      if (message[at]! < 0x80) break;
    }
    assertEquals(message.length, at + 1 + length);
    found.push(decode(message.subarray(at + 1)));
  }
  return found;
}

/** Returns the metrics of a family by name. */
function metrics(name: string, found: Fields[]): Fields[] {
  return found.filter((fields) => text(all(fields, 1)[0]) === name)
    .flatMap((fields) => all(fields, 4).map(decode));
}

Deno.test("exposeProtobuf() writes names, help, types, labels and values", () => {
  const aggregate = aggregated(
    'c:3|c|#b:2,a:"q\\\\',
    "g:-1.5|g",
    "s:x|s",
  );
  const found = messages(aggregate.families());
  const heads = found.map((fields) => [
    text(all(fields, 1)[0]),
    text(all(fields, 2)[0]),
    fields.find(([field]) => field === 3)?.[1],
  ]).slice(-3);
  assertEquals(heads, [
    ["c", "StatsD counter c.", 0n],
    ["g", "StatsD gauge g.", 1n],
    ["s", "StatsD set s.", 1n],
  ]);
  const [counter] = metrics("c", found);
  const labels = all(counter!, 1).map((label) =>
    decode(label).map(([, value]) => text(value))
  );
  assertEquals(labels, [["a", '"q\\\\'], ["b", "2"]]);
  assertEquals(decode(all(counter!, 3)[0]!), [[1, 3]]);
  assertEquals(decode(all(metrics("g", found)[0]!, 2)[0]!), [[1, -1.5]]);
});

Deno.test("exposeProtobuf() writes summaries and classic histograms", () => {
  const family = (
    type: Family["type"],
    samples: Family["samples"],
  ): Family => ({
    ...{ name: "a", help: "A.", type, samples },
  });
  const rest = [
    { suffix: "_sum", value: 2.5 } as const,
    { suffix: "_count", value: 2 ** 40 + 1 } as const,
  ];
  const [summary] = metrics(
    "a",
    messages([
      family("summary", [{ quantile: 0.5, value: 0.25 }, ...rest]),
    ]),
  );
  const fields = decode(all(summary!, 4)[0]!);
  assertEquals(decode(all(fields, 3)[0]!), [[1, 0.5], [2, 0.25]]);
  assertEquals(fields.filter(([field]) => field !== 3), [
    ...[[2, 2.5], [1, 2n ** 40n + 1n]] as Fields,
  ]);
  const [histogram] = metrics(
    "a",
    messages([
      family("histogram", [
        { suffix: "_bucket", le: 1, value: 127 },
        { suffix: "_bucket", le: Infinity, value: 128 },
        ...rest,
      ]),
    ]),
  );
  const found = decode(all(histogram!, 7)[0]!);
  assertEquals(all(found, 3).map(decode), [
    [[1, 127n], [2, 1]],
    [[1, 128n], [2, Infinity]],
  ]);
  assertEquals(found.at(-1), [1, 2n ** 40n + 1n]);
});

Deno.test("exposeProtobuf() writes native buckets as spans and differences", () => {
  const values = [
    ...[1, 1, 1, 1.05, 0, -4, -4],
    // Two buckets further, and one far below.
    ...[1.2, 0.001],
  ];
  const found = messages(
    aggregated(...values.map((v) => `a:${v}|h`)).families(),
  );
  const fields = decode(all(metrics("a", found)[0]!, 7)[0]!);
  const value = (field: number) =>
    fields.filter(([number]) => number === field).map(([, value]) => value);
  const spans = (field: number) =>
    all(fields, field).map((span) => {
      const [[, offset], [, length]] = decode(span) as [
        [number, bigint],
        [number, bigint],
      ];
      return [signed(offset), Number(length)];
    });
  const deltas = (field: number) =>
    value(field).map((delta) => signed(delta as bigint));
  assertEquals(signed(value(5)[0] as bigint), 3);
  assertEquals([value(6), value(7)], [[2 ** -128], [1n]]);
  assertEquals([value(1), value(2)], [[9n], [-2.749]]);
  // Index -79; 0 and 1; 3.
  assertEquals(spans(12), [[-79, 1], [78, 2], [1, 1]]);
  assertEquals(deltas(13), [1, 2, -2, 0]);
  assertEquals(spans(9), [[16, 1]]);
  assertEquals(deltas(10), [2]);
  assertEquals(value(3), []);
});

Deno.test("exposeProtobuf() splits a large family and keeps the lines of a series together", () => {
  const aggregate = new Aggregate();
  const lines = Array.from(
    { length: 5_000 },
    (_, i) => `a:1|h|#n:${"n".repeat(100)}${i}`,
  );
  parsePacket(new TextEncoder().encode(lines.join("\n")), aggregate);
  const found = messages(aggregate.families())
    .filter((fields) => text(all(fields, 1)[0]) === "a");
  assert(found.length > 1);
  const metrics = found.flatMap((fields) => all(fields, 4).map(decode));
  const labels = new Set(
    metrics.map((metric) => text(decode(all(metric, 1)[0]!)[1]?.[1])),
  );
  assertEquals([metrics.length, labels.size], [5_000, 5_000]);
  for (const metric of metrics) {
    assertEquals(decode(all(metric, 4)[0]!).length, 5);
  }
});
