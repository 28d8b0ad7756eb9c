// No link of the documents leads nowhere.

import { assert } from "@std/assert";

const root = new URL("../", import.meta.url);

/** At the top, in docs/, and one level down in examples/. */
async function documents(): Promise<string[]> {
  const found: string[] = [];
  const examples = Array.fromAsync(
    Deno.readDir(new URL("examples/", root)),
    ({ name }) => `examples/${name}/`,
  );
  for (const folder of ["", "docs/", ...await examples]) {
    for await (const { name } of Deno.readDir(new URL(folder, root))) {
      if (name.endsWith(".md")) found.push(folder + name);
    }
  }
  return found.sort();
}

/** The text of a document without its code. */
async function prose(url: URL): Promise<string> {
  return (await Deno.readTextFile(url)).replaceAll(/^```[^]*?^```$/gm, "");
}

/** Returns the anchor of a heading: lower case, without punctuation. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\w\s-]/g, "").trim()
    .replaceAll(" ", "-");
}

async function anchors(url: URL): Promise<string[]> {
  const headings = (await prose(url)).matchAll(/^#+ (.+)$/gm);
  return Array.from(headings, ([, heading]) => anchorOf(heading!));
}

for (const document of await documents()) {
  Deno.test(`every link of ${document} leads somewhere`, async () => {
    const from = new URL(document, root);
    const links = (await prose(from)).matchAll(/\]\(([^)\s]+)\)/g);
    for (const [, link] of links) {
      const to = new URL(link!, from);
      if (to.protocol !== "file:") continue;
      const anchor = to.hash.slice(1);
      to.hash = "";
      assert((await Deno.stat(to)).isFile, `${link} is no file`);
      if (anchor === "") continue;
      assert((await anchors(to)).includes(anchor), `${link}: no such heading`);
    }
  });
}
