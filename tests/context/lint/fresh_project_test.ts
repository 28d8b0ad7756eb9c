// A project that names the plugin in its deno.json, linted by `deno lint` itself.

import { assert, assertEquals } from "@std/assert";

const checkout = new URL("../../../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", checkout));
const [, section = ""] = readme.split("\n## Lint\n");

/** The code block of the README's section about the linter, by its language. */
function block(language: string): string {
  const pattern = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m");
  return pattern.exec(section)![1]!;
}

interface Project extends AsyncDisposable {
  /** Runs `deno lint`; what it says of the linked checkout is left out. */
  lint(...args: string[]): Promise<{ code: number; output: string }>;
  read(file: string): Promise<string>;
}

/** A new folder with a `main.ts`, to which the checkout stands for the package. */
async function project(main: string, config: unknown = {}): Promise<Project> {
  const folder = await Deno.makeTempDir();
  const file = (name: string): string => `${folder}/${name}`;
  const settings = {
    imports: { "@curfew/context": "jsr:@curfew/context@^0.1" },
    links: [decodeURI(checkout.pathname)],
    ...JSON.parse(block("json")),
  };
  Object.assign(settings.lint, config);
  await Deno.writeTextFile(file("deno.json"), JSON.stringify(settings));
  await Deno.writeTextFile(file("main.ts"), main);
  return {
    async lint(...args) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["lint", ...args],
        cwd: folder,
        env: { NO_COLOR: "1" },
      }).output();
      const text = [stdout, stderr].map((bytes) =>
        new TextDecoder().decode(bytes)
      )
        .join("")
        .replaceAll(/^Warning "links" field .*\n +at .*\n/gm, "")
        .replaceAll(`${await Deno.realPath(folder)}/`, "");
      return { code, output: text };
    },
    read: (name) => Deno.readTextFile(file(name)),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("deno lint prints in a fresh project what the README shows", async () => {
  await using fresh = await project(block("ts ignore"));
  const { code, output } = await fresh.lint();
  assertEquals(trimLines(output), block("text"));
  assertEquals(code, 1);
});

Deno.test("deno lint --fix leaves a fresh project clean", async () => {
  await using fresh = await project(block("ts ignore"));
  assertEquals((await fresh.lint("--fix")).code, 0);
  const fixed = await fresh.read("main.ts");
  assert(fixed.includes("using step = withTimeout(ctx, 500);"), fixed);
  assert(fixed.includes("return await buy(both, dollars);"), fixed);
  assertEquals(await fresh.lint(), { code: 0, output: "Checked 1 file\n" });
});

Deno.test("deno lint obeys a comment that ignores a rule", async () => {
  const ignored = block("ts ignore")
    .replace(
      "  const step",
      "  // deno-lint-ignore curfew/lost-cancel -- why\n$&",
    )
    .replace("return buy", "return await format");
  await using fresh = await project(ignored);
  assertEquals(await fresh.lint(), { code: 0, output: "Checked 1 file\n" });
});

Deno.test("deno lint obeys a file that ignores a rule", async () => {
  const rules = "curfew/lost-cancel curfew/await-before-dispose";
  await using fresh = await project(
    `// deno-lint-ignore-file ${rules}\n${block("ts ignore")}`,
  );
  assertEquals(await fresh.lint(), { code: 0, output: "Checked 1 file\n" });
});

Deno.test("deno lint obeys a project that excludes a rule", async () => {
  const rules = { exclude: ["curfew/lost-cancel"] };
  await using fresh = await project(block("ts ignore"), { rules });
  const { code, output } = await fresh.lint();
  assertEquals(code, 1);
  assert(!output.includes("curfew/lost-cancel"), output);
  assert(output.includes("curfew/await-before-dispose"), output);
});

/** The lines of `text` without the blanks at their ends, which the README lacks. */
function trimLines(text: string): string {
  return text.replaceAll(/[ \t]+$/gm, "");
}
