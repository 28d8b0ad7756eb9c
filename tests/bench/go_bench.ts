/** The same scenarios in Go, if it is installed. */

import { median } from "./measure.ts";

/** Time of one operation in ns, by the benchmark's name without `Benchmark`. */
export type GoTimes = Map<string, number>;

const repetitions = 3;

/** Returns the version of Go, or undefined if it is not installed. */
export async function goVersion(): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("go", {
      args: ["env", "GOVERSION"],
      stderr: "null",
    }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

/**
 * Runs the benchmarks of Go's context package, and those in testdata/ for the
 * scenarios it does not have.
 */
export async function goBench(): Promise<GoTimes> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/go.mod`, "module bench\n\ngo 1.19\n");
    for (const name of ["extra_test.go", "after_func_test.go"]) {
      const url = new URL(`./testdata/${name}`, import.meta.url);
      await Deno.copyFile(url, `${dir}/${name}`);
    }
    return medians([
      ...await goTest(dir, "context"),
      ...await goTest(dir, "."),
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function goTest(cwd: string, pack: string): Promise<string[]> {
  const args = ["test", "-run", "xxx", "-bench", ".", "-cpu", "1"];
  const { success, stdout, stderr } = await new Deno.Command("go", {
    args: [...args, "-benchtime", "200ms", "-count", `${repetitions}`, pack],
    cwd,
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) {
    console.error(
      `go test ${pack}: ${text}${new TextDecoder().decode(stderr)}`,
    );
  }
  return text.split("\n");
}

function medians(lines: string[]): GoTimes {
  const samples = new Map<string, number[]>();
  for (const line of lines) {
    const [, name, ns] = /^Benchmark(\S+)\s+\d+\s+([\d.]+) ns\/op/.exec(line) ??
      [];
    if (name === undefined) continue;
    const known = samples.get(name);
    if (known === undefined) samples.set(name, [Number(ns)]);
    else known.push(Number(ns));
  }
  return new Map([...samples].map(([name, all]) => [name, median(all)]));
}
