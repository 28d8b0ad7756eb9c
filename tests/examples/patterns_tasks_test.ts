// Tasks and their contexts, on a clock that jumps from timer to timer: what the
// comments show is what the programs print, line by line.

import { assertEquals } from "@std/assert";
import { documented, start, startOnFakeClock } from "./patterns_program.ts";

/** At which ms each line is printed, as its comment and its code promise. */
const programs: Record<string, string> = {
  "wait_group.ts": "0 0 0 2000 2000 2000",
  "done_channel.ts":
    "0 1000 2000 3000 4000 4500 5000 5000 5000 6000 6000 6500 6500 7000 7000 7000 8000 8000 8500 8500 8500 8500",
  "one_watcher.ts": "1000 2000 3000 4000 5000 5500 5500 5500",
  "many_watchers.ts": "2000 2000 2000 3000 3000 3000 3000 3000 3000",
  "nested.ts": "2000 2000 2000 3000 3000 3000 4000 5000 5000",
  "levels.ts": "2000 2000 2000 4000 4000 4000 4000",
};

for (const [name, times] of Object.entries(programs)) {
  Deno.test(`${name}: prints what its comment shows, each line in its time`, async () => {
    const { output } = await documented(name);
    await using program = startOnFakeClock(name);
    const { code, stdout, stderr } = await program.ended;
    assertEquals(stderr, `${times}\n`);
    assertEquals(stdout, output);
    assertEquals(code, 0);
  });

  Deno.test(`${name}: takes a fiftieth of the time with --fast`, async () => {
    const { output } = await documented(name);
    await using program = startOnFakeClock(name, "--fast");
    const { code, stdout, stderr } = await program.ended;
    const fast = times.split(" ").map((ms) => Number(ms) / 50);
    assertEquals(stderr, `${fast.join(" ")}\n`);
    assertEquals(stdout, output);
    assertEquals(code, 0);
  });

  Deno.test(`${name}: needs no permission`, async () => {
    const { command, output } = await documented(name);
    assertEquals(command, ["run", `examples/patterns/${name}`]);
    await using program = await start(name, "--fast");
    const { code, stdout, stderr } = await program.ended;
    assertEquals(stderr, "");
    // A slow machine may print more or less of the rest.
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
