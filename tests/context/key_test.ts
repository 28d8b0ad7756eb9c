import { assertEquals, assertNotStrictEquals, assertThrows } from "@std/assert";
import { background, createKey, type Key, withValue } from "@curfew/context";

Deno.test("two keys of the same name are different", () => {
  const mine = createKey<string>("user");
  const yours = createKey<string>("user");
  assertNotStrictEquals(mine, yours);
  const ctx = withValue(withValue(background(), mine, "ada"), yours, "grace");
  assertEquals([ctx.value(mine), ctx.value(yours)], ["ada", "grace"]);
  assertEquals(withValue(background(), mine, "ada").value(yours), undefined);
});

Deno.test("a key has the name it was made with, and keeps it", () => {
  const key: { name: string } = createKey<string>("user");
  assertEquals(key.name, "user");
  assertThrows(() => key.name = "other", TypeError);
});

for (const name of [undefined, null, 7, Symbol("user")]) {
  Deno.test(`createKey() of ${String(name)} is a TypeError`, () => {
    const wrong = name as unknown as string;
    assertThrows(() => createKey(wrong), TypeError, "createKey");
  });
}

Deno.test("a key is of one type: what is stored and read agree", () => {
  const key = createKey<number>("count");
  // @ts-expect-error -- a string is no number
  withValue(background(), key, "one");
  // @ts-expect-error -- neither wider
  const wider: Key<number | string> = key;
  // @ts-expect-error -- nor narrower
  const narrower: Key<1> = key;
  assertEquals(wider, narrower as unknown);
});
