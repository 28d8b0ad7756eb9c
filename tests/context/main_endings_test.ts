// The table of endings in docs/process.md, by real signals to real processes.

import { assertEquals } from "@std/assert";
import { test } from "./child_process.ts";
import { DocsTable } from "./docs_table.ts";
import { endings, measure } from "./main_endings.ts";

const table = new DocsTable("process.md", "endings");

for (const ending of endings) {
  const { what } = ending;
  test(`main() ends as the docs say: ${what.replaceAll("`", "")}`, async () => {
    const { code, signal, stderr } = await measure(ending);
    assertEquals(signal, null);
    const lines = stderr.map((line) => `\`${line.trim()}\``).join("<br>");
    await table.check(what, String(code), lines);
  });
}

test("the docs of main() list the endings that are measured", async () => {
  await table.finish(endings.map(({ what }) => what));
});
