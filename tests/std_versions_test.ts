// deno.json asks for the lowest version of each @std package that works, and the
// stand-in of the package exports what that version exports.

import { assert, assertEquals } from "@std/assert";

const root = new URL("../", import.meta.url);

interface Config {
  imports: { [name: string]: string };
  links: string[];
  version: string;
}

async function config(folder: string): Promise<Config> {
  return JSON.parse(
    await Deno.readTextFile(new URL(`${folder}deno.json`, root)),
  );
}

const { imports, links } = await config("./");

for (const [name, specifier] of Object.entries(imports)) {
  Deno.test(`${specifier} is the version of its stand-in`, async () => {
    const folder = name.replace("@std/", "./tests/std/");
    assert(links.includes(folder), `${name} has no stand-in`);
    const { version } = await config(`${folder}/`);
    assertEquals(specifier, `jsr:${name}@^${version}`);
  });
}
