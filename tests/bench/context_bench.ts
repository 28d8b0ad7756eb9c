/**
 * Benchmarks contexts against the platform's own way and against Go.
 *
 *     deno task bench [--go] [--only=part of a scenario's name]
 *
 * The numbers come from one run on one machine; the ratios are what counts. On a
 * busy machine, `taskset -c 0 deno task bench` keeps everything on one core. With
 * `--go` the benchmarks of Go's context package run too, if `go` is installed.
 *
 * @module
 */

import { goBench, type GoTimes, goVersion } from "./go_bench.ts";
import { geometricMean } from "./measure.ts";
import { measureBytes, measureTimes } from "./measure_one.ts";
import { type Scenario, scenarios } from "./scenarios.ts";

const only = Deno.args.find((arg) => arg.startsWith("--only="))
  ?.slice("--only=".length) ?? "";

/** Formats `value` with its significant digits. */
function figure(value: number | undefined): string {
  if (value === undefined) return "";
  if (value >= 1_000) return Math.round(value).toLocaleString("en");
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toPrecision(2);
}

function ratio(value: number | undefined): string {
  if (value === undefined) return "";
  return value >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}

function mean(ratios: number[]): string {
  return ratios.length === 0 ? "" : ratio(geometricMean(ratios));
}

function row(...cells: string[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

async function printTimes(go: GoTimes): Promise<void> {
  const toPlatform: number[] = [];
  const toGo: number[] = [];
  row("ns", "ours", "platform", "ratio", "Go", "ratio", "the platform's way");
  row("---", "---:", "---:", "---:", "---:", "---:", "---");
  for (const scenario of scenarios()) {
    if (!scenario.name.includes(only)) continue;
    const times = await measureTimes(scenario.name);
    const goTime = timeOf(scenario, go);
    const goRatio = goTime && times.ours / goTime;
    if (times.ratio !== undefined) toPlatform.push(times.ratio);
    if (goRatio !== undefined) toGo.push(goRatio);
    row(
      scenario.name,
      figure(times.ours),
      figure(times.platform),
      ratio(times.ratio),
      figure(goTime),
      ratio(goRatio),
      scenario.platformWay,
    );
  }
  row("geometric mean", "", "", mean(toPlatform), "", mean(toGo), "");
}

function timeOf(scenario: Scenario, go: GoTimes): number | undefined {
  const ns = scenario.go && go.get(scenario.go);
  return ns ? ns / (scenario.goTimes ?? 1) : undefined;
}

async function printBytes(): Promise<void> {
  row("bytes while alive", "ours", "platform", "ratio", "the platform's way");
  row("---", "---:", "---:", "---:", "---");
  for (const { name, ours, platform, platformWay } of await measureBytes()) {
    const cells = [figure(ours), figure(platform), ratio(ours / platform)];
    row(name, ...cells, platformWay);
  }
}

async function measureGo(): Promise<GoTimes> {
  const version = await goVersion();
  if (version === undefined) {
    console.log("Go is not installed: its column stays empty.\n");
    return new Map();
  }
  console.log(`Beside ${version}.\n`);
  return await goBench();
}

if (import.meta.main) {
  console.log(`Deno ${Deno.version.deno}, V8 ${Deno.version.v8}.\n`);
  await printTimes(Deno.args.includes("--go") ? await measureGo() : new Map());
  console.log();
  await printBytes();
}
