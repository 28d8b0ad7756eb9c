// When the queue of deadlines sets its alarm, by clocks and timers made by hand.

import { assertEquals } from "@std/assert";

let now = 1_000;
const timeouts: { delay: number; fire(): void }[] = [];
// Installed before the module is loaded, which takes the clocks that it finds for the
// real ones. Bound functions read as native ones, so this is no test clock.
Date.now = (() => now).bind(undefined);
performance.now = () => now;
AbortSignal.timeout = (delay) => {
  const controller = new AbortController();
  timeouts.push({ delay, fire: () => controller.abort() });
  return controller.signal;
};
const { uncaughtIn } = await import("./unhandled.ts");
const { DeadlineQueue } = await import("../../context/deadline_queue.ts");

interface Entry {
  readonly at: number;
  place: number;
}

/** An empty queue, and the times at which something may have been due. */
function emptyQueue(onDue = () => {}) {
  timeouts.length = 0;
  const dues: number[] = [];
  const taken: Entry[] = [];
  const queue = new DeadlineQueue<Entry>({
    at: ({ at }) => at,
    place: ({ place }) => place,
    move: (entry, place) => entry.place = place,
    isBefore: (one, other) => one.at < other.at,
  }, (now) => {
    dues.push(now);
    let entry;
    while ((entry = queue.takeDue(now)) !== undefined) taken.push(entry);
    onDue();
  });
  const add = (ms: number): Entry => {
    const entry = { at: now + ms, place: -1 };
    queue.add(entry, now);
    return entry;
  };
  const delays = () => timeouts.map(({ delay }) => delay);
  return { queue, add, dues, taken, delays };
}

Deno.test("DeadlineQueue sets no alarm while nothing holds it", () => {
  const { add, delays } = emptyQueue();
  add(100);
  assertEquals(delays(), []);
});

Deno.test("DeadlineQueue sets its alarm for the first entry when it is held", () => {
  const { queue, add, delays } = emptyQueue();
  add(200);
  add(100);
  queue.hold();
  assertEquals(delays(), [100]);
});

Deno.test("DeadlineQueue sets its alarm again for an earlier entry only", () => {
  const { queue, add, delays } = emptyQueue();
  queue.hold();
  for (const ms of [200, 300, 100, 150]) add(ms);
  assertEquals(delays(), [200, 100]);
});

Deno.test("DeadlineQueue sets its alarm for the next entry when it has rung", () => {
  const { queue, add, delays, dues } = emptyQueue();
  queue.hold();
  add(100);
  const start = now;
  now += 50;
  add(250);
  now += 50;
  timeouts[0]!.fire();
  assertEquals([delays(), dues], [[100, 200], [start + 100]]);
});

Deno.test("DeadlineQueue sets its alarm for the next entry although what was due has thrown", () => {
  const { queue, add, delays } = emptyQueue(() => {
    throw new Error("broken");
  });
  queue.hold();
  add(100);
  add(300);
  now += 100;
  assertEquals(uncaughtIn(() => timeouts[0]!.fire()), ["broken"]);
  assertEquals(delays(), [100, 200]);
});

Deno.test("DeadlineQueue takes a timer that is 1 ms early for due", () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  const { at } = add(100);
  now += 99;
  timeouts[0]!.fire();
  assertEquals(dues, [at]);
});

Deno.test("DeadlineQueue moves its clock to the time of a fake timer that has fired", () => {
  const { queue, add } = emptyQueue();
  const { setTimeout } = globalThis;
  const timers: (() => void)[] = [];
  globalThis.setTimeout =
    ((f: () => void) => timers.push(f)) as unknown as typeof setTimeout;
  queue.hold();
  const { at } = add(100);
  timers[0]!();
  globalThis.setTimeout = setTimeout;
  assertEquals(queue.clock.now(), at);
});

Deno.test("DeadlineQueue does not ring once it was released", async () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  add(100);
  queue.release();
  await Promise.resolve();
  now += 100;
  timeouts[0]!.fire();
  assertEquals(dues, []);
});

Deno.test("DeadlineQueue does not ring once it was held and released again", async () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  add(100);
  queue.release();
  await Promise.resolve();
  queue.hold();
  queue.release();
  await Promise.resolve();
  now += 100;
  timeouts[0]!.fire();
  assertEquals(dues, []);
});

Deno.test("DeadlineQueue rings while one of two holders is left", async () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  queue.hold();
  const { at } = add(100);
  queue.release();
  await Promise.resolve();
  now += 100;
  timeouts[0]!.fire();
  assertEquals(dues, [at]);
});

Deno.test("DeadlineQueue keeps its alarm when it is held again before the microtasks", async () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  const { at } = add(100);
  queue.release();
  queue.hold();
  await Promise.resolve();
  now += 100;
  timeouts[0]!.fire();
  assertEquals(dues, [at]);
});

Deno.test("DeadlineQueue rings when it is held again after it was released twice", async () => {
  const { queue, add, dues } = emptyQueue();
  const { at } = add(100);
  for (let i = 0; i < 2; i++) {
    queue.hold();
    queue.release();
    await Promise.resolve();
  }
  queue.hold();
  now += 100;
  timeouts.at(-1)!.fire();
  assertEquals(dues, [at]);
});

Deno.test("DeadlineQueue finds an overdue entry when one is added while nothing holds it", () => {
  const { add, dues } = emptyQueue();
  add(100);
  now += 100;
  add(100);
  assertEquals(dues, [now]);
});

Deno.test("DeadlineQueue leaves an overdue entry to the alarm while it is held", () => {
  const { queue, add, dues } = emptyQueue();
  queue.hold();
  add(100);
  now += 100;
  add(100);
  assertEquals(dues, []);
});

Deno.test("DeadlineQueue takes an entry of the turn once the event loop has turned", () => {
  const { queue, delays } = emptyQueue();
  const entry = { at: now + 500, place: -1 };
  queue.hold();
  queue.addTurn(entry);
  const before = queue.takeDue(now);
  timeouts[0]!.fire();
  assertEquals([before, entry.place, delays()], [undefined, -1, [0]]);
});

Deno.test("DeadlineQueue does not take an entry of the turn that was removed", () => {
  const { queue, dues, taken } = emptyQueue();
  const entry = { at: now + 500, place: -1 };
  queue.hold();
  queue.addTurn(entry);
  queue.remove(entry);
  timeouts[0]!.fire();
  assertEquals([entry.place, dues.length, taken], [-1, 1, []]);
});

Deno.test("DeadlineQueue takes no later entry of the turn before the event loop has turned again", () => {
  const { queue } = emptyQueue();
  queue.hold();
  queue.addTurn({ at: now, place: -1 });
  timeouts[0]!.fire();
  queue.addTurn({ at: now, place: -1 });
  assertEquals(queue.takeDue(now), undefined);
});

Deno.test("DeadlineQueue takes the renewal of a test clock's alarm for no turn of the event loop", () => {
  const { setTimeout } = globalThis;
  Object.assign(globalThis, { setTimeout: () => 1 });
  const { queue } = emptyQueue();
  const entry = { at: now, place: -1 };
  queue.hold();
  queue.addTurn(entry);
  const { place } = entry;
  timeouts[0]!.fire();
  globalThis.setTimeout = setTimeout;
  assertEquals(entry.place, place);
});
