// Tasks and their contexts, on a clock that jumps from timer to timer: what the
// comments show is what the programs print, line by line.

import { assertEquals } from "@std/assert";
import { documented, start, startOnFakeClock } from "./patterns_program.ts";

const names = [
  "wait_group.ts",
  "done_channel.ts",
  "one_watcher.ts",
  "many_watchers.ts",
  "nested.ts",
  "levels.ts",
];

/**
 * Tasks that do the same at the same time come in any order: of the lines in a
 * row that differ only in who says it, the order is taken out.
 */
function anyOrder(output: string): string[] {
  const said = (line: string) => line.slice(line.indexOf(":"));
  const blocks: string[][] = [];
  for (const line of output.trimEnd().split("\n")) {
    const last = blocks.at(-1);
    if (last?.[0] !== undefined && said(last[0]) === said(line)) {
      last.push(line);
    } else blocks.push([line]);
  }
  return blocks.flatMap((block) => block.sort());
}

for (const name of names) {
  Deno.test(`${name}: prints what its comment shows`, async () => {
    const { output } = await documented(name);
    await using program = startOnFakeClock(name);
    const { code, stdout, stderr } = await program.ended;
    assertEquals(stderr, "");
    assertEquals(anyOrder(stdout), anyOrder(output));
    assertEquals(code, 0);
  });
}

for (const name of names) {
  Deno.test(`${name}: needs no permission, and less time with --fast`, async () => {
    const { command, output } = await documented(name);
    assertEquals(command, ["run", `examples/patterns/${name}`]);
    await using program = await start(name, "--fast");
    const { code, stdout, stderr } = await program.ended;
    assertEquals(stderr, "");
    // Of the rest a slow machine may print more or less.
    const last = (text: string) => text.trimEnd().split("\n").at(-1);
    assertEquals(last(stdout), last(output));
    assertEquals(code, 0);
  });

  Deno.test(`${name}: does not take an argument it does not know`, async () => {
    await using program = await start(name, "--fats");
    const { code, stdout, stderr } = await program.ended;
    assertEquals(
      stderr,
      'unknown argument "--fats"; there is only --fast\n',
    );
    assertEquals([code, stdout], [2, ""]);
  });
}
