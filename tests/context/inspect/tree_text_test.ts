import { assertEquals } from "@std/assert";
import type { LiveContext } from "@curfew/context/inspect";
import { treeText } from "../../../context/inspect/tree_text.ts";

/** An entry of a tree with the given fields. */
function entry(fields: Partial<LiveContext>): LiveContext {
  return {
    id: 0,
    label: "withCancel",
    kind: "context",
    values: [],
    waits: 0,
    children: [],
    ...fields,
  };
}

const lines: [what: string, fields: Partial<LiveContext>, line: string][] = [
  ["the label if there is no name", {}, "withCancel"],
  ["the name before the label", { name: "GET /price" }, "GET /price"],
  ["the age", { age: 1_234 }, "withCancel, for 1.2 s"],
  ["the time left", { age: 0, left: 0 }, "withCancel, for 0.0 s, 0.0 s left"],
  ["the time left of a sleep once", {
    kind: "sleep",
    name: "sleep 5 ms left",
    left: 5,
  }, "sleep 5 ms left"],
  [
    "why a context has ended",
    { ended: ["Error: a", "Error: b"] },
    "withCancel, ended: Error: a: Error: b",
  ],
  ["why a server drains", {
    kind: "server",
    name: "serveTcp",
    ended: ["SIGTERM"],
  }, "serveTcp, draining: SIGTERM"],
  ["the line that created it", { site: "a.ts:1:2" }, "withCancel, at a.ts:1:2"],
  [
    "control characters escaped",
    { name: "GET /\x1b[2J\n" },
    "GET /\\u{1b}[2J\\u{a}",
  ],
];
for (const [what, fields, line] of lines) {
  Deno.test(`treeText() shows ${what}`, () => {
    const tree = { open: 1, kinds: {}, children: [entry(fields)] };
    assertEquals(treeText(tree), `1 open context\n  ${line}`);
  });
}

Deno.test("treeText() indents children, and lists after them what is left out", () => {
  const children = [
    entry({
      name: "a",
      children: [entry({ name: "b", children: [entry({ name: "c" })] })],
      more: [{ what: "withTimeout", count: 7, oldest: 50 }],
    }),
    entry({ name: "d" }),
  ];
  const more = [{ what: "others", count: 2, oldest: 2_000 }];
  assertEquals(
    treeText({ open: 13, kinds: {}, children, more }).split("\n"),
    [
      "13 open contexts",
      "  a",
      "    b",
      "      c",
      "    and 7 more: withTimeout, the oldest for 0.1 s",
      "  d",
      "  and 2 more: others, the oldest for 2.0 s",
    ],
  );
});
