import { assert } from "@std/assert";

const folder = new URL("../../examples/patterns/", import.meta.url);

for (const { name } of Deno.readDirSync(folder)) {
  if (!name.endsWith(".ts")) continue;
  Deno.test(`README.md says how ${name} is run, as its comment does`, async () => {
    const program = await Deno.readTextFile(new URL(name, folder));
    const [, command] = /^ \* {5}(deno run .*)$/m.exec(program) ?? [];
    const readme = await Deno.readTextFile(new URL("README.md", folder));
    const rows = readme.split("\n").filter((row) => row.startsWith("| "));
    assert(
      rows.some((row) =>
        row.includes(`[${name}](${name})`) && row.includes(`\`${command}\``)
      ),
      `no row for ${name} with: ${command}`,
    );
  });
}
