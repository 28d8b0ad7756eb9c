// The rules of CONTRIBUTING.md for sentences, as far as a program can check them.

import { assertEquals } from "@std/assert";

const root = new URL("../", import.meta.url);
const ownFiles = /\.(ts|mts|mjs|md|html)$/;
const foreignFolders = /^(tests\/std\/|node_modules\/|coverage\/)/;

/** A docstring must open with a noun or a verb, not with a clause. */
const clause =
  /^(What|How|Whether|Where|When (it|they)|Which|Who|Whoever|That|Of|Told|Says|Why|In ms)\b/;

/** Issue numbers name their project: denoland/deno#27005. */
const unqualifiedIssue = /(?<![\w/])#\d{4,6}\b/;

/** The API is in American English, and so is everything about it. */
const british = new RegExp(
  "\\b(" + [
    "cancell(ed|ing)",
    "behaviour",
    "licence",
    "colour",
    "honour",
    "favour",
    "neighbour",
    "(organ|recogn|initial|serial|normal|optim)is(e|ed|es|ing|ation)",
    "whilst",
    "artefact",
  ].join("|") + ")s?\\b",
  "i",
);

/** Names of others, and spellings that a program must recognize. */
const allowed = /addColorStop|"cancelled"|`cancelled`/;

async function* filesOf(folder: string): AsyncGenerator<string> {
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, root))
  ) {
    const path = `${folder}${name}`;
    if (name.startsWith(".") || foreignFolders.test(`${path}/`)) continue;
    if (isDirectory) yield* filesOf(`${path}/`);
    else if (
      ownFiles.test(name) && path !== "tests/writing_test.ts"
    ) yield path;
  }
}

interface Line {
  readonly at: string;
  readonly text: string;
}

async function lines(): Promise<Line[]> {
  const found: Line[] = [];
  for await (const path of filesOf("")) {
    const source = await Deno.readTextFile(new URL(path, root));
    source.split("\n").forEach((text, i) =>
      found.push({ at: `${path}:${i + 1}`, text })
    );
  }
  return found;
}

function slips(all: readonly Line[], slip: RegExp): string[] {
  return all.filter(({ text }) => slip.test(text) && !allowed.test(text))
    .map(({ at, text }) => `${at}: ${text.trim()}`);
}

Deno.test("issues of other projects are named with their project", async () => {
  assertEquals(slips(await lines(), unqualifiedIssue), []);
});

Deno.test("spelling is American", async () => {
  assertEquals(slips(await lines(), british), []);
});

Deno.test("no docstring of an exported symbol opens with a clause", async () => {
  const entries = ["mod.ts", "context/mod.ts", "net/mod.ts"].map((path) =>
    new URL(path, root).href
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...entries],
    stderr: "null",
  }).output();
  const found: string[] = [];
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== "object" || node === null) return;
    const { name, jsDoc } = node as { name?: string; jsDoc?: { doc?: string } };
    const here = name === undefined ? path : `${path}.${name}`;
    const doc = jsDoc?.doc;
    if (doc !== undefined && clause.test(doc)) {
      found.push(`${here}: ${doc.split("\n")[0]}`);
    }
    for (const [key, child] of Object.entries(node)) {
      if (key !== "jsDoc") visit(child, here);
    }
  };
  const docs: unknown = JSON.parse(new TextDecoder().decode(stdout));
  visit(docs, "");
  // A check that finds no docs at all would pass as well.
  assertEquals(JSON.stringify(docs).includes("Derives a context"), true);
  assertEquals(found, []);
});
