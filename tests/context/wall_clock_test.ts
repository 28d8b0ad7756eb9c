// Steps of the wall clock as the operating system makes them. The test that replaces
// `Date.now` (wall_clock_step_test.ts) shows more cases; this one replaces nothing in
// JavaScript.

import { assertEquals } from "@std/assert";
import { exists, run } from "./built_package.ts";

const testdata = new URL("testdata/", import.meta.url);
const day = 86_400_000;
const hour = 3_600_000;

const isMissing = Deno.build.os !== "linux"
  ? "needs LD_PRELOAD, so Linux"
  : await exists("cc")
  ? undefined
  : "needs a C compiler, cc";

async function stepped(ms: number): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const library = `${folder}/wall_clock.so`;
    const offset = `${folder}/offset`;
    const compile = ["-shared", "-fPIC", "-o", library, "wall_clock.c", "-ldl"];
    await run("cc", compile, testdata);
    await Deno.writeFile(offset, new Uint8Array(8));
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "wall_clock_step.ts", `${ms}`],
      cwd: testdata,
      env: { LD_PRELOAD: library, WALL_OFFSET: offset },
      stderr: "inherit",
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const ms of [hour, -hour, 200, -200, day, -day]) {
  Deno.test({
    name: `a step of the wall clock by ${ms} ms ends nothing early or late` +
      (isMissing ? ` (${isMissing})` : ""),
    ignore: isMissing !== undefined,
    async fn() {
      assertEquals(await stepped(ms), "nothing early or late\n");
    },
  });
}
