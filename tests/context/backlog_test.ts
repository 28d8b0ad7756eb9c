import { assertEquals } from "@std/assert";
import { Backlog } from "../../context/backlog.ts";
import { Random } from "./random.ts";

Deno.test("Backlog behaves like an array under random calls", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const backlog = new Backlog<number>(200);
  const model: number[] = [];
  for (let n = 0; n < 20_000; n++) {
    if (random.below(2) === 0 && !backlog.full) {
      backlog.push(n);
      model.push(n);
    } else {
      assertEquals(backlog.shift(), model.shift(), `seed ${seed}`);
    }
    assertEquals(backlog.size, model.length, `seed ${seed}`);
    assertEquals(backlog.full, model.length === 200);
    if (random.below(3_000) === 0) {
      assertEquals(backlog.clear(), model.splice(0).length);
    }
  }
});

Deno.test("Backlog is full from its limit on", () => {
  const backlog = new Backlog<number>(2);
  const full = [1, 2, 3].map((n) => {
    backlog.push(n);
    return backlog.full;
  });
  assertEquals(full, [false, true, true]);
  assertEquals(backlog.clear(), 3);
  assertEquals([backlog.full, backlog.size], [false, 0]);
});

Deno.test("Backlog has no limit by default", () => {
  const backlog = new Backlog<number>();
  for (let n = 0; n < 100_000; n++) backlog.push(n);
  assertEquals([backlog.full, backlog.size], [false, 100_000]);
});

// Sizes around those at which the removed items are dropped.
for (const size of [1, 63, 64, 65, 128, 1_000]) {
  Deno.test(`Backlog gives ${size} items in order while more are added`, () => {
    const backlog = new Backlog<number>();
    let added = 0;
    for (; added < size; added++) backlog.push(added);
    for (let n = 0; n < 3 * size; n++) {
      assertEquals(backlog.shift(), n);
      backlog.push(added++);
      assertEquals(backlog.size, size);
    }
    for (let n = 3 * size; n < 4 * size; n++) assertEquals(backlog.shift(), n);
    assertEquals([backlog.shift(), backlog.size], [undefined, 0]);
  });
}
