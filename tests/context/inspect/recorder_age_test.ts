// Aging of what the recorder holds, by a timer in the hands of the test.

import { assertEquals } from "@std/assert";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** The timers that are set, by id. */
const timers = new Map<number, () => void>();
let ids = 0;
const { setTimeout, clearTimeout } = globalThis;
// Installed before the module is loaded, which takes the timers that it finds for the
// real ones.
Object.assign(globalThis, {
  setTimeout(f: () => void): { id: number } {
    timers.set(++ids, f);
    return { id: ids };
  },
  clearTimeout: ({ id }: { id: number }) => timers.delete(id),
});
await import("../../../context/inspect/unref_timeout.ts");
Object.assign(globalThis, { setTimeout, clearTimeout });
const { inspect } = await import("@curfew/context/inspect");
const { afterFunc, background, withCancel } = await import("@curfew/context");

/** Fires the timers that are set. */
function fire(): void {
  const due = [...timers.values()];
  timers.clear();
  for (const f of due) f();
}

/** Returns how many of `objects` are alive once nothing else refers to them. */
async function countAlive(objects: object[]): Promise<number> {
  const refs = objects.splice(0).map((object) => new WeakRef(object));
  await new Promise((resolve) => setTimeout(resolve, 0));
  gc();
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

for (const round of ["first", "second"]) {
  Deno.test(`inspect() keeps contexts that have ended until its timer fires the ${round} time`, async () => {
    using _inspector = inspect();
    if (round === "second") {
      withCancel(background()).cancel();
      fire();
    }
    const ended = Array.from({ length: 10 }, () => withCancel(background()));
    ended.forEach((ctx) => afterFunc(ctx, () => {}));
    ended.forEach((ctx) => ctx.cancel("why"));
    const refs = [...ended];
    assertEquals(await countAlive(ended), 10);
    fire();
    assertEquals(await countAlive(refs), 0);
  });
}

Deno.test("inspect() sets one timer for contexts that are open, and one for those that end", () => {
  const inspector = inspect();
  using _ctx = withCancel(background());
  assertEquals(timers.size, 1);
  fire();
  assertEquals(timers.size, 0);
  _ctx.cancel("why");
  assertEquals(timers.size, 1);
  inspector[Symbol.dispose]();
  assertEquals(timers.size, 0);
});

Deno.test("inspect() sets a timer for a child of a context that it knows", () => {
  using _inspector = inspect();
  using ctx = withCancel(background());
  fire();
  using _child = withCancel(ctx);
  assertEquals(timers.size, 1);
});
