import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { call } from "../../context/call.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");

// Functions, and the outcomes of calling them.
const outcomes: [name: string, f: () => unknown, failure?: Error][] = [
  ["returns a value", () => 7],
  ["returns a promise", () => Promise.resolve(7)],
  ["returns a thenable", () => ({ then: (f: (n: number) => void) => f(7) })],
  ["throws", () => {
    throw broken;
  }, broken],
  ["rejects", () => Promise.reject(broken), broken],
];
for (const [name, f, failure] of outcomes) {
  Deno.test(`call() of a function that ${name}`, async () => {
    if (failure === undefined) assertEquals(await call(f), 7);
    else assertStrictEquals(await assertRejects(() => call(f)), failure);
  });
}

Deno.test("call() hands the arguments on", async () => {
  assertEquals(await call((a: number, b: string) => [a, b], 1, "b"), [1, "b"]);
});

Deno.test("call() returns the promise of the function, so that no rejection stays unhandled for a microtask", async () => {
  const reasons = await unhandledIn(async () => {
    const promise = Promise.reject(broken);
    assertStrictEquals(call(() => promise), promise);
    await assertRejects(() => promise);
  });
  assertEquals(reasons, []);
});
