import { assertEquals } from "@std/assert";
import { DeadlineHeap, nowhere } from "../../context/deadline_heap.ts";
import { Random } from "./random.ts";

interface Entry {
  readonly at: number;
  place: number;
}

/** An empty heap, and the moves that it has reported. */
function emptyHeap() {
  let moves = 0;
  const heap = new DeadlineHeap<Entry>({
    isBefore: (one, other) => one.at < other.at,
    place: ({ place }) => place,
    move(entry, place) {
      moves++;
      entry.place = place;
    },
  });
  const add = (at: number): Entry => {
    const entry = { at, place: nowhere };
    heap.add(entry);
    return entry;
  };
  return { heap, add, moves: () => moves };
}

Deno.test("DeadlineHeap is empty at first", () => {
  assertEquals(emptyHeap().heap.first, undefined);
});

Deno.test("DeadlineHeap has no first entry when its only one was removed", () => {
  const { heap, add } = emptyHeap();
  const entry = add(1);
  heap.remove(entry);
  assertEquals([heap.first, entry.place], [undefined, nowhere]);
});

Deno.test("DeadlineHeap hands out entries in order, whichever are added and removed", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  for (let round = 0; round < 50; round++) {
    const { heap, add } = emptyHeap();
    let left: Entry[] = [];
    for (let at = 0; at < 60; at++) {
      left.push(add(random.below(1_000) * 100 + at));
      if (random.below(3) > 0) continue;
      const entry = left[random.below(left.length)]!;
      heap.remove(entry);
      assertEquals(entry.place, nowhere, `seed ${seed}`);
      left = left.filter((other) => other !== entry);
    }
    const places = left.map(({ place }) => place).toSorted((a, b) => a - b);
    assertEquals(places, left.map((_, i) => i), `seed ${seed}`);
    const order: number[] = [];
    for (let first; (first = heap.first) !== undefined;) {
      order.push(first.at);
      heap.remove(first);
    }
    const expected = left.map(({ at }) => at).toSorted((a, b) => a - b);
    assertEquals(order, expected, `seed ${seed}`);
  }
});

Deno.test("DeadlineHeap moves one entry for each that is added in order", () => {
  const { add, moves } = emptyHeap();
  for (let at = 0; at < 100; at++) add(at);
  assertEquals(moves(), 100);
});
