/**
 * Runs each measurement in a process of its own, so that the heap and the
 * engine's feedback of one scenario do not affect the next. Takes a scenario's
 * name, or nothing for the memory, and prints JSON.
 *
 * @module
 */

import { collectGarbage, compare, type Times } from "./measure.ts";
import { type Bytes, measureMemory } from "./memory.ts";
import { scenarios } from "./scenarios.ts";

/** Measures the scenario `name` in a process of its own. */
export async function measureTimes(name: string): Promise<Times> {
  return await inChild(name);
}

/** Measures the heap use of live contexts in a process of its own. */
export async function measureBytes(): Promise<Bytes[]> {
  return await inChild();
}

async function inChild<T>(...args: string[]): Promise<T> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "--v8-flags=--expose-gc"],
      ...["--allow-all", import.meta.url, ...args],
    ],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`could not measure ${args}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function measure(name: string): Promise<Times> {
  const scenario = scenarios().find((scenario) => scenario.name === name);
  if (scenario === undefined) throw new Error(`no such scenario: ${name}`);
  const { ours, platform, tearDown } = scenario.setUp();
  collectGarbage();
  const times = await compare(ours, platform);
  tearDown?.();
  return times;
}

if (import.meta.main) {
  const [name] = Deno.args;
  const result = name === undefined ? measureMemory() : await measure(name);
  console.log(JSON.stringify(result));
  // Some of what was measured goes on for an hour.
  Deno.exit();
}
