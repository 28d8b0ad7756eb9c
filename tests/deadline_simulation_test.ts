// The numbers and the plot in docs/deadlines.md are those of the simulation.

import { assert, assertEquals } from "@std/assert";
import { plot, rows, simulate } from "./bench/deadline_simulation.ts";
import { DocsTable } from "./context/docs_table.ts";

/** Drops what the formatter may change. */
function squeezed(svg: string): string {
  return svg.replace(/\s+/g, " ").replace(/ ?(\/?>) ?/g, "$1");
}

Deno.test("the simulation gives the table and the plot of docs/deadlines.md", async () => {
  const runs = [await simulate(false), await simulate(true)] as const;
  const docs = new DocsTable("deadlines.md", "simulation");
  for (const row of rows(runs)) await docs.check(...row);
  await docs.finish(rows(runs).map(([what]) => what!));
  const file = new URL("../docs/deadlines.svg", import.meta.url);
  const drawn = await Deno.readTextFile(file);
  assertEquals(squeezed(drawn), squeezed(plot(runs)));
});

Deno.test("the simulation does no work for clients that have gone if deadlines are passed on", async () => {
  const [without, by] = [await simulate(false), await simulate(true)];
  assertEquals([by.wasted, by.afterwards], [0, 0]);
  assert(without.wasted > 0 && without.answered < by.answered);
});
