// Consumers that leave: what holds for the iterators of every() and untilDone()
// alike.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  background,
  type Context,
  every,
  snapshot,
  untilDone,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { outcomeOf, turn } from "./outcome.ts";

const broken = new Error("broken");
const hour = 3_600_000;
const over = { done: true, value: undefined };

type Items = AsyncGenerator<unknown, void, undefined>;

// Iterators whose next() stays pending.
const silent: [name: string, make: (ctx: Context) => Items][] = [
  ["every()", (ctx) => every(ctx, hour)],
  ["untilDone() of a stream", (ctx) => untilDone(ctx, new ReadableStream())],
  [
    "untilDone() of a byte stream",
    (ctx) => untilDone(ctx, new ReadableStream({ type: "bytes" })),
  ],
  ["untilDone() of an async generator", (ctx) =>
    untilDone(
      ctx,
      async function* () {
        await new Promise(() => {});
        yield 1;
      }(),
    )],
  ["untilDone() of an iterator with only next()", (ctx) =>
    untilDone(ctx, {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    })],
  ["untilDone() of an iterator with a stuck return()", (ctx) =>
    untilDone(ctx, {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => new Promise(() => {}),
      }),
    })],
  [
    "untilDone() of promises",
    (ctx) => untilDone(ctx, [new Promise(() => {})]),
  ],
  ["untilDone() of every()", (ctx) => untilDone(ctx, every(ctx, hour))],
];

for (const [name, make] of silent) {
  Deno.test(`${name}: return() settles at once while next() is pending, and so does next()`, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    const next = outcomeOf(items.next());
    await turn();
    assertEquals(next.state, "pending");
    assertEquals(await items.return(), over);
    assertEquals(next, { state: "resolved", value: over });
  });

  Deno.test(`${name}: return() leaves nothing on ctx`, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    items.next();
    await items.return();
    await turn();
    assertEquals(snapshot(ctx).afterFuncs, 0);
    assertEquals(snapshot(ctx).children, []);
  });

  Deno.test(`${name}: return() settles each of several pending next()`, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    const asked = [items.next(), items.next(), items.next()];
    await items.return();
    // Some have settled before: [promise] has no second item.
    const last = (await Promise.all(asked)).at(-1);
    assertEquals(last, over);
  });

  Deno.test(`${name}: return() again, and next() after it, settle at once`, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    items.next();
    const returned = [items.return(), items.return()];
    assertEquals(await Promise.all(returned), [over, over]);
    assertEquals(await items.next(), over);
    assertEquals(await items.return(), over);
  });

  Deno.test(`${name}: return() before the first next() ends it`, async () => {
    using ctx = withTimeout(background(), 1);
    const items = make(ctx);
    assertEquals(await items.return(), over);
    assertEquals(await items.next(), over);
  });

  Deno.test(`${name}: throw() rejects with its error and settles a pending next()`, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    const next = items.next();
    const error = await assertRejects(() => items.throw(broken));
    assertStrictEquals(error, broken);
    assertEquals(await next, over);
    assertEquals(await items.next(), over);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });

  Deno.test(`${name}: the end of ctx settles each pending next()`, async () => {
    const ctx = withCancel(background());
    const items = make(ctx);
    const asked = [items.next(), items.next(), items.next()];
    await turn();
    ctx.cancel();
    assertEquals((await Promise.all(asked)).at(-1), over);
    assertEquals(await items.return(), over);
    assertStrictEquals(await assertRejects(() => items.throw(broken)), broken);
  });

  Deno.test(`${name}: a deadline that no timer has reported ends it at next()`, async () => {
    const ctx = withTimeout(background(), 1);
    const items = make(ctx);
    for (const start = Date.now(); Date.now() < start + 3;);
    assertEquals(await items.next(), over);
  });

  Deno.test(`${name}: the end of an \`await using\` block ends it`, async () => {
    using ctx = withCancel(background());
    let next: Promise<unknown>;
    {
      await using items = make(ctx);
      next = items.next();
    }
    assertEquals(await next, over);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });

  Deno.test(`${name}: is its own iterator, as for \`yield*\``, async () => {
    using ctx = withCancel(background());
    const items = make(ctx);
    assertStrictEquals(items[Symbol.asyncIterator](), items);
    const outer = (async function* () {
      yield* items;
    })();
    const next = outer.next();
    await turn();
    ctx.cancel();
    assertEquals(await next, over);
  });

  // As Deno.serve does when the client of an event stream has gone.
  Deno.test(`${name}: the cancel() of a stream made from it settles at once`, async () => {
    using ctx = withCancel(background());
    const reader = ReadableStream.from(make(ctx)).getReader();
    const read = reader.read();
    await turn();
    await reader.cancel("gone");
    assertEquals(await read, over);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}
