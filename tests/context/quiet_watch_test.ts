// A quiet watch keeps no process alive: it sets no alarm.

import { alarms, pass } from "./settable_clock.ts";
import { assertEquals } from "@std/assert";
import { background, withTimeout } from "@curfew/context";
import { type Ending, QuietWatch, Watch } from "../../context/tree.ts";

const hour = 3_600_000;

/** Number of alarms that are set while `watch` is started and stopped again. */
function alarmsOf(watch: Watch): number {
  const before = alarms.length;
  watch.start();
  const { length } = alarms;
  watch.stop();
  return length - before;
}

Deno.test("QuietWatch sets no alarm for the deadline above it", () => {
  using ctx = withTimeout(background(), hour);
  assertEquals(alarmsOf(new QuietWatch(ctx, () => {})), 0);
});

Deno.test("Watch sets an alarm for the deadline above it", () => {
  using ctx = withTimeout(background(), hour);
  assertEquals(alarmsOf(new Watch(ctx, () => {})), 1);
});

Deno.test("QuietWatch is notified at once on a context whose deadline has passed", () => {
  const endings: Ending[] = [];
  using ctx = withTimeout(background(), hour);
  pass(hour);
  new QuietWatch(ctx, (ending) => endings.push(ending)).start();
  assertEquals(endings.map(({ err }) => err), [ctx.err!]);
});

Deno.test("QuietWatch is notified within the cancellation", () => {
  const endings: Ending[] = [];
  const ctx = withTimeout(background(), hour);
  new QuietWatch(ctx, (ending) => endings.push(ending)).start();
  ctx.cancel("why");
  assertEquals(endings.map(({ cause }) => cause), ["why"]);
});
