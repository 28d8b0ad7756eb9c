import { assertEquals } from "@std/assert";
import { Ending } from "../../context/ending.ts";

const endings: [name: string, ending: Ending, isPlain: boolean][] = [
  ["a cancellation without a cause", Ending.canceled(), true],
  ["a cancellation with a cause", Ending.canceled("why"), false],
  ["a deadline without a cause", Ending.exceeded(), false],
  ["a deadline with a cause", Ending.exceeded("why"), false],
];
for (const [name, ending, isPlain] of endings) {
  Deno.test(`isPlain of ${name} is ${isPlain}`, () => {
    assertEquals(ending.isPlain, isPlain);
  });
}
