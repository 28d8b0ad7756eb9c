// Imports of this package are recognized under all of their names.

import { assertEquals } from "@std/assert";
import { lint } from "./rule_table.ts";

const checkout = decodeURI(new URL("../../../", import.meta.url).pathname);

/** Returns true if the rules take what `specifier` gives for this package. */
function isRecognized(specifier: string, filename?: string): boolean {
  const code = `
    import { group } from ${JSON.stringify(specifier)};
    group(ctx);`;
  return lint(code, "floating-group", filename).length > 0;
}

for (
  const specifier of [
    "@curfew/context",
    "@curfew/context/context",
    "jsr:@curfew/context",
    "jsr:@curfew/context@^0.1",
    "jsr:@curfew/context@0.1.0/context",
    "jsr:/@curfew/context@^0.1/net",
    "npm:@curfew/context",
    "npm:@curfew/context@0.1.0/context",
    "npm:/@curfew/context@0.1.0",
    "@jsr/curfew__context",
    "npm:@jsr/curfew__context@0.1/context",
    "https://jsr.io/@curfew/context/0.1.0/mod.ts",
    "https://esm.sh/jsr/@curfew/context@0.1.0",
    "https://cdn.jsdelivr.net/npm/@curfew/context@0.1.0/+esm",
  ]
) {
  Deno.test(`lint recognizes ${specifier}`, () => {
    assertEquals(isRecognized(specifier), true);
  });
}

for (
  const specifier of [
    "@curfew/contexts",
    "@curfew/context-lint",
    "@mine/curfew/context",
    "curfew",
    "my@curfew/context",
    "@jsr/curfew__contexts",
    "./context/mod.ts",
    "./node_modules/@curfew/context/mod.ts",
  ]
) {
  Deno.test(`lint does not take ${specifier} for this package`, () => {
    assertEquals(isRecognized(specifier), false);
  });
}

const relative: [string, string, boolean][] = [
  ["tests/a_test.ts", "../mod.ts", true],
  ["main.ts", "./mod.ts", true],
  ["net/tcp/serve_tcp.ts", "../../context/group.ts", true],
  ["net/tcp/serve_tcp.ts", "../lifetime.ts", true],
  ["examples/dns/main.ts", "./group.ts", false],
  ["tests/context/a_test.ts", "./context/mod.ts", false],
  ["tests/a_test.ts", "../mod.tsx", false],
  ["tests/a_test.ts", "../../mod.ts", false],
  ["tests\\a_test.ts", "../mod.ts", true],
];
for (const [file, specifier, expected] of relative) {
  Deno.test(`lint ${expected ? "recognizes" : "does not recognize"} ${specifier} in ${file}`, () => {
    assertEquals(isRecognized(specifier, checkout + file), expected);
  });
}

Deno.test("lint does not take a relative import of another project for this package", () => {
  assertEquals(isRecognized("./mod.ts", "/elsewhere/main.ts"), false);
});

const uses: [name: string, code: string, reported: boolean][] = [
  ["a name", `import { group } from "@curfew/context"; group(ctx);`, true],
  ["an alias", `import { group as g } from "@curfew/context"; g(ctx);`, true],
  [
    "a quoted name",
    `import { "group" as g } from "@curfew/context"; g(ctx);`,
    true,
  ],
  ["a namespace", `import * as c from "@curfew/context"; c.group(ctx);`, true],
  [
    "a quoted member",
    `import * as c from "@curfew/context"; c["group"](ctx);`,
    true,
  ],
  [
    "an optional call",
    `import { group } from "@curfew/context"; group?.(ctx);`,
    true,
  ],
  [
    "an alias of the name",
    `import { main as group } from "@curfew/context"; group(f);`,
    false,
  ],
  [
    "a default import",
    `import group from "@curfew/context"; group(ctx);`,
    false,
  ],
  [
    "a computed member",
    `import * as c from "@curfew/context"; c[group](ctx);`,
    false,
  ],
  [
    "a private member",
    `import * as c from "@curfew/context"; c.#group(ctx);`,
    false,
  ],
  [
    "a member of a member",
    `import * as c from "@curfew/context"; c.d.group(ctx);`,
    false,
  ],
  [
    "a member of another namespace",
    `import "@curfew/context"; import * as c from "c"; c.group(ctx);`,
    false,
  ],
  [
    "a member of a value",
    `import { c } from "@curfew/context"; c.group(ctx);`,
    false,
  ],
  [
    "another import of the name",
    `import "@curfew/context"; import { group } from "c"; group(ctx);`,
    false,
  ],
  [
    "a parameter of the name",
    `import { group } from "@curfew/context"; (group) => { group(ctx); };`,
    false,
  ],
  [
    "a function of the name",
    `import { group } from "@curfew/context"; { function group() {} group(ctx); }`,
    false,
  ],
  [
    "a class of the name",
    `import { group } from "@curfew/context"; { class group {} group(ctx); }`,
    false,
  ],
  [
    "a variable of the name",
    `import { group } from "@curfew/context"; { const { a: [group = 1] } = x; group(ctx); }`,
    false,
  ],
  [
    "a rest of the name",
    `import { group } from "@curfew/context"; { const [...group] = x; group(ctx); }`,
    false,
  ],
  [
    "a var of the name",
    `import { group } from "@curfew/context"; () => { if (x) { var group = 1; } group(ctx); };`,
    false,
  ],
  [
    "the exported name of an alias",
    `import { group as g } from "@curfew/context"; group(ctx);`,
    false,
  ],
  [
    "a key of a pattern",
    `import { group } from "@curfew/context"; { const { group: g } = x; group(ctx); }`,
    true,
  ],
  [
    "a var at the top",
    `import { group } from "@curfew/context"; if (x) { var group = 1; } group(ctx);`,
    true,
  ],
  [
    "a let of another block",
    `import { group } from "@curfew/context"; { let group; } group(ctx);`,
    true,
  ],
  [
    "an error of the name",
    `import { group } from "@curfew/context"; try {} catch (group) { group(ctx); }`,
    false,
  ],
  [
    "a loop variable of the name",
    `import { group } from "@curfew/context"; for (const group of x) { group(ctx); }`,
    false,
  ],
  [
    "a loop variable after its loop",
    `import { group } from "@curfew/context"; for (let group = 0; ;) {} group(ctx);`,
    true,
  ],
  [
    "a case of the name",
    `import { group } from "@curfew/context"; switch (x) { case 1: let group; case 2: group(ctx); }`,
    false,
  ],
  [
    "an enum of the name",
    `import { group } from "@curfew/context"; { enum group { a } group(ctx); }`,
    false,
  ],
  [
    "a namespace of the name",
    `import { group } from "@curfew/context"; { namespace group {} group(ctx); }`,
    false,
  ],
  [
    "a parameter property of the name",
    `import { group } from "@curfew/context"; class A { constructor(private group) { group(ctx); } }`,
    false,
  ],
  [
    "a key of the name",
    `import { group } from "@curfew/context"; x = { group: 1 }; group(ctx);`,
    true,
  ],
];
for (const [name, code, reported] of uses) {
  Deno.test(`lint ${reported ? "follows" : "is not misled by"} ${name}`, () => {
    assertEquals(lint(code, "floating-group").length, reported ? 1 : 0);
  });
}
