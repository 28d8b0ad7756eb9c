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

Deno.test("call() within call() holds at any depth", async () => {
  let calls = 0;
  function next(): unknown {
    return ++calls < 100_000 ? call(next) : calls;
  }
  assertEquals(await call(next), 100_000);
});

Deno.test("call() calls the function at once, 100 levels deep as well", async () => {
  const order: string[] = [];
  function next(level: number): unknown {
    order.push(`begin ${level}`);
    const outcome = level < 101 ? call(next, level + 1) : undefined;
    order.push(`end ${level}`);
    return outcome;
  }
  await call(next, 1);
  assertEquals(order.slice(99, 101), ["begin 100", "end 100"]);
  assertEquals(order.slice(199), ["end 1", "begin 101", "end 101"]);
});

Deno.test("call() counts levels, not calls that have ended", () => {
  let calls = 0;
  for (let i = 0; i < 200; i++) {
    call(() => {
      calls++;
      throw broken;
    }).catch(() => {});
  }
  assertEquals(calls, 200);
});

Deno.test("call() returns the promise of the function, so that no rejection stays unhandled for a microtask", async () => {
  const reasons = await unhandledIn(async () => {
    const promise = Promise.reject(broken);
    assertStrictEquals(call(() => promise), promise);
    await assertRejects(() => promise);
  });
  assertEquals(reasons, []);
});
