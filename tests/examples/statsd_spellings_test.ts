import { assert, assertEquals } from "@std/assert";
import { parsePacket, Spelling } from "../../examples/statsd/parse.ts";
import { SpellingTable } from "../../examples/statsd/spellings.ts";

/** Returns a copy of the spelling of a line. */
function spelled(line: string, hash?: number): Spelling {
  const found = new Spelling();
  parsePacket(new TextEncoder().encode(line), {
    line() {},
    error: (reason) => {
      throw new Error(`${line}: ${reason}`);
    },
    skip() {},
    sample: (sample) => {
      const { data, nameFrom, nameTo, tagsFrom, tagsTo, nameHash } = sample;
      Object.assign(found, { data, nameFrom, nameTo, tagsFrom, tagsTo });
      found.nameHash = hash ?? nameHash;
    },
  });
  return found;
}

Deno.test("SpellingTable finds a spelling anywhere in a packet", () => {
  const table = new SpellingTable<number>();
  table.add(spelled("name:1|c|#a:1"), 7);
  assertEquals(table.find(spelled("name:2|g|@0.5|#a:1")), 7);
  assertEquals(table.find(spelled("\nname:2|g|#a:1|T1")), 7);
  assertEquals(table.size, 1);
});

Deno.test("SpellingTable distinguishes spellings that differ in one byte or in the end of the name", () => {
  const table = new SpellingTable<string>();
  const lines = [
    "ab:1|c",
    "a:1|c|#b",
    "a:1|c|#bc",
    "ab:1|c|#c",
    "abc:1|c",
    "abd:1|c",
    "ab:1|c|#d",
    "äb:1|c",
  ];
  for (const [i, line] of lines.entries()) {
    assertEquals(table.find(spelled(line)), undefined, line);
    table.add(spelled(line), line);
    assertEquals(table.size, i + 1);
  }
  for (const line of lines) assertEquals(table.find(spelled(line)), line);
});

Deno.test("SpellingTable distinguishes spellings with the same hash", () => {
  const table = new SpellingTable<string>();
  table.add(spelled("a:1|c", 42), "a");
  assertEquals(table.find(spelled("b:1|c", 42)), undefined);
  // The hash takes a byte of the tags by exclusive or.
  const other = 42 ^ "x".charCodeAt(0) ^ "y".charCodeAt(0);
  table.add(spelled("a:1|c|#x", 42), "x");
  assertEquals(table.find(spelled("a:1|c|#y", other)), undefined);
  table.add(spelled("a:1|c|#y", other), "y");
  assertEquals(table.find(spelled("a:1|c|#x", 42)), "x");
});

Deno.test("SpellingTable finds each of 50,000 spellings after it has grown", () => {
  const table = new SpellingTable<number>();
  const line = (i: number) => `name.${i}:1|c|#tag:${i % 7}`;
  for (let i = 0; i < 50_000; i++) table.add(spelled(line(i)), i);
  let found = 0;
  for (let i = 0; i < 50_000; i++) {
    const value = table.find(spelled(line(i)));
    // A spelling without a slot is not found, and never taken for another.
    if (value === undefined) continue;
    assertEquals(value, i);
    found++;
  }
  assertEquals(found, table.size);
  assert(found > 49_900, `${found} of 50,000`);
});

Deno.test("retain() removes spellings and shrinks the table", () => {
  const table = new SpellingTable<number>();
  // Hashes of their own: those of the parser are random, and the table leaves out a
  // spelling that finds no slot.
  const spelling = (i: number) => spelled(`n${i}:1|c`, i);
  for (let i = 0; i < 5_000; i++) table.add(spelling(i), i);
  table.retain((value) => value % 100 === 0);
  assertEquals(table.size, 50);
  assertEquals(table.find(spelling(100)), 100);
  assertEquals(table.find(spelling(101)), undefined);
  table.retain(() => false);
  assertEquals([table.size, table.text], [0, 0]);
});

Deno.test("SpellingTable limits the number of names with one hash", () => {
  const table = new SpellingTable<number>();
  for (let i = 0; i < 1_000; i++) table.add(spelled(`n${i}:1|c`, 42), i);
  assert(table.size <= 16, `${table.size}`);
  assertEquals(table.find(spelled("n0:1|c", 42)), 0);
  assertEquals(table.find(spelled("n999:1|c", 42)), undefined);
});
