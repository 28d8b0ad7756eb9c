import { assertEquals } from "@std/assert";
import { shown } from "../../context/shown.ts";

const table: [value: unknown, text: string][] = [
  ["5", '"5"'],
  ['say "hi"\n', '"say \\"hi\\"\\n"'],
  [5, "5"],
  [NaN, "NaN"],
  [5n, "5n"],
  [true, "true"],
  [undefined, "undefined"],
  [null, "null"],
  [Symbol("s"), "Symbol(s)"],
  [Object.create(null), "object"],
  [() => {}, "function"],
];
for (const [value, text] of table) {
  Deno.test(`shown() writes ${text}`, () => {
    assertEquals(shown(value), text);
  });
}
