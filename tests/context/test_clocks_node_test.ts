// Test clocks and the tools for tests in Node: the built package, the real packages,
// every case in testdata/.

import { assertEquals, assertMatch } from "@std/assert";
import { BuiltPackage, exists, run } from "./built_package.ts";

const programs = [
  "test_clock_cases.mjs",
  "test_clock_node.mjs",
  "test_clock_sinon.mjs",
  "test_clock_vitest.mjs",
  "testing_cases.mjs",
  "testing_node.mjs",
  "testing_vitest.mjs",
];

Deno.test({
  name: "in Node, contexts move with test clocks, and the tools for tests work",
  // There npm is a script, which is started in another way.
  ignore: !await exists("node") || Deno.build.os === "windows",
  async fn(t) {
    await using built = await BuiltPackage.build(...programs);
    await built.install("vitest@3.2.7", "@sinonjs/fake-timers@15.5.0");
    for (
      const name of ["test_clock_node", "test_clock_sinon", "testing_node"]
    ) {
      await t.step(`${name} passes under node:test`, async () => {
        const program = `${name}.mjs`;
        const options = ["--test", "--test-reporter=tap", "--test-force-exit"];
        const report = await run("node", [...options, program], built.path);
        assertMatch(report, /^# pass [1-9]/m);
        assertEquals(report.match(/^# fail (\d+)$/m)?.[1], "0", report);
      });
    }
    for (const name of ["test_clock", "testing"]) {
      await t.step(`${name} passes under vitest`, async () => {
        const { path } = built;
        // It runs files with such names only.
        const program = `${name}.test.mjs`;
        await Deno.rename(`${path}/${name}_vitest.mjs`, `${path}/${program}`);
        const vitest = `${path}/node_modules/.bin/vitest`;
        const args = ["run", program, "--reporter=tap-flat"];
        const report = await run(vitest, args, path);
        assertMatch(report, /^ok /m);
      });
    }
  },
});
