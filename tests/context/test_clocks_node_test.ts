// Test clocks in Node: the built package, the real packages, every case in testdata/.

import { assertEquals, assertMatch } from "@std/assert";
import { BuiltPackage, exists, run } from "./built_package.ts";

const programs = [
  "test_clock_cases.mjs",
  "test_clock_node.mjs",
  "test_clock_sinon.mjs",
  "test_clock_vitest.mjs",
];

Deno.test({
  name: "in Node, contexts move with test clocks",
  // There npm is a script, which is started in another way.
  ignore: !await exists("node") || Deno.build.os === "windows",
  async fn(t) {
    await using built = await BuiltPackage.build(...programs);
    await built.install("vitest@3.2.7", "@sinonjs/fake-timers@15.5.0");
    for (const name of ["node", "sinon"]) {
      await t.step(`of ${name}`, async () => {
        const program = `test_clock_${name}.mjs`;
        const options = ["--test", "--test-reporter=tap", "--test-force-exit"];
        const report = await run("node", [...options, program], built.path);
        assertMatch(report, /^# pass [1-9]/m);
        assertEquals(report.match(/^# fail (\d+)$/m)?.[1], "0", report);
      });
    }
    await t.step("of vitest", async () => {
      const { path } = built;
      // It runs files with such names only.
      const program = "test_clock.test.mjs";
      await Deno.rename(`${path}/test_clock_vitest.mjs`, `${path}/${program}`);
      const vitest = `${path}/node_modules/.bin/vitest`;
      const args = ["run", program, "--reporter=tap-flat"];
      const report = await run(vitest, args, path);
      assertMatch(report, /^ok /m);
    });
  },
});
