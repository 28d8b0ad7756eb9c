// The open contexts that assertNoLeaks() and autoAdvance() know of.

import { assertEquals } from "@std/assert";
import { background, withCancel } from "@curfew/context";
import { OpenNodes } from "../../../context/testing/open_nodes.ts";

Deno.test("events counts the contexts that are created and those that end", () => {
  using nodes = new OpenNodes();
  const ctx = withCancel(background());
  assertEquals(nodes.events, 1);
  ctx.cancel();
  assertEquals(nodes.events, 2);
});

Deno.test("open() has the contexts that have not ended, in order of creation", () => {
  using before = withCancel(background());
  using nodes = new OpenNodes();
  using first = withCancel(before);
  using second = withCancel(background());
  using last = withCancel(first);
  second.cancel();
  assertEquals(nodes.open().map(({ node }) => node === last), [false, true]);
  assertEquals(nodes.open().map(({ site }) => site.call), [
    "withCancel",
    "withCancel",
  ]);
});

Deno.test("OpenNodes follows nothing once it is disposed of", () => {
  const nodes = new OpenNodes();
  nodes[Symbol.dispose]();
  withCancel(background()).cancel();
  assertEquals(nodes.events, 0);
});
