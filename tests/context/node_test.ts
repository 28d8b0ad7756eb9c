// context/ but for process.ts runs in Node: the package is built as for npm, put
// where Node and TypeScript find it, and its core suite run there.

import { assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);
const testdata = new URL("testdata/", import.meta.url);

async function run(
  command: string,
  args: string[],
  cwd: URL | string,
): Promise<string> {
  const child = new Deno.Command(command, { args, cwd });
  const { success, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(`${command}: ${text}${new TextDecoder().decode(stderr)}`);
}

/** A folder with the programs, and with the package in its node_modules. */
async function builtPackage(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  const tarball = `${path}/package.tgz`;
  const home = `${path}/node_modules/@curfew/context`;
  await run(
    Deno.execPath(),
    [
      ...["pack", "--allow-dirty", "--quiet", "--no-source-maps"],
      ...["--output", tarball],
    ],
    root,
  );
  await Deno.mkdir(home, { recursive: true });
  await run("tar", ["-xzf", tarball, "-C", home, "--strip-components=1"], path);
  for (const name of ["consumer.mts", "core_suite.mjs", "node_hold.mjs"]) {
    await Deno.copyFile(new URL(name, testdata), `${path}/${name}`);
  }
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

async function exists(command: string): Promise<boolean> {
  try {
    await run(command, ["--version"], ".");
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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
      "a deadline that is listened to holds the process",
      async () => {
        const args = ["node_hold.mjs", "listened to"];
        assertEquals(await run("node", args, built.path), "over\n");
      },
    );
    await t.step("one that is not, or has ended, does not", async () => {
      assertEquals(await run("node", ["node_hold.mjs"], built.path), "");
    });
  },
});

Deno.test("the built package has types for TypeScript in Node", async () => {
  await using built = await builtPackage();
  const options = [
    ...["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"],
    ...["--lib", "es2022,esnext.disposable,dom"],
    // What needs Deno in it is of types that only Deno has.
    "--skipLibCheck",
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
