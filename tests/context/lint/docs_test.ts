// The examples of docs/lint.md: what it calls reported is, and the rest is not.

import { assertEquals } from "@std/assert";
import plugin from "../../../context/lint/mod.ts";
import { lint } from "./rule_table.ts";

const imports = `import {
  background, type Context, every, group, main, serveHttp, sleep, withCancel,
  withTimeout,
} from "@curfew/context";
`;

const text = await Deno.readTextFile(
  new URL("../../../docs/lint.md", import.meta.url),
);
const sections = text.split(/^## curfew\//m).slice(1);

/** The code blocks after the line "Reported:" or "Accepted:". */
function blocks(section: string, label: "Reported" | "Accepted"): string[] {
  const [reported = "", accepted = ""] = section.split("\nAccepted:\n");
  const part = label === "Accepted" ? accepted : reported;
  return Array.from(
    part.matchAll(/^```ts ignore\n([^]*?)^```$/gm),
    ([, code]) => imports + code,
  );
}

Deno.test("docs/lint.md has a section for each rule", () => {
  const names = sections.map((section) => section.split("\n")[0]);
  assertEquals(names.toSorted(), Object.keys(plugin.rules).toSorted());
});

for (const section of sections) {
  const [rule = ""] = section.split("\n");
  Deno.test(`the rules report what docs/lint.md says of ${rule}`, () => {
    const found = blocks(section, "Reported").map((code) => lint(code));
    assertEquals(found.length > 0, true);
    for (const diagnostics of found) {
      assertEquals(diagnostics.map(({ id }) => id), [`curfew/${rule}`]);
    }
  });
  Deno.test(`the rules accept what docs/lint.md says of ${rule}`, () => {
    const found = blocks(section, "Accepted").map((code) => lint(code));
    assertEquals(found.length > 0, true);
    assertEquals(found.flat(), []);
  });
}
