// Contexts that users implement themselves, as parents of ours.

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  Canceled,
  cause,
  type Context,
  type ContextError,
  createKey,
  DeadlineExceeded,
  type Key,
  snapshot,
  withCancel,
  withDeadline,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import {
  Due,
  LateSignal,
  OwnSignal,
  WithoutValues,
  Wrapper,
} from "./custom_context.ts";
import { uncaughtIn } from "./unhandled.ts";

const key = createKey<string>("key");

// What derives from a custom context, each with a way to make it.
const derive: { [name: string]: (parent: Context) => Context } = {
  "withCancel()": withCancel,
  "withTimeout()": (parent) => withTimeout(parent, 3_600_000),
  "withSignal()": (parent) => withSignal(parent, new AbortController().signal),
  "withValue()": (parent) => withValue(parent, key, "value"),
  "withCancel() of withValue()": (parent) =>
    withCancel(withValue(parent, key, "value")),
  "withValue() of withCancel()": (parent) =>
    // deno-lint-ignore curfew/lost-cancel -- ends with the parent
    withValue(withCancel(parent), key, "value"),
  "withCancel() of a second wrapper": (parent) =>
    withCancel(new Wrapper(parent)),
};
for (const [name, make] of Object.entries(derive)) {
  Deno.test(`${name} on a custom context ends with that, with its err and the cause`, () => {
    const root = withCancel(background());
    const child = make(new Wrapper(root));
    assertOpen(child);
    root.cancel("why");
    assertStrictEquals(assertDone(child), root.err);
    assertEquals(cause(child), "why");
  });

  Deno.test(`${name} on a custom context with a signal of its own ends with that, with its err`, () => {
    const custom = new OwnSignal(background());
    const child = make(custom);
    const { signal } = child;
    assertOpen(child);
    const err = new Canceled();
    custom.end(err);
    assertEquals(signal.aborted, true);
    assertStrictEquals(assertDone(child), err);
    assertStrictEquals(cause(child), err);
  });

  Deno.test(`${name} on a custom context that is done is done, with its err and the cause`, () => {
    const root = withCancel(background());
    root.cancel("why");
    const child = make(new Wrapper(root));
    assertStrictEquals(assertDone(child), root.err);
    assertEquals(cause(child), "why");
  });

  Deno.test(`${name} on a custom context notices a deadline above`, () => {
    using time = new FakeTime();
    using root = withTimeout(background(), 1000, { cause: "slow" });
    const child = make(new Wrapper(root));
    const { signal } = child;
    time.tick(1000);
    assertEquals(signal.aborted, true);
    assertStrictEquals(assertDone(child, "TimeoutError"), root.err);
    assertEquals(cause(child), "slow");
  });
}

Deno.test("a child of a custom context that is canceled leaves that alone", () => {
  using root = withCancel(background());
  const custom = new Wrapper(root);
  const child = withCancel(custom);
  child.cancel();
  assertDone(child);
  assertOpen(custom);
});

Deno.test("a child of a custom context keeps a cause of its own", () => {
  const custom = new OwnSignal(background());
  const child = withCancel(custom);
  child.cancel("own");
  custom.end();
  assertEquals(cause(child), "own");
});

Deno.test("cause() of a custom context is its err where nothing better is known", () => {
  const custom = new WithoutValues(withCancel(background()));
  assertEquals(cause(custom), undefined);
  const err = new DeadlineExceeded();
  custom.end(err);
  assertStrictEquals(cause(custom), err);
  assertStrictEquals(cause(withCancel(custom)), err);
  assertStrictEquals(assertDone(withCancel(custom), "TimeoutError"), err);
});

Deno.test("cause() of a custom context that is done is its err before its signal is aborted", () => {
  const custom = new LateSignal(background());
  custom.end();
  assertStrictEquals(cause(custom), custom.err);
});

Deno.test("cause() of a custom context is that of what it wraps", () => {
  const root = withCancel(background());
  const custom = new Wrapper(new Wrapper(withValue(root, key, "value")));
  root.cancel("why");
  assertEquals(cause(custom), "why");
});

Deno.test("a child is not done while only the inner of a custom context is", () => {
  const inner = withCancel(background());
  const custom = new OwnSignal(inner);
  const child = withCancel(custom);
  inner.cancel("inner's");
  assertOpen(custom);
  assertOpen(child);
});

Deno.test("a custom context that ends after what it wraps has the cause of that", () => {
  const inner = withCancel(background());
  const custom = new OwnSignal(inner);
  const child = withCancel(custom);
  inner.cancel("inner's");
  custom.end();
  assertEquals(cause(custom), "inner's");
  assertEquals(cause(child), "inner's");
});

Deno.test("a custom context that ends before what it wraps has its err for a cause", () => {
  const inner = withCancel(background());
  const custom = new OwnSignal(inner);
  const child = withCancel(custom);
  const err = new Canceled();
  custom.end(err);
  assertStrictEquals(cause(child), err);
  inner.cancel("inner's");
  assertStrictEquals(cause(child), err);
});

Deno.test("values pass through custom contexts, above and below", () => {
  const below = createKey<string>("below");
  const inner = withCancel(withValue(background(), key, "above"));
  const ctx = withCancel(
    withValue(new Wrapper(new Wrapper(inner)), below, "below"),
  );
  assertEquals([ctx.value(key), ctx.value(below)], ["above", "below"]);
  assertEquals(new Wrapper(ctx).value(key), "above");
  inner.cancel();
});

Deno.test("a custom context may have values of its own", () => {
  class Own extends Wrapper {
    override value<T>(wanted: Key<T>): T | undefined {
      const own = new Map<unknown, unknown>([[key, "own"]]);
      return own.get(wanted) as T | undefined ??
        this.inner.value(wanted);
    }
  }
  const ctx = withCancel(new Own(withValue(background(), key, "outer")));
  assertEquals(ctx.value(key), "own");
  assertEquals(withValue(ctx, key, "nearer").value(key), "nearer");
});

Deno.test("a custom context that hides its values hides them from its children", () => {
  const ctx = withCancel(
    new WithoutValues(withValue(background(), key, "value")),
  );
  assertEquals(ctx.value(key), undefined);
});

Deno.test("a custom context's deadline is that of its children", () => {
  using time = new FakeTime();
  const custom = new Due(background(), time.now + 1000);
  using child = withCancel(withValue(custom, key, "value"));
  assertEquals(child.deadline, new Date(time.now + 1000));
  using sooner = withDeadline(child, time.now + 500);
  assertEquals(sooner.deadline, new Date(time.now + 500));
});

Deno.test("a custom context that says a shorter deadline than what it wraps is believed", () => {
  using time = new FakeTime();
  using inner = withTimeout(background(), 1000);
  using child = withCancel(new Due(inner, time.now + 300));
  assertEquals(child.deadline, new Date(time.now + 300));
  assertEquals(withTimeout(child, 500).deadline, new Date(time.now + 300));
});

Deno.test("withoutCancel() on a custom context is not reached by its end", () => {
  const custom = new OwnSignal(background());
  using child = withCancel(withoutCancel(custom));
  custom.end();
  assertOpen(child);
});

Deno.test("withoutCancel() hides the end of what is above from cause() of a custom context below", () => {
  const root = withCancel(background());
  const custom = new OwnSignal(withoutCancel(new Wrapper(root)));
  root.cancel("root's");
  const err = new Canceled();
  custom.end(err);
  assertStrictEquals(cause(custom), err);
});

Deno.test("a listener that looks through a custom context sees no half-canceled tree", () => {
  const root = withCancel(background());
  const above = withCancel(root);
  const custom = new Wrapper(above);
  const below = withCancel(withCancel(custom));
  const everybody = [root, above, custom, below];
  let looks = 0;
  for (const ctx of everybody) {
    ctx.signal.addEventListener("abort", () => {
      for (const other of everybody) assertDone(other);
      looks++;
    });
  }
  root.cancel();
  assertEquals(looks, 4);
});

Deno.test("cancel() has ended what is under a custom context when it returns", () => {
  const root = withCancel(background());
  const { signal } = withCancel(new Wrapper(withCancel(root)));
  root.cancel();
  assertEquals(signal.aborted, true);
});

Deno.test("cancel() below a custom context in a listener of its end keeps the first cause", () => {
  const root = withCancel(background());
  const child = withCancel(new Wrapper(root));
  root.signal.addEventListener("abort", () => child.cancel("own"));
  root.cancel("root's");
  assertEquals(cause(child), "root's");
});

Deno.test("a signal that is aborted in a listener of the end of a custom context leaves the first cause", () => {
  const root = withCancel(background());
  const custom = new Wrapper(root);
  const controller = new AbortController();
  // Registered first, so it runs before the child has heard of the end of its parent.
  custom.signal.addEventListener("abort", () => controller.abort("signal's"));
  const child = withSignal(custom, controller.signal);
  root.cancel("root's");
  assertEquals(cause(child), "root's");
});

Deno.test("afterFunc() on a wrapper is not registered on what it wraps", async () => {
  const root = withCancel(background());
  const { promise, resolve } = Promise.withResolvers<void>();
  afterFunc(new Wrapper(root), resolve);
  assertEquals(snapshot(root).afterFuncs, 0);
  root.cancel();
  await promise;
});

Deno.test("a chain of 300 wrappers, each with a child, is read and canceled", () => {
  const root = withCancel(background());
  let ctx: Context = root;
  for (let i = 0; i < 300; i++) ctx = withCancel(new Wrapper(ctx));
  assertOpen(ctx);
  root.cancel("why");
  assertStrictEquals(assertDone(ctx), root.err);
  assertEquals(cause(ctx), "why");
});

Deno.test("a custom context without a prototype is as good as another", () => {
  const custom: Context = Object.assign(Object.create(null), {
    signal: new AbortController().signal,
    done: new Promise<void>(() => {}),
    err: undefined,
    deadline: undefined,
    value: () => undefined,
  });
  assertEquals(String(withCancel(custom)), "Context.withCancel");
});

Deno.test("a look that finds a custom context done notifies what waits for a child", async () => {
  const err = new Canceled();
  const open = new AbortController().signal;
  let isOver = false;
  /** Has another signal once it is done, so that no event says so. */
  class Silent extends Wrapper {
    override get signal(): AbortSignal {
      return isOver ? AbortSignal.abort(err) : open;
    }
    override get err(): ContextError | undefined {
      return isOver ? err : undefined;
    }
  }
  using child = withCancel(new Silent(background()));
  let told = 0;
  child.signal.addEventListener("abort", () => told++);
  afterFunc(child, () => void told++);
  isOver = true;
  assertStrictEquals(child.err, err);
  await Promise.resolve();
  assertEquals(told, 2);
});

const notContexts: [what: string, wrong: unknown, message: string][] = [
  ["a number", 7, "got number"],
  ["a string", "background", "got string"],
  ["an empty object", {}, "got object"],
  ["an AbortSignal", new AbortController().signal, "withSignal(background(), "],
  ["an AbortController", new AbortController(), "use withCancel()"],
  ["a function", background, "got a function: call it"],
  ["a map", new Map(), "got object"],
];
for (const [what, wrong, message] of notContexts) {
  Deno.test(`to derive from ${what} is a TypeError that says so`, () => {
    const parent = wrong as Context;
    const calls = [
      () => withCancel(parent),
      () => withTimeout(parent, 1000),
      () => withDeadline(parent, 0),
      () => withSignal(parent),
      () => withValue(parent, key, "value"),
      () => withoutCancel(parent),
    ];
    for (const call of calls) {
      const { name } = /(?<name>with\w+|without\w+)\(/.exec(String(call))!
        .groups!;
      const error = assertThrows(call, TypeError, message);
      assertEquals(error.message.split(": expected a context, ")[0], name);
    }
  });
}

/** Counts the listeners on the signals that `AbortSignal.any` returns meanwhile. */
class JoinedListeners implements Disposable {
  readonly #any = AbortSignal.any;
  count = 0;

  constructor() {
    AbortSignal.any = (signals) => {
      const joined = this.#any.call(AbortSignal, signals);
      const { addEventListener, removeEventListener } = joined;
      return Object.assign(joined, {
        addEventListener: (...args: Parameters<typeof addEventListener>) => {
          this.count++;
          addEventListener.apply(joined, args);
        },
        removeEventListener: (
          ...args: Parameters<typeof removeEventListener>
        ) => {
          this.count--;
          removeEventListener.apply(joined, args);
        },
      });
    };
  }

  [Symbol.dispose](): void {
    AbortSignal.any = this.#any;
  }
}

Deno.test("children of a custom context share one listener, which goes with the last of them", () => {
  using listeners = new JoinedListeners();
  const custom = new OwnSignal(background());
  const children = [withCancel(custom), withCancel(custom)];
  const counts = [listeners.count];
  for (const child of children) {
    child.cancel();
    counts.push(listeners.count);
  }
  assertEquals(counts, [1, 1, 0]);
});

Deno.test("a custom context whose err throws keeps no deadline from being told", () => {
  class Broken extends OwnSignal {
    isBroken = true;

    override get err(): ContextError | undefined {
      if (this.isBroken) throw new Error("broken");
      return super.err;
    }
  }
  const { now } = Date;
  let time = 0;
  Date.now = () => time;
  using _restore = { [Symbol.dispose]: () => void (Date.now = now) };
  const parent = new Broken(background());
  using child = withCancel(parent);
  const { signal } = child;
  using other = withTimeout(background(), 10);
  const { signal: otherSignal } = other;
  time = 10; // no timer has fired yet
  assertEquals(uncaughtIn(() => parent.end()), ["broken"]);
  assertEquals([signal.aborted, otherSignal.aborted], [false, true]);
  parent.isBroken = false;
  assertDone(child, "AbortError");
});
