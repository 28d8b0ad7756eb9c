import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  type Context,
  snapshot,
  untilDone,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { OwnSignal } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");

/** Gives items when it is told to, and counts how often it is told to return. */
class Source implements AsyncIterableIterator<number> {
  asked = 0;
  returned = 0;
  /** What `return()` waits for. */
  returning: Promise<void> = Promise.resolve();
  #next: PromiseWithResolvers<IteratorResult<number>> | undefined;

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<number>> {
    this.asked++;
    this.#next = Promise.withResolvers();
    return this.#next.promise;
  }

  async return(): Promise<IteratorResult<number>> {
    this.returned++;
    await this.returning;
    return { done: true, value: undefined };
  }

  give(value: number): void {
    this.#next!.resolve({ done: false, value });
  }

  fail(error: unknown): void {
    this.#next!.reject(error);
  }

  end(): void {
    this.#next!.resolve({ done: true, value: undefined });
  }
}

/** Takes items until there are no more. */
async function take<T>(items: AsyncIterable<T>, into: T[]): Promise<void> {
  for await (const item of items) into.push(item);
}

async function* asynchronous(): AsyncGenerator<number> {
  yield 1;
  await turn();
  yield 2;
  yield 3;
}

// What can be iterated.
const iterables: [
  name: string,
  make: () => AsyncIterable<number> | Iterable<number | Promise<number>>,
][] = [
  ["an async generator", asynchronous],
  ["a stream", () => ReadableStream.from([1, 2, 3])],
  ["an array", () => [1, 2, 3]],
  ["a Set", () => new Set([1, 2, 3])],
  ["a generator", function* () {
    yield* [1, 2, 3];
  }],
  ["an array of promises", () => [1, 2, 3].map((n) => Promise.resolve(n))],
];
for (const [name, make] of iterables) {
  Deno.test(`untilDone() gives the items of ${name}`, async () => {
    using ctx = withCancel(background());
    const items: number[] = [];
    await take(untilDone(ctx, make()), items);
    assertEquals(items, [1, 2, 3]);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });

  Deno.test(`untilDone() ends quietly in the middle of ${name}, once ctx is done`, async () => {
    const ctx = withCancel(background());
    const items: number[] = [];
    for await (const item of untilDone(ctx, make())) {
      items.push(item);
      if (item === 2) ctx.cancel(broken);
    }
    assertEquals(items, [1, 2]);
  });

  Deno.test(`untilDone() gives no item of ${name} on a ctx that is done`, async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    const items: number[] = [];
    await take(untilDone(ctx, make()), items);
    assertEquals(items, []);
  });
}

Deno.test("untilDone() gives the characters of a string", async () => {
  const items: string[] = [];
  await take(untilDone(background(), "abc"), items);
  assertEquals(items, ["a", "b", "c"]);
});

Deno.test("untilDone() ends quietly while it waits for an item, and calls return() once", async () => {
  const ctx = withCancel(background());
  const source = new Source();
  const items: number[] = [];
  const taken = outcomeOf(take(untilDone(ctx, source), items));
  source.give(1);
  await turn();
  assertEquals([source.asked, source.returned], [2, 0]);
  ctx.cancel("closing time");
  await turn();
  assertEquals(taken.state, "resolved");
  assertEquals([items, source.asked, source.returned], [[1], 2, 1]);
});

Deno.test("untilDone() ends quietly when the time of ctx is over", async () => {
  using ctx = withTimeout(background(), 1);
  const source = new Source();
  await take(untilDone(ctx, source), []);
  assertEquals(source.returned, 1);
});

// Contexts of somebody else's, and what they may end with.
const endings: [name: string, err: DOMException | undefined][] = [
  ["its own", undefined],
  ["a DOMException of its own", new DOMException("over", "AbortError")],
];
for (const [name, err] of endings) {
  Deno.test(`untilDone() ends quietly with a custom context and its err: ${name}`, async () => {
    const ctx = new OwnSignal(background());
    const source = new Source();
    const taken = take(untilDone(ctx, source), []);
    ctx.end(err);
    await taken;
    assertEquals(source.returned, 1);
  });
}

Deno.test("untilDone() on a ctx that is done asks for no item, and calls return()", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const source = new Source();
  await take(untilDone(ctx, source), []);
  assertEquals([source.asked, source.returned], [0, 1]);
});

Deno.test("untilDone() calls return() once when the body has cancelled ctx", async () => {
  const ctx = withCancel(background());
  const source = new Source();
  const taken = (async () => {
    for await (const _ of untilDone(ctx, source)) ctx.cancel();
  })();
  source.give(1);
  await taken;
  assertEquals([source.asked, source.returned], [1, 1]);
});

Deno.test("untilDone() ends quietly while it waits for an item that is a promise", async () => {
  const ctx = withCancel(background());
  let closed = false;
  function* stuck(): Generator<Promise<number>> {
    try {
      yield new Promise<number>(() => {});
    } finally {
      closed = true;
    }
  }
  const taken = outcomeOf(take(untilDone(ctx, stuck()), []));
  await turn();
  ctx.cancel();
  await turn();
  assertEquals([taken.state, closed], ["resolved", true]);
});

Deno.test("untilDone() does not wait for a return() that is stuck", async () => {
  const ctx = withCancel(background());
  const source = new Source();
  source.returning = new Promise(() => {});
  const taken = outcomeOf(take(untilDone(ctx, source), []));
  await turn();
  ctx.cancel();
  await turn();
  assertEquals([taken.state, source.returned], ["resolved", 1]);
});

Deno.test("untilDone() does not wait for an async generator that is stuck", async () => {
  const ctx = withCancel(background());
  const stuck = (async function* () {
    await new Promise(() => {});
    yield 1;
  })();
  const taken = outcomeOf(take(untilDone(ctx, stuck), []));
  await turn();
  ctx.cancel();
  await turn();
  assertEquals(taken.state, "resolved");
});

Deno.test("untilDone() lets a generator clean up when ctx is done", async () => {
  const ctx = withCancel(background());
  let closed = false;
  const source = (async function* () {
    try {
      for (let i = 1;; i++) yield i;
    } finally {
      await turn();
      closed = true;
    }
  })();
  for await (const item of untilDone(ctx, source)) {
    if (item === 3) ctx.cancel();
  }
  await turn();
  await turn();
  assertEquals(closed, true);
});

Deno.test("untilDone() after the end of ctx: an error of next() or return() is not unhandled", async () => {
  const reasons = await unhandledIn(async () => {
    for (
      const returning of [
        () => Promise.reject(broken),
        () => {
          throw broken;
        },
      ]
    ) {
      const ctx = withCancel(background());
      const source = new Source();
      source.return = returning;
      const taken = take(untilDone(ctx, source), []);
      ctx.cancel();
      await taken;
      source.fail(broken);
    }
  });
  assertEquals(reasons, []);
});

Deno.test("untilDone() calls return() once at a break, and waits for it", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  const { promise, resolve } = Promise.withResolvers<void>();
  source.returning = promise;
  const taken = outcomeOf((async () => {
    for await (const _ of untilDone(ctx, source)) break;
  })());
  source.give(1);
  await turn();
  assertEquals([taken.state, source.returned], ["pending", 1]);
  resolve();
  await turn();
  assertEquals([taken.state, source.returned], ["resolved", 1]);
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("untilDone() calls return() once when the body throws, whose error is passed on", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  const taken = (async () => {
    for await (const _ of untilDone(ctx, source)) throw broken;
  })();
  source.give(1);
  assertStrictEquals(await assertRejects(() => taken), broken);
  assertEquals(source.returned, 1);
});

Deno.test("untilDone() passes on what return() throws at a break", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  source.returning = Promise.reject(broken);
  const taken = (async () => {
    for await (const _ of untilDone(ctx, source)) break;
  })();
  source.give(1);
  assertStrictEquals(await assertRejects(() => taken), broken);
});

Deno.test("untilDone() waits for return() at a break until ctx is done, and no longer", async () => {
  for (const error of [undefined, broken]) {
    const ctx = withCancel(background());
    const source = new Source();
    const { promise, reject } = Promise.withResolvers<void>();
    source.returning = promise;
    const taken = outcomeOf((async () => {
      for await (const _ of untilDone(ctx, source)) break;
    })());
    source.give(1);
    await turn();
    assertEquals([taken.state, source.returned], ["pending", 1]);
    ctx.cancel();
    await turn();
    assertEquals(taken.state, "resolved");
    if (error) reject(error);
    await turn();
  }
});

Deno.test("untilDone() as `for await` does: an item that rejects is what is thrown, whatever return() throws", async () => {
  const rejecting: Iterable<Promise<number>> = {
    [Symbol.iterator]: () => ({
      next: () => ({ done: false, value: Promise.reject(broken) }),
      return: () => {
        throw new Error("return() is broken, too");
      },
    }),
  };
  const plain = await assertRejects(async () => {
    for await (const _ of rejecting);
  });
  assertStrictEquals(plain, broken);
  const error = await assertRejects(() =>
    take(untilDone(background(), rejecting), [])
  );
  assertStrictEquals(error, broken);
});

Deno.test("untilDone() needs no return(), at a break nor at the end of ctx", async () => {
  const ctx = withCancel(background());
  const endless = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ done: false, value: 7 }),
    }),
  };
  for await (const item of untilDone(ctx, endless)) {
    assertEquals(item, 7);
    break;
  }
  for await (const _ of untilDone(ctx, endless)) ctx.cancel();
});

Deno.test("untilDone() does not call return() of what is exhausted", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  const taken = take(untilDone(ctx, source), []);
  source.end();
  await taken;
  assertEquals(source.returned, 0);
});

// How an iterator may fail.
const failing: [how: string, next: () => Promise<IteratorResult<number>>][] = [
  ["rejects", () => Promise.reject(broken)],
  ["throws", () => {
    throw broken;
  }],
];
for (const [how, next] of failing) {
  Deno.test(`untilDone() passes on the error when next() ${how}, and does not call return()`, async () => {
    using ctx = withCancel(background());
    const source = new Source();
    source.next = next;
    const error = await assertRejects(() => take(untilDone(ctx, source), []));
    assertStrictEquals(error, broken);
    assertEquals(source.returned, 0);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}

Deno.test("untilDone() as `for await` does: an item that rejects is thrown, and its generator closed", async () => {
  let closed = 0;
  function* rejecting(): Generator<Promise<number>> {
    try {
      yield Promise.reject(broken);
    } finally {
      closed++;
    }
  }
  const plain = await assertRejects(async () => {
    for await (const _ of rejecting());
  });
  assertStrictEquals(plain, broken);
  assertEquals(closed, 1);
  const error = await assertRejects(() =>
    take(untilDone(background(), rejecting()), [])
  );
  assertStrictEquals(error, broken);
  assertEquals(closed, 2);
});

Deno.test("untilDone() closes a listener when ctx is done", async () => {
  const ctx = withCancel(background());
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken = take(untilDone(ctx, listener), []);
  await turn();
  ctx.cancel();
  await taken;
  // Closed, or the sanitizer would find it.
  assertThrows(() => listener.close(), Deno.errors.BadResource);
});

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`untilDone(ctx, ${JSON.stringify(wrong)}) is a TypeError at the call`, () => {
    assertThrows(
      () => untilDone(background(), wrong as unknown as Iterable<number>),
      TypeError,
      "untilDone: the second argument cannot be iterated",
    );
  });

  Deno.test(`untilDone(${JSON.stringify(wrong)}) is a TypeError at the call`, () => {
    assertThrows(
      () => untilDone(wrong as unknown as Context, []),
      TypeError,
      "untilDone: expected a context",
    );
  });
}
