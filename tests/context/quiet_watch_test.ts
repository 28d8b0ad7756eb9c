// Quiet watches keep no process alive: they set no alarm.

import type { Ending } from "../../context/ending.ts";
import { alarms, pass, standStill } from "./settable_clock.ts";
import { assertEquals } from "@std/assert";
import {
  background,
  type Context,
  draining,
  withGrace,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { QuietWatch, Watch } from "../../context/tree.ts";

const hour = 3_600_000;

standStill();

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
  pass(2 * hour);
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

Deno.test("withGrace() and draining() set no alarm until something waits for them", () => {
  using service = withTimeout(background(), hour);
  const before = alarms.length;
  using work = withGrace(service, 500);
  draining(work);
  draining(withoutCancel(work));
  assertEquals(alarms.length, before);
});

// Ever earlier, for an alarm that is set for an earlier time is used again.
for (
  const [name, ms, derive] of [
    ["withGrace()", 30_000, (ctx) => ctx],
    ["draining()", 20_000, draining],
    [
      "draining() below withoutCancel()",
      10_000,
      (ctx) => draining(withoutCancel(ctx)),
    ],
  ] satisfies [string, number, (ctx: Context) => Context][]
) {
  Deno.test(`signal of ${name} sets the alarm for the deadline above`, () => {
    using service = withTimeout(background(), ms);
    using work = withGrace(service, 500);
    const before = alarms.length;
    void derive(work).signal;
    assertEquals(alarms.slice(before), [ms]);
  });
}
