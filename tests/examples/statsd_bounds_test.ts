// Memory of the service under floods, and losses at its end.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { interrupt } from "../bench/statsd_loss.ts";
import { StatsdService } from "./statsd_service.ts";

/** Returns the memory bound of the README, in bytes. */
function boundOf(maxSeries: number): number {
  return 300 * 2 ** 20 + maxSeries * 5_120;
}

const LONG = "x".repeat(900);
const NUMBERS = Array.from({ length: 60 }, (_, i) => i / 7).join(":");

/** Returns values of many sizes, each for a bucket of its own. */
const SIZES = (i: number) =>
  Array.from({ length: 30 }, (_, j) => `${2 ** ((30 * i + j) % 400 - 100)}`)
    .join(":");

/** Lines that are always new, by what they fill. */
const FLOODS: [
  what: string,
  line: (i: number) => string,
  maxSeries?: number,
  flags?: string[],
][] = [
  ["counters", (i) => `flood.${i}.${crypto.randomUUID()}:1|c|#tag:${i}`],
  ["timings", (i) => `flood.${i}.${crypto.randomUUID()}:1|ms|#tag:${i}`],
  ["sets", (i) => `flood.${i}.${crypto.randomUUID()}:1|s|#tag:${i}`],
  ["long names", (i) => `${LONG}${i}:1|h|#tag:${LONG}中`, 50_000],
  ["members", (i) => `flood${i % 9}:${crypto.randomUUID()}|s`],
  ["weights", (i) => `flood${i % 1_999}:${NUMBERS}|d|@0.3`],
  [
    "native buckets",
    (i) => `flood${i % 1_999}:${SIZES(i)}|d`,
    2_000,
    ["--buckets", "native"],
  ],
  ["spellings", (i) => `flood:1|c|#x:${i},y:${LONG},x:1,y:1`],
];

for (const [what, line, maxSeries = 2_000, flags = []] of FLOODS) {
  Deno.test(`a flood of ${what} stays within the memory bound of the README`, async () => {
    await using service = await StatsdService.start(
      ...["--tcp", "0", "--max-series", `${maxSeries}`, ...flags],
    );
    using conn = await Deno.connect(service.tcp);
    const rounds = 100;
    let memory = 0;
    let samples = new Map<string, number>();
    for (let round = 0; round < rounds; round++) {
      // Over TCP, which loses nothing at any rate.
      const flood = Array.from(
        { length: 500 },
        (_, i) => `${line(500 * round + i)}\n`,
      );
      const data = new TextEncoder().encode(`known:1|c\n${flood.join("")}`);
      for (let at = 0; at < data.length;) {
        at += await conn.write(data.subarray(at));
      }
      // With a scrape from time to time.
      if (round % 20 < 19) continue;
      await service.reaches("statsd_lines_total", 501 * (round + 1));
      samples = await service.scrape();
      memory = Math.max(memory, samples.get(MEMORY)!);
    }
    assertEquals(samples.get("known"), rounds);
    assert(samples.get("statsd_series")! <= maxSeries);
    assert(memory < boundOf(maxSeries), `${memory} bytes`);
  });
}

Deno.test("a flood fills the series up to --max-series", async () => {
  const maxSeries = 2_000;
  await using service = await StatsdService.start(
    ...["--tcp", "0", "--max-series", `${maxSeries}`],
  );
  using conn = await Deno.connect(service.tcp);
  const lines = Array.from(
    { length: 2 * maxSeries },
    () => `flood.${crypto.randomUUID()}:1|ms|#tag:1\n`,
  );
  const data = new TextEncoder().encode(lines.join(""));
  for (let at = 0; at < data.length;) {
    at += await conn.write(data.subarray(at));
  }
  await service.reaches("statsd_lines_total", lines.length);
  assertEquals(await service.sample("statsd_series"), maxSeries);
  assertEquals(
    await service.sample('statsd_sample_errors_total{reason="series_limit"}'),
    maxSeries,
  );
});

const MEMORY = "process_resident_memory_bytes";

Deno.test("lines sent before SIGTERM at a random point are counted", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const lines = 10_000;
  for (const share of [seed / 2 ** 32, 1]) {
    const at = 10 * Math.ceil(share * lines / 10);
    const { before, counted, kernelDropped } = await interrupt(
      ...[lines, at, 2_000] as const,
    );
    // Datagrams that the kernel dropped have never been received.
    assert(counted <= before);
    assert(
      counted + 10 * kernelDropped >= before,
      `${counted} of ${before}, and the kernel dropped ${kernelDropped}`,
    );
  }
});

async function demo(...args: string[]): Promise<[code: number, text: string]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo", ...args],
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout) + decoder.decode(stderr)];
}

Deno.test("the demo explains every number of its last line", async () => {
  const [code, text] = await demo("1");
  assertEquals(code, 0);
  assertMatch(
    text,
    /\nOpen http:\/\/127\.0\.0\.1:\d+\/ now: the demo ends in 1 s\.\n/,
  );
  const [last = "", explanation = ""] =
    /(stopped \(TimeoutError.*)\n\nThe service stopped because([^]*)$/.exec(
      text,
    )
      ?.slice(1) ?? [];
  const numbers = last.replace(/^.*\): /, "").match(/\d+/g)!.map(Number);
  // Lines, samples, errors, series, and four numbers for each of two sockets.
  assertEquals(numbers.length, 12);
  const explained = explanation.matchAll(/[\d,]+/g)
    .map(([number]) => Number(number.replaceAll(",", ""))).toArray();
  for (const number of numbers) {
    assert(explained.includes(number), `${number} in ${text}`);
  }
  const [lines] = numbers;
  const sent = /sent ([\d,]+) over UDP and ([\d,]+) over TCP/.exec(explanation)!
    .slice(1).map((number) => Number(number.replaceAll(",", "")));
  const lost = /the kernel dropped ([\d,]+)/.exec(explanation)?.[1] ?? "0";
  assertEquals(lines! + Number(lost.replaceAll(",", "")), sent[0]! + sent[1]!);
});

Deno.test("the demo refuses a wrong argument", async () => {
  assertEquals(await demo("soon"), [
    2,
    "demo: the one argument must be a number of seconds above 0\n",
  ]);
});
