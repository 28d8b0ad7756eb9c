// Instances of test clocks, told apart by hand-made clocks. Each has a setTimeout that
// runs nothing.

import { assertEquals } from "@std/assert";

/** A clock whose timers are known by `toId` of their number, counted from 1. */
class HandMadeClock {
  /** Number of timers that were ever set. */
  set = 0;
  readonly pending = new Set<unknown>();
  /** The number of the latest timer; the next instance counts from 1 again. */
  count = 0;
  readonly #toId: (n: number) => unknown;

  constructor(toId: (n: number) => unknown = (n) => n) {
    this.#toId = toId;
  }

  readonly #setTimeout = (): unknown => {
    this.set++;
    const id = this.#toId(++this.count);
    this.pending.add(id);
    return id;
  };

  readonly #clearTimeout = (id: unknown): void => {
    this.pending.delete(id);
  };

  install(): void {
    Object.assign(globalThis, {
      setTimeout: this.#setTimeout,
      clearTimeout: this.#clearTimeout,
    });
  }
}

// Installed before the module is loaded, which takes the clock that it finds for the
// real one.
const real = new HandMadeClock();
real.install();
const { TestClockInstance } = await import(
  "../../context/test_clock_instance.ts"
);

/** A clock whose timers are objects, as in Node. */
function opaqueClock(): HandMadeClock {
  return new HandMadeClock((n) => ({ n }));
}

/** Results of `hasChanged` with each of `clocks` installed in turn. */
function changes(...clocks: HandMadeClock[]): boolean[] {
  const instance = new TestClockInstance();
  const changed: boolean[] = [];
  for (const clock of clocks) {
    clock.install();
    changed.push(instance.hasChanged());
  }
  real.install();
  return changed;
}

Deno.test("hasChanged() is true at the first call and false while the clock stays", () => {
  assertEquals(changes(real, real, real), [true, false, false]);
});

Deno.test("hasChanged() is true when a test clock was installed, and false while it stays", () => {
  const clock = new HandMadeClock();
  const changed = changes(real, clock, clock, clock);
  assertEquals(changed, [true, true, false, false]);
});

Deno.test("hasChanged() is true when a test clock was removed", () => {
  const clock = new HandMadeClock();
  assertEquals(changes(clock, clock, real, real), [true, false, true, false]);
});

Deno.test("hasChanged() is true when a clock with greater ids replaced another", () => {
  const clock = new HandMadeClock();
  const next = new HandMadeClock((n) => n + 100);
  assertEquals(changes(clock, next, next), [true, true, false]);
});

Deno.test("hasChanged() is false when a clock with smaller ids stays", () => {
  const clock = new HandMadeClock((n) => n + 100);
  const next = new HandMadeClock();
  assertEquals(changes(clock, next, next), [true, true, false]);
});

for (const timers of [0, 1, 5]) {
  Deno.test(`hasChanged() is true once when the ids start again after ${timers} other timers`, () => {
    const clock = new HandMadeClock();
    clock.install();
    const instance = new TestClockInstance();
    for (let i = 0; i < timers; i++) setTimeout(() => {});
    const changed = [instance.hasChanged()];
    clock.count = 0;
    changed.push(instance.hasChanged(), instance.hasChanged());
    real.install();
    assertEquals(changed, [true, true, false]);
  });
}

Deno.test("hasChanged() is true when an opaque clock was installed, and false while it stays", () => {
  const clock = opaqueClock();
  assertEquals(changes(real, clock, clock), [true, true, false]);
});

Deno.test("hasChanged() is true when an opaque clock replaced another", () => {
  const next = opaqueClock();
  assertEquals(changes(opaqueClock(), next, next), [true, true, false]);
});

Deno.test("hasChanged() leaves no timer on a clock whose ids are numbers", () => {
  const clock = new HandMadeClock();
  changes(clock, clock);
  assertEquals(clock.pending.size, 0);
});

Deno.test("hasChanged() leaves no timer on an opaque clock", () => {
  const clock = opaqueClock();
  changes(clock, clock);
  assertEquals(clock.pending.size, 0);
});

Deno.test("hasChanged() sets one timer on an opaque clock, however often it is called", () => {
  const clock = opaqueClock();
  changes(clock, clock, clock);
  assertEquals(clock.set, 1);
});

Deno.test("hasChanged() sets no timer on the real clock, not even after an opaque one", () => {
  const before = real.set;
  changes(real, opaqueClock(), real, real);
  assertEquals(real.set, before);
});
