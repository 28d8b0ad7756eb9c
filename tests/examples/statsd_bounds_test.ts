// What the service costs when somebody wants it to cost more, and what it loses.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { interrupt } from "../bench/statsd_loss.ts";
import { StatsdService } from "./statsd_service.ts";

/** What the README says that the process takes, in bytes. */
function boundOf(maxSeries: number): number {
  return 150 * 2 ** 20 + maxSeries * 4_096;
}

for (const kind of ["c", "ms", "s"]) {
  Deno.test(`a flood of names of type ${kind} stays within the memory stated`, async () => {
    const maxSeries = 2_000;
    await using service = await StatsdService.start(
      ...["--tcp", "0", "--max-series", `${maxSeries}`],
    );
    using conn = await Deno.connect(service.tcp);
    const rounds = 100;
    for (let round = 0; round < rounds; round++) {
      // Over TCP, which loses none however fast they come.
      const flood = Array.from({ length: 500 }, () => {
        return `flood.${crypto.randomUUID()}:1|${kind}|#tag:${round}\n`;
      });
      const data = new TextEncoder().encode(`known:1|c\n${flood.join("")}`);
      for (let at = 0; at < data.length;) {
        at += await conn.write(data.subarray(at));
      }
    }
    await service.reaches("statsd_lines_total", 501 * rounds);
    const samples = await service.scrape();
    assertEquals(samples.get("known_total"), rounds);
    assertEquals(samples.get("statsd_series"), maxSeries);
    assertEquals(
      samples.get('statsd_sample_errors_total{reason="series_limit"}'),
      500 * rounds + 1 - maxSeries,
    );
    const memory = samples.get("process_resident_memory_bytes")!;
    assert(memory < boundOf(maxSeries), `${memory} bytes`);
  });
}

Deno.test("what was sent before SIGTERM is counted, at whatever point it comes", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  console.log(`seed ${seed}`);
  const lines = 10_000;
  for (const share of [seed / 2 ** 32, 1]) {
    const at = 10 * Math.ceil(share * lines / 10);
    const { before, counted, kernelDropped } = await interrupt(
      ...[lines, at, 2_000] as const,
    );
    // What the kernel had no room for has never been received.
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

Deno.test("the demo makes traffic, says what to open, and ends with its report", async () => {
  const [code, text] = await demo("1");
  assertEquals(code, 0);
  assertMatch(
    text,
    /\nOpen http:\/\/127\.0\.0\.1:\d+\/ now: it ends in 1 s\.\n/,
  );
  const [, lines] =
    /stopped \(TimeoutError.*\): (\d+) lines, \d+ samples/.exec(text) ?? [];
  assert(Number(lines) > 0, text);
});

Deno.test("the demo says what is wrong with its argument", async () => {
  assertEquals(await demo("soon"), [
    2,
    "demo: the one argument must be a number of seconds above 0\n",
  ]);
});
