// Every exported symbol needs an example of its use.

import { assert, assertEquals } from "@std/assert";

interface Declaration {
  readonly kind: string;
  readonly jsDoc?: {
    readonly doc?: string;
    readonly tags?: { kind: string }[];
  };
}

interface Docs {
  readonly nodes: {
    readonly [file: string]: {
      readonly symbols: { name: string; declarations: Declaration[] }[];
    };
  };
}

async function docs(): Promise<Docs> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: new URL("../", import.meta.url),
  }).output();
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
  throw new Error(new TextDecoder().decode(stderr));
}

Deno.test("every exported function, class and constant has a description and an example", async () => {
  const lacking = new Set<string>();
  let seen = 0;
  for (const { symbols } of Object.values((await docs()).nodes)) {
    for (const { name, declarations } of symbols) {
      const values = declarations.filter(({ kind }) =>
        kind === "function" || kind === "class" || kind === "variable"
      );
      // Exported as a type only; createKey has the example.
      if (values.length === 0 || name === "Key") continue;
      seen++;
      const tags = values.flatMap(({ jsDoc }) => jsDoc?.tags ?? []);
      if (!tags.some(({ kind }) => kind === "example")) lacking.add(name);
      if (!values.some(({ jsDoc }) => jsDoc?.doc)) lacking.add(name);
    }
  }
  assertEquals([...lacking], []);
  // Should deno doc ever say it otherwise, this test must not fall silent.
  assert(seen > 30, `${seen} exports`);
});
