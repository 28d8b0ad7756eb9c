import { assert, assertEquals } from "@std/assert";
import { LineFramer } from "../../examples/statsd/frames.ts";
import {
  MAX_LINE,
  type Reason,
  type Sample,
  type Sink,
  tagSyntax,
} from "../../examples/statsd/parse.ts";
import { Random } from "./statsd_random.ts";

class Found implements Sink {
  lines = 0;
  samples: string[] = [];
  errors: Reason[] = [];

  line(): void {
    this.lines++;
  }
  sample({ name, value }: Sample): void {
    this.samples.push(`${name}=${value}`);
  }
  error(reason: Reason): void {
    this.errors.push(reason);
  }
  skip(): void {}
}

function framed(chunks: (string | Uint8Array)[]): Found {
  const found = new Found();
  const framer = new LineFramer(found);
  for (const chunk of chunks) {
    const bytes = typeof chunk === "string"
      ? new TextEncoder().encode(chunk)
      : chunk;
    framer.push(bytes);
    // Chunks are lent: a framer that kept one would find this.
    bytes.fill(0x21);
  }
  framer.end();
  return found;
}

const STREAMS: [what: string, chunks: string[], samples: string[]][] = [
  ["a line a chunk", ["a:1|c\n", "b:2|c\n"], ["a=1", "b=2"]],
  ["lines in one chunk", ["a:1|c\nb:2|c\nc:3|c\n"], ["a=1", "b=2", "c=3"]],
  ["a line cut in two", ["a:1", "2|c\nb:3|c\n"], ["a=12", "b=3"]],
  ["a line cut before its end", ["a:1|c", "\nb:2|c\n"], ["a=1", "b=2"]],
  ["lines cut many times", [..."ab:12|c\ncd:3|c\n"], ["ab=12", "cd=3"]],
  ["a last line without an end", ["a:1|c\nb:2|c"], ["a=1", "b=2"]],
  ["a carriage return cut off", ["a:1|c\r", "\nb:2|c\r\n"], ["a=1", "b=2"]],
  ["empty chunks and lines", ["", "\n\n", "a:1|c\n\n", ""], ["a=1"]],
  ["nothing", [], []],
];

for (const [what, chunks, samples] of STREAMS) {
  Deno.test(`LineFramer splits ${what}`, () => {
    const found = framed(chunks);
    assertEquals(found.samples, samples);
    assertEquals([found.lines, found.errors], [samples.length, []]);
  });
}

Deno.test("LineFramer splits a random stream with any chunks", () => {
  const random = new Random();
  const below = (limit: number) => random.below(limit);
  for (let round = 0; round < 300; round++) {
    const lines = Array.from({ length: below(20) }, (_, i) => {
      return `n${"x".repeat(below(30))}:${i}|c${below(3) === 0 ? "\r" : ""}`;
    });
    const stream = lines.map((line) => `${line}\n`).join("");
    const chunks: string[] = [];
    for (let at = 0; at < stream.length;) {
      const length = 1 + below(1 + below(80));
      chunks.push(stream.slice(at, at + length));
      at += length;
    }
    assertEquals(
      framed(chunks).samples,
      lines.map((line) => line.trimEnd().replace(":", "=").slice(0, -2)),
    );
  }
});

Deno.test("LineFramer counts a line that is too long once and reads on after it", () => {
  const found = framed([
    ...Array<string>(3 * MAX_LINE / 1_024).fill("x".repeat(1_024)),
    "x\na:1|c\n",
    "b:2|c\nc:3",
    "|c\n",
  ]);
  assertEquals(found.errors, ["line_too_long"]);
  assertEquals(found.samples, ["a=1", "b=2", "c=3"]);
  assertEquals(found.lines, 4);
});

Deno.test("LineFramer takes a line of the maximum length", () => {
  const tags = `|#x:${"y".repeat(4_000)}`;
  const line = `ab:${"1:".repeat((MAX_LINE - tags.length - 6) / 2)}1|h${tags}`;
  assertEquals(line.length, MAX_LINE);
  const found = framed([line.slice(0, 40_000), line.slice(40_000), "\n"]);
  assertEquals([found.lines, found.errors], [1, []]);
});

Deno.test("LineFramer reads the tag styles that it is given", () => {
  for (
    const [styles, sample] of [[["dogstatsd"], "a,b=1"], [
      ["influxdb"],
      "a",
    ]] as const
  ) {
    const found = new Found();
    const framer = new LineFramer(found, tagSyntax(styles));
    framer.push(new TextEncoder().encode("a,b=1:2|c\na,b=1:3|c"));
    framer.end();
    assertEquals(found.samples, [`${sample}=2`, `${sample}=3`]);
  }
});

Deno.test("LineFramer keeps at most one line of an endless stream", () => {
  const framer = new LineFramer(new Found());
  const chunk = new Uint8Array(16_384).fill(0x61);
  for (let i = 0; i < 1_000; i++) {
    framer.push(chunk);
    assert(framer.pending <= MAX_LINE);
  }
});
