// Contexts that the garbage collector takes while an inspector watches.

import { assert, assertEquals } from "@std/assert";
import { ChildProcess } from "../child_process.ts";

/** Bytes: two for each context. Tables that have grown once stay so large. */
const flat = 4_000_000;

Deno.test("inspect() tells which line drops contexts, keeps none alive and stays flat", async () => {
  const { code, stdout, stderr } = await new ChildProcess(
    "inspect_garbage.ts",
    "",
    "--v8-flags=--expose-gc",
  ).end();
  assertEquals(code, 0, stderr);
  const { dropped, open, growth } = JSON.parse(stdout);
  assertEquals(dropped.length, 1);
  assertEquals([dropped[0].what, dropped[0].count], ["withCancel", 100]);
  assert(/inspect_garbage\.ts:\d+:\d+$/.test(dropped[0].site), dropped[0].site);
  assertEquals(open, 0);
  assert(growth < flat, `${growth} bytes`);
});
