// The built package in other runtimes: its core suite, and its types.

import { assertEquals } from "@std/assert";
import { BuiltPackage, exists, run } from "./built_package.ts";

const programs = ["consumer.mts", "core_suite.mjs", "node_hold.mjs"];

async function builtPackage(): Promise<BuiltPackage> {
  const built = await BuiltPackage.build(...programs);
  await built.extract();
  return built;
}

Deno.test({
  name: "the built package runs in Node",
  ignore: !await exists("node"),
  async fn(t) {
    await using built = await builtPackage();
    await t.step("its core suite passes", async () => {
      const report = await run(
        "node",
        ["--test", "--test-reporter=tap", "core_suite.mjs"],
        built.path,
      );
      assertEquals(report.match(/^# fail (\d+)$/m)?.[1], "0", report);
    });
    await t.step(
      "a deadline that has a listener keeps the process alive",
      async () => {
        const args = ["node_hold.mjs", "listened to"];
        assertEquals(await run("node", args, built.path), "over\n");
      },
    );
    await t.step("one that has none, or has ended, does not", async () => {
      assertEquals(await run("node", ["node_hold.mjs"], built.path), "");
    });
  },
});

Deno.test("the built package has types for TypeScript in Node", async () => {
  await using built = await builtPackage();
  const options = [
    ...["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"],
    ...["--lib", "es2022,esnext.disposable,dom"],
  ];
  await run(
    Deno.execPath(),
    ["run", "-A", "npm:typescript@5.9.3/tsc", ...options, "consumer.mts"],
    built.path,
  );
});

Deno.test({
  name: "the built package runs in Bun",
  ignore: !await exists("bun"),
  async fn() {
    await using built = await builtPackage();
    await run("bun", ["test", "./core_suite.mjs"], built.path);
  },
});
