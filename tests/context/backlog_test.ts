import { assertEquals } from "@std/assert";
import { Backlog } from "../../context/backlog.ts";
import { Random } from "./random.ts";

Deno.test("a backlog gives out in order what a plain array would", () => {
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
