// The README of examples/dns: its code is in the source, its command lines are
// valid, and its unit is one that systemd accepts.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readOptions } from "../../examples/dns/options.ts";
import { inPath } from "./in_path.ts";

const FOLDER = new URL("../../examples/dns/", import.meta.url);
const README = Deno.readTextFileSync(new URL("README.md", FOLDER));

/** The code blocks in one language. */
function blocks(language: string): string[] {
  const fence = new RegExp("^```" + language + "\\n(.*?)^```", "gms");
  return [...README.matchAll(fence)].map(([, code]) => code!);
}

/** Code without its indentation and line breaks. */
function compact(code: string): string {
  return code.replace(/\s+/g, " ").trim();
}

Deno.test("dns: the code in the README is in the source", () => {
  const sources = [...Deno.readDirSync(FOLDER)]
    .filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => compact(Deno.readTextFileSync(new URL(name, FOLDER))));
  const code = blocks("ts").map(compact);
  assertEquals(code.length, 2);
  for (const block of code) {
    assert(sources.some((source) => source.includes(block)), block);
  }
});

Deno.test("dns: the README names every file", () => {
  for (const { name } of Deno.readDirSync(FOLDER)) {
    if (name.endsWith(".ts")) assertStringIncludes(README, `| \`${name}\``);
  }
});

Deno.test("dns: the command lines in the README are valid", () => {
  const [unit = ""] = blocks("ini");
  const [image = ""] = blocks("dockerfile");
  const [, start = ""] = /^ExecStart=\S+ (.*)$/m.exec(unit) ?? [];
  const [, command = ""] = /^CMD (.*)$/m.exec(image) ?? [];
  const lines = [
    start.split(" "),
    JSON.parse(command),
    ...blocks("sh").flatMap((block) => block.split("\n")).flatMap((line) => {
      const [, args] = /^(?:deno run .*main\.ts|\.\/dns) (.*)$/.exec(line) ??
        [];
      return args === undefined ? [] : [args.split(" ")];
    }),
  ];
  assertEquals(lines.length, 5);
  for (const args of lines) readOptions(args);
});

Deno.test("dns: the image in the README has the version of Deno that CI uses", () => {
  const ci = Deno.readTextFileSync(new URL("../../.ci/run", FOLDER));
  const [, version] = /deno@([\d.]+) task test/.exec(ci)!;
  assertStringIncludes(README, `FROM docker.io/denoland/deno:${version}\n`);
});

Deno.test({
  name: "dns: the shell commands in the README parse",
  ignore: inPath("bash") === undefined,
  async fn() {
    for (const block of blocks("sh")) {
      const { code, stderr } = await new Deno.Command("bash", {
        args: ["-n", "-c", block],
      }).output();
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    }
  },
});

Deno.test({
  name: "dns: systemd accepts the unit in the README",
  ignore: inPath("systemd-analyze") === undefined,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      // The executable has to exist.
      const unit = blocks("ini")[0]!.replace("/usr/local/bin/dns", "/bin/true");
      await Deno.writeTextFile(`${folder}/dns.service`, unit);
      const { code, stderr } = await new Deno.Command("systemd-analyze", {
        args: ["verify", "--man=no", `${folder}/dns.service`],
      }).output();
      // It reports the units of the machine as well.
      const own = new TextDecoder().decode(stderr).split("\n")
        .filter((line) => line.includes("dns.service"));
      assertEquals([code, own], [0, []]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
