/**
 * Cases at scale: each runs in a process of its own and prints its counts.
 *
 * A file of cases is both a test file and a program. Under `deno test`,
 * {@linkcode atScale} registers a test that runs this very file as a program,
 * and there the case with the given name runs:
 *
 *     deno run -A tests/scale/listeners_test.ts --case="each cancels its own child"
 */

import { assertEquals } from "@std/assert";
import process from "node:process";

/** Named counts that a case ends with, such as `{ told: 100_000 }`. */
export interface Counts {
  [name: string]: number;
}

/** Options for {@linkcode atScale}. */
export interface ScaleOptions {
  /** Number of contexts, requests or whatever there are many of; a multiple of 1,000. */
  size: number;
  /** Expected counts for a case of `n`. */
  counts: (n: number) => Counts;
  /**
   * False for a case that runs once and whose CPU time is not looked at, because
   * it waits for the real clock, say. True by default.
   */
  linear?: boolean;
}

/** The CPU time of one run. */
export interface CpuTime {
  /** Runs `f` without counting its CPU time: preparations, a busy loop. */
  exclude<T>(f: () => T): T;
}

/** A case: does its work with `n` of something and returns its counts. */
export type ScaleCase = (n: number, cpu: CpuTime) => Counts | Promise<Counts>;

const flag = "--case=";

/** Guard against a case that never ends, in ms: ten times what the slowest takes. */
const tooLong = 100_000;

/**
 * Limit for the CPU time of each of `n`, divided by that of each of `n / 10`.
 * Caches and the garbage collector make it up to 2, quadratic work makes it 10.
 */
const linearFactor = 5;

/** Number of comparisons, of which one has to hold: a machine may be busy. */
const attempts = 3;

/** Registers the case `name`, or runs it if this is its process. */
export function atScale(
  file: ImportMeta,
  name: string,
  options: ScaleOptions,
  run: ScaleCase,
): void {
  const [argument] = Deno.args;
  if (!argument?.startsWith(flag)) {
    Deno.test(`at scale: ${name}`, () => runProgram(file.url, name));
  } else if (argument === flag + name) {
    // The file may declare after this call what the case uses.
    setTimeout(() => runCase(options, run));
  }
}

async function runProgram(url: string, name: string): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", url, flag + name],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const guard = setTimeout(() => child.kill("SIGKILL"), tooLong);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(guard);
  if (code === 0) return;
  const [out, errors] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes).slice(0, 4_000)
  );
  throw new Error(`exit code ${code}\n${out}${errors}`);
}

async function runCase(options: ScaleOptions, run: ScaleCase): Promise<void> {
  const { size, counts, linear = true } = options;
  const factor = linear ? await measureFactor(options, run) : undefined;
  if (!linear) await measure(options, run, size);
  const line = Object.entries(counts(size))
    .map(([name, count]) => `${name} ${count.toLocaleString("en")}`);
  if (factor !== undefined) {
    line.push(`CPU time each ${factor.toFixed(1)} times that with a tenth`);
  }
  console.log(line.join(", "));
  // Left to itself, one run in 25 of Deno 2.9.6 crashes while it tears down a
  // large heap.
  Deno.exit(factor === undefined || factor <= linearFactor ? 0 : 1);
}

/** CPU time for each of `size`, divided by that for each of a tenth of it. */
async function measureFactor(
  options: ScaleOptions,
  run: ScaleCase,
): Promise<number> {
  let least = Infinity;
  // The first run compiles.
  await measure(options, run, options.size / 10);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const tenth = await measure(options, run, options.size / 10);
    const whole = await measure(options, run, options.size);
    least = Math.min(least, whole / (10 * tenth));
    if (least <= linearFactor) break;
  }
  return least;
}

/**
 * Runs the case once, checks its counts and returns its CPU time in us. The
 * garbage of earlier runs is not collected first: gc() drops compiled code too,
 * and the next run would be the slower for it.
 */
async function measure(
  { counts }: ScaleOptions,
  run: ScaleCase,
  n: number,
): Promise<number> {
  let excluded = 0;
  const exclude = <T>(f: () => T): T => {
    const before = cpuTime();
    try {
      return f();
    } finally {
      excluded += cpuTime() - before;
    }
  };
  const before = cpuTime();
  const found = await run(n, { exclude });
  const time = cpuTime() - before - excluded;
  assertEquals(found, counts(n));
  return time;
}

/** CPU time of this process so far, in us. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
