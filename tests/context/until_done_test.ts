import { AsyncLocalStorage } from "node:async_hooks";
import { Readable } from "node:stream";
import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  type Context,
  DeadlineExceeded,
  snapshot,
  untilDone,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { LateSignal, OwnSignal } from "./custom_context.ts";
import { outcomeOf, turn } from "./outcome.ts";
import { unhandledIn } from "./unhandled.ts";

const broken = new Error("broken");

/** Gives items on demand and counts the calls of next() and return(). */
class Source implements AsyncIterableIterator<number> {
  asked = 0;
  returned = 0;
  /** `return()` settles with this. */
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

/** Collects items until the loop ends. */
async function take<T>(items: AsyncIterable<T>, into: T[]): Promise<void> {
  for await (const item of items) into.push(item);
}

async function* asynchronous(): AsyncGenerator<number> {
  yield 1;
  await turn();
  yield 2;
  yield 3;
}

// Iterables of 1, 2, 3.
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

  Deno.test(`untilDone() ends quietly in the middle of ${name} once ctx is done`, async () => {
    using ctx = withCancel(background());
    const items: number[] = [];
    for await (const item of untilDone(ctx, make())) {
      items.push(item);
      if (item === 2) ctx.cancel(broken);
    }
    assertEquals(items, [1, 2]);
  });

  Deno.test(`untilDone() gives no item of ${name} on a done ctx`, async () => {
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

Deno.test("untilDone() ends quietly while it waits for an item and calls return() once", async () => {
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

Deno.test("untilDone() ends quietly at the deadline of ctx", async () => {
  using ctx = withTimeout(background(), 1);
  const source = new Source();
  await take(untilDone(ctx, source), []);
  assertEquals(source.returned, 1);
});

// The errors that a custom context may end with.
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

Deno.test("untilDone() on a done ctx asks for no item and calls return()", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  const source = new Source();
  await take(untilDone(ctx, source), []);
  assertEquals([source.asked, source.returned], [0, 1]);
});

Deno.test("untilDone() calls return() once if the loop body cancels ctx", async () => {
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

Deno.test("untilDone() does not wait for a stuck return() at the end of ctx", async () => {
  const ctx = withCancel(background());
  const source = new Source();
  source.returning = new Promise(() => {});
  const taken = outcomeOf(take(untilDone(ctx, source), []));
  await turn();
  ctx.cancel();
  await turn();
  assertEquals([taken.state, source.returned], ["resolved", 1]);
});

Deno.test("untilDone() does not wait for a stuck async generator at the end of ctx", async () => {
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

Deno.test("untilDone() lets a generator clean up once ctx is done", async () => {
  using ctx = withCancel(background());
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

Deno.test("untilDone() drops errors of next(), return() and close() after the end of ctx", async () => {
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
      const source = Object.assign(new Source(), { close: returning });
      source.return = returning;
      const taken = take(untilDone(ctx, source), []);
      ctx.cancel();
      await taken;
      source.fail(broken);
    }
  });
  assertEquals(reasons, []);
});

Deno.test("untilDone() calls return() once at a break and waits for it", async () => {
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

Deno.test("untilDone() calls return() once if the loop body throws and does not hold back its error", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  const taken = (async () => {
    for await (const _ of untilDone(ctx, source)) throw broken;
  })();
  source.give(1);
  assertStrictEquals(await assertRejects(() => taken), broken);
  assertEquals(source.returned, 1);
});

for (const error of [broken, undefined]) {
  Deno.test(`untilDone() passes on the error of return() at a break: ${error}`, async () => {
    using ctx = withCancel(background());
    const source = new Source();
    source.returning = Promise.reject(error);
    const taken = outcomeOf((async () => {
      for await (const _ of untilDone(ctx, source)) break;
    })());
    source.give(1);
    await turn();
    assertEquals(taken.state, "rejected");
    assertStrictEquals(taken.error, error);
  });
}

Deno.test("untilDone() waits for return() at a break no longer than until ctx is done", async () => {
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

Deno.test("untilDone() throws the error of an item that rejects, whatever return() throws, as `for await` does", async () => {
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

Deno.test("untilDone() accepts an iterator without return()", async () => {
  using ctx = withCancel(background());
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

Deno.test("untilDone() does not call return() of an exhausted iterator", async () => {
  using ctx = withCancel(background());
  const source = new Source();
  const taken = take(untilDone(ctx, source), []);
  source.end();
  await taken;
  assertEquals(source.returned, 0);
});

// Iterators that fail.
const failing: [how: string, next: () => Promise<IteratorResult<number>>][] = [
  ["rejects", () => Promise.reject(broken)],
  ["throws", () => {
    throw broken;
  }],
];
for (const [how, next] of failing) {
  Deno.test(`untilDone() passes on the error if next() ${how} and does not call return()`, async () => {
    using ctx = withCancel(background());
    const source = new Source();
    source.next = next;
    const error = await assertRejects(() => take(untilDone(ctx, source), []));
    assertStrictEquals(error, broken);
    assertEquals(source.returned, 0);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}

Deno.test("untilDone() closes the generator of an item that rejects, as `for await` does", async () => {
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

Deno.test("untilDone() closes a listener once ctx is done", async () => {
  const ctx = withCancel(background());
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken = take(untilDone(ctx, listener), []);
  await turn();
  ctx.cancel();
  await taken;
  // The sanitizer, too, would find an open one.
  assertThrows(() => listener.close(), Deno.errors.BadResource);
});

/** A stream that gives "first" and then stays silent, with a log of its end. */
function silentStream(
  type?: "bytes",
): { stream: ReadableStream; log: unknown[] } {
  const log: unknown[] = [];
  const stream = new ReadableStream({
    ...(type ? { type } : {}),
    start: (controller: ReadableStreamController<unknown>) =>
      controller.enqueue(new TextEncoder().encode("first")),
    pull: () => new Promise(() => {}),
    cancel: () => void log.push("canceled"),
  } as unknown as UnderlyingDefaultSource);
  return { stream, log };
}

for (const type of [undefined, "bytes"] as const) {
  const name = type === undefined ? "a silent stream" : "a silent byte stream";

  Deno.test(`untilDone() cancels ${name} and releases its lock before the loop ends`, async () => {
    const ctx = withCancel(background());
    const { stream, log } = silentStream(type);
    const items: unknown[] = [];
    const taken = take(untilDone(ctx, stream), items);
    await turn();
    ctx.cancel();
    await taken;
    assertEquals([items.length, log, stream.locked], [1, ["canceled"], false]);
  });

  Deno.test(`untilDone() cancels ${name} at the end of ctx although the loop body is busy`, async () => {
    const ctx = withCancel(background());
    const { stream, log } = silentStream(type);
    const body = Promise.withResolvers<void>();
    const taken = outcomeOf((async () => {
      for await (const _ of untilDone(ctx, stream)) await body.promise;
    })());
    await turn();
    ctx.cancel();
    await turn();
    assertEquals([log, stream.locked], [["canceled"], false]);
    assertEquals(taken.state, "pending");
    body.resolve();
    await turn();
    assertEquals(taken.state, "resolved");
  });

  Deno.test(`untilDone() cancels ${name} at the end of ctx although nothing reads it yet`, async () => {
    const ctx = withCancel(background());
    const { stream, log } = silentStream(type);
    untilDone(ctx, stream);
    assertEquals(stream.locked, true);
    ctx.cancel();
    await turn();
    assertEquals([log, stream.locked], [["canceled"], false]);
  });

  Deno.test(`untilDone() cancels ${name} given on a done ctx`, async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    const { stream, log } = silentStream(type);
    await take(untilDone(ctx, stream), []);
    assertEquals([log, stream.locked], [["canceled"], false]);
  });

  Deno.test(`untilDone() cancels ${name} at return() while next() is pending`, async () => {
    using ctx = withCancel(background());
    const { stream, log } = silentStream(type);
    const items = untilDone(ctx, stream);
    await items.next();
    items.next();
    await turn();
    await items.return();
    assertEquals([log, stream.locked], [["canceled"], false]);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });

  Deno.test(`untilDone() cancels ${name} once if ctx ends after return()`, async () => {
    const ctx = withCancel(background());
    const { stream, log } = silentStream(type);
    const items = untilDone(ctx, stream);
    items.next();
    items.return();
    ctx.cancel();
    await items.return();
    await turn();
    assertEquals(log, ["canceled"]);
  });
}

Deno.test("untilDone() waits at a break until a stream is canceled, and passes on its error", async () => {
  using ctx = withCancel(background());
  const { promise, reject } = Promise.withResolvers<void>();
  const stream = new ReadableStream({
    pull: (controller) => controller.enqueue(1),
    cancel: () => promise,
  });
  const taken = outcomeOf((async () => {
    for await (const _ of untilDone(ctx, stream)) break;
  })());
  await turn();
  assertEquals(taken.state, "pending");
  reject(broken);
  await turn();
  assertStrictEquals(taken.error, broken);
  assertEquals(stream.locked, false);
});

Deno.test("untilDone() drops the error of a stream that cannot be canceled at the end of ctx", async () => {
  const reasons = await unhandledIn(async () => {
    for (
      const cancel of [() => Promise.reject(broken), () => {
        throw broken;
      }]
    ) {
      const ctx = withCancel(background());
      const stream = new ReadableStream({ cancel });
      const taken = take(untilDone(ctx, stream), []);
      ctx.cancel();
      await taken;
      assertEquals(stream.locked, false);
    }
  });
  assertEquals(reasons, []);
});

// Streams that end by themselves, and the error of the loop.
const streamEnds: [
  how: string,
  end: (controller: ReadableStreamDefaultController<number>) => void,
  error?: Error,
][] = [
  ["closed", (controller) => controller.close()],
  ["errored", (controller) => controller.error(broken), broken],
];
for (const [how, end, failure] of streamEnds) {
  for (const when of ["before the call", "while next() is pending"]) {
    Deno.test(`untilDone() releases the lock of a stream that is ${how} ${when}`, async () => {
      using ctx = withCancel(background());
      let controller!: ReadableStreamDefaultController<number>;
      const stream = new ReadableStream<number>({
        start: (given) => void (controller = given),
      });
      if (when === "before the call") end(controller);
      const taken = outcomeOf(take(untilDone(ctx, stream), []));
      await turn();
      if (when !== "before the call") {
        assertEquals(taken.state, "pending");
        end(controller);
        await turn();
      }
      assertEquals(taken.state, failure ? "rejected" : "resolved");
      assertStrictEquals(taken.error, failure);
      assertEquals(stream.locked, false);
      assertEquals(snapshot(ctx).afterFuncs, 0);
    });
  }
}

Deno.test("untilDone() ends quietly if the end of ctx also errors the stream", async () => {
  const reasons = await unhandledIn(async () => {
    const ctx = withCancel(background());
    const stream = new ReadableStream<number>({
      start: (controller) => {
        ctx.signal.addEventListener("abort", () => controller.error(broken));
      },
    });
    const taken = take(untilDone(ctx, stream), []);
    await turn();
    ctx.cancel();
    await taken;
    assertEquals(stream.locked, false);
  });
  assertEquals(reasons, []);
});

Deno.test("untilDone() of a locked stream throws a TypeError and registers nothing", () => {
  using ctx = withCancel(background());
  const stream = new ReadableStream();
  const reader = stream.getReader();
  assertThrows(
    () => untilDone(ctx, stream),
    TypeError,
    "untilDone: the stream is already locked",
  );
  assertEquals(snapshot(ctx).afterFuncs, 0);
  reader.releaseLock();
});

Deno.test("untilDone() ends and closes a silent TCP connection given as its readable", async () => {
  const ctx = withCancel(background());
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  const conn = await listener.accept();
  const taken = outcomeOf(take(untilDone(ctx, conn.readable), []));
  await turn();
  assertEquals(taken.state, "pending");
  ctx.cancel();
  // The other side sees the end of the connection.
  assertEquals(await client.read(new Uint8Array(1)), null);
  await turn();
  assertEquals([taken.state, conn.readable.locked], ["resolved", false]);
});

/** A source with a way to close it, and a log of the calls. */
function closable(
  methods: Record<string, () => unknown>,
): { source: AsyncIterable<number>; log: string[] } {
  const log: string[] = [];
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<IteratorResult<number>>(() => {}),
      return() {
        log.push("return");
        return new Promise<IteratorResult<number>>(() => {});
      },
    }),
  };
  for (const [name, method] of Object.entries(methods)) {
    Object.assign(source, {
      [name]() {
        log.push(this === source ? name : `${name} without this`);
        return method();
      },
    });
  }
  return { source, log };
}

// The ways to close a source, and the calls at the end of ctx.
const closers: [
  name: string,
  methods: Record<string, () => unknown>,
  calls: string[],
][] = [
  ["return()", {}, ["return"]],
  ["close()", { close: () => {} }, ["return", "close"]],
  ["a close() that throws", {
    close: () => {
      throw broken;
    },
  }, ["return", "close"]],
  ["a close() that rejects", { close: () => Promise.reject(broken) }, [
    "return",
    "close",
  ]],
  ["destroy()", { destroy: () => {} }, ["return", "destroy"]],
  ["close() and destroy()", { close: () => {}, destroy: () => {} }, [
    "return",
    "close",
  ]],
];
for (const [name, methods, calls] of closers) {
  Deno.test(`untilDone() closes a silent source once ctx is done: ${name}`, async () => {
    const reasons = await unhandledIn(async () => {
      const ctx = withCancel(background());
      const { source, log } = closable(methods);
      const taken = take(untilDone(ctx, source), []);
      await turn();
      ctx.cancel();
      await taken;
      assertEquals(log, calls);
    });
    assertEquals(reasons, []);
  });

  Deno.test(`untilDone() calls return() alone when the loop is left: ${name}`, async () => {
    const ctx = withCancel(background());
    const { source, log } = closable(methods);
    const items = untilDone(ctx, source);
    items.next();
    await items.return();
    ctx.cancel();
    await turn();
    assertEquals(log, ["return"]);
  });
}

Deno.test("untilDone() never closes inside cancel(), and closes in the async context of its caller", async () => {
  const id = new AsyncLocalStorage<string>();
  const ctx = withCancel(background());
  const seen: unknown[] = [];
  const { source } = closable({ close: () => seen.push(id.getStore()) });
  id.run("caller", () => untilDone(ctx, source));
  id.run("canceler", () => {
    ctx.cancel();
    assertEquals(seen, []);
  });
  await turn();
  assertEquals(seen, ["caller"]);
});

Deno.test("untilDone() closes a file watcher once ctx is done", async () => {
  const directory = await Deno.makeTempDir();
  const ctx = withCancel(background());
  const watcher = Deno.watchFs(directory);
  const taken = take(untilDone(ctx, watcher), []);
  await turn();
  ctx.cancel();
  await taken;
  // Only a closed watcher answers at once.
  const next = outcomeOf(watcher[Symbol.asyncIterator]().next());
  await turn();
  assertEquals(next.value, { done: true, value: undefined });
  await Deno.remove(directory);
});

Deno.test("untilDone() closes a UDP socket once ctx is done", async () => {
  const ctx = withCancel(background());
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const taken = take(untilDone(ctx, socket), []);
  await turn();
  ctx.cancel();
  await taken;
  assertThrows(() => socket.close(), Deno.errors.BadResource);
});

Deno.test("untilDone() destroys a silent stream of Node once ctx is done", async () => {
  const ctx = withCancel(background());
  const stream = new Readable({ read: () => {} });
  const taken = take(untilDone(ctx, stream), []);
  await turn();
  ctx.cancel();
  await taken;
  assertEquals(stream.destroyed, true);
});

Deno.test("untilDone() over Deno.stdin.readable lets the process end once ctx is done", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("./testdata/stdin.ts", import.meta.url).href],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  // A guard: without the end of the loop nothing ends the process.
  const guard = setTimeout(() => child.kill("SIGKILL"), 120_000);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("hello"));
  const { code } = await child.status;
  clearTimeout(guard);
  assertEquals(code, 0);
  assertEquals(await new Response(child.stdout).text(), "hello, not locked\n");
  await writer.close().catch(() => {});
});

Deno.test("untilDone() passes several next() on at once and settles each with its own result", async () => {
  using ctx = withCancel(background());
  const asked: PromiseWithResolvers<IteratorResult<number>>[] = [];
  const items = untilDone(ctx, {
    [Symbol.asyncIterator]: () => ({
      next() {
        asked.push(Promise.withResolvers());
        return asked.at(-1)!.promise;
      },
    }),
  });
  const results = [items.next(), items.next(), items.next()].map(outcomeOf);
  assertEquals(asked.length, 3);
  asked[1]!.reject(broken);
  await turn();
  assertEquals(results.map(({ state }) => state), [
    "pending",
    "rejected",
    "pending",
  ]);
  // The iteration has failed, but an item that is on its way is not lost.
  assertEquals((await items.next()).done, true);
  asked[0]!.resolve({ done: false, value: 7 });
  await turn();
  assertEquals(results[0]!.value, { done: false, value: 7 });
  assertEquals(snapshot(ctx).afterFuncs, 1);
  await items.return();
  await turn();
  assertEquals(results[2]!.value, { done: true, value: undefined });
  assertEquals(snapshot(ctx).afterFuncs, 0);
});

Deno.test("untilDone() settles a next() that is still pending after another has failed, once ctx is done", async () => {
  const ctx = withCancel(background());
  const source = new Source();
  const items = untilDone(ctx, source);
  const failed = items.next();
  source.fail(broken);
  const pending = outcomeOf(items.next());
  assertStrictEquals(await assertRejects(() => failed), broken);
  assertEquals(pending.state, "pending");
  ctx.cancel();
  await turn();
  assertEquals(pending.value, { done: true, value: undefined });
  // It has failed by itself.
  assertEquals(source.returned, 0);
});

Deno.test("untilDone() hands on the items of an async iterator that are promises, as `for await` does", async () => {
  using ctx = withCancel(background());
  const item = Promise.resolve(7);
  let given = false;
  const source: AsyncIterable<Promise<number>> = {
    [Symbol.asyncIterator]: () => ({
      next() {
        const done = given;
        given = true;
        return Promise.resolve({ done, value: item });
      },
    }),
  };
  const { value } = await untilDone(ctx, source).next();
  assertStrictEquals(value, item);
});

Deno.test("untilDone() lets a generator clean up that cancels ctx itself", async () => {
  const ctx = withCancel(background());
  let closed = false;
  function* canceling(): Generator<number> {
    try {
      yield 1;
      ctx.cancel();
      yield 2;
    } finally {
      closed = true;
    }
  }
  const items: number[] = [];
  await take(untilDone(ctx, canceling()), items);
  await turn();
  assertEquals([items, closed], [[1], true]);
});

Deno.test("untilDone() lets a generator clean up that leaves its own consumer", async () => {
  using ctx = withCancel(background());
  let closed = false;
  function* leaving(): Generator<number> {
    try {
      items.return();
      yield 1;
    } finally {
      closed = true;
    }
  }
  const items: AsyncGenerator<number, void, undefined> = untilDone(
    ctx,
    leaving(),
  );
  assertEquals((await items.next()).done, true);
  await turn();
  assertEquals(closed, true);
});

Deno.test("untilDone() calls return() once if an item rejects after the end of ctx", async () => {
  const reasons = await unhandledIn(async () => {
    const ctx = withCancel(background());
    const { promise, reject } = Promise.withResolvers<number>();
    let returned = 0;
    const source: Iterable<Promise<number>> = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: promise }),
        return() {
          returned++;
          return { done: true, value: undefined };
        },
      }),
    };
    const taken = take(untilDone(ctx, source), []);
    ctx.cancel();
    await taken;
    reject(broken);
    await turn();
    assertEquals(returned, 1);
  });
  assertEquals(reasons, []);
});

// Errors with which a source passes on the end of ctx.
const passedOn: [name: string, of: (ctx: Context) => unknown][] = [
  ["ctx.err", (ctx) => ctx.err],
  [
    "an error with ctx.err as its cause",
    (ctx) => new Error("stopped", { cause: ctx.err }),
  ],
];
for (const [name, of] of passedOn) {
  Deno.test(`untilDone() ends quietly if the source fails with ${name} before its signal is aborted`, async () => {
    const ctx = new LateSignal(background());
    const items = untilDone(ctx, {
      [Symbol.asyncIterator]: () => ({
        next: () => ctx.done.then(() => Promise.reject(of(ctx))),
      }),
    });
    const next = items.next();
    ctx.end();
    assertEquals(await next, { done: true, value: undefined });
    ctx.abort();
  });
}

Deno.test("untilDone() passes on a timeout of the source's own", async () => {
  using ctx = withCancel(background());
  const source = (async function* () {
    using step = withTimeout(ctx, 0);
    yield 1;
    throw step.err;
  })();
  await assertRejects(
    () => take(untilDone(ctx, source), []),
    DeadlineExceeded,
  );
});

for (const field of ["done", "value"]) {
  Deno.test(`untilDone() rejects if the ${field} of a result cannot be read`, async () => {
    const broken = new Error("broken");
    const result = Object.defineProperty({ done: false }, field, {
      get: () => {
        throw broken;
      },
    });
    const source = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(result) }),
    };
    const next = untilDone(background(), source as AsyncIterable<number>)
      .next();
    assertStrictEquals(await next.catch((error) => error), broken);
  });
}

for (const wrong of [undefined, null, 7, "item"]) {
  const name = wrong === null ? "null" : typeof wrong;
  for (
    const [kind, symbol] of [
      ["async", Symbol.asyncIterator],
      ["sync", Symbol.iterator],
    ] as const
  ) {
    Deno.test(`untilDone() of an ${kind} iterator whose next() returns ${Deno.inspect(wrong)} rejects with a TypeError`, async () => {
      const source = { [symbol]: () => ({ next: () => wrong }) };
      await assertRejects(
        () =>
          untilDone(background(), source as unknown as Iterable<number>).next(),
        TypeError,
        `untilDone: expected next() of the iterable to return an object, got ${name}`,
      );
    });
  }
}

for (const wrong of [null, undefined, 7, {}]) {
  Deno.test(`untilDone(ctx, ${JSON.stringify(wrong)}) throws a TypeError`, () => {
    assertThrows(
      () => untilDone(background(), wrong as unknown as Iterable<number>),
      TypeError,
      "untilDone: expected something that can be iterated, got " +
        (wrong === null ? "null" : typeof wrong),
    );
  });

  Deno.test(`untilDone(${JSON.stringify(wrong)}) throws a TypeError`, () => {
    assertThrows(
      () => untilDone(wrong as unknown as Context, []),
      TypeError,
      "untilDone: expected a context",
    );
  });
}
