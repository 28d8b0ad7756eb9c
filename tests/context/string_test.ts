// Contexts as text: String(), console.log() and JSON.

import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  createKey,
  notifyContext,
  todo,
  withCancel,
  withDeadline,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";

const userKey = createKey<string>("user");
const { signal } = new AbortController();

/** Start of the fake time. */
const five = Date.UTC(2026, 10, 22, 5);

class Named extends Wrapper {
  override toString(): string {
    return `named(${this.inner})`;
  }
}

const shapes: [expected: string, make: () => Context][] = [
  ["background", background],
  ["todo", todo],
  ["background.withCancel", () => withCancel(background())],
  ["todo.withCancel.withCancel", () => withCancel(withCancel(todo()))],
  [
    "background.withDeadline(2026-11-22T05:00:01.500Z [1500ms])",
    () => withDeadline(background(), five + 1500),
  ],
  [
    "background.withDeadline(2026-11-22T05:00:02.000Z [2000ms])",
    () => withTimeout(background(), 2000),
  ],
  [
    "background.withDeadline(2026-11-22T04:59:59.000Z [-1000ms])",
    () => withTimeout(background(), -1000),
  ],
  [
    "background.withDeadline(2026-11-22T05:00:01.000Z [1000ms]).withCancel",
    () => withTimeout(withTimeout(background(), 1000), 2000),
  ],
  [
    "background.withCancel.withDeadline(2026-11-22T05:00:01.500Z [1500ms]).withValue(user)",
    () =>
      withValue(withTimeout(withCancel(background()), 1500), userKey, "secret"),
  ],
  ["background.withSignal", () => withSignal(background(), signal)],
  ["background.withSignal", () => withSignal(background(), signal, signal)],
  [
    "background.withValue(user)",
    () => withValue(background(), userKey, "secret"),
  ],
  [
    "background.withValue(user).withCancel.withValue(a).withValue(b).withoutCancel.withValue(c)",
    () => {
      const one = withCancel(withValue(background(), userKey, "secret"));
      const two = withValue(
        withValue(one, createKey("a"), 1),
        createKey("b"),
        2,
      );
      return withValue(withoutCancel(two), createKey("c"), 3);
    },
  ],
  [
    "background.withoutCancel.withCancel",
    () => withCancel(withoutCancel(background())),
  ],
  [
    "background.notifyContext(SIGINT SIGTERM)",
    () => notifyContext(background()),
  ],
  [
    "background.notifyContext(SIGHUP)",
    () => notifyContext(background(), "SIGHUP"),
  ],
  ["Wrapper.withCancel", () => withCancel(new Wrapper(background()))],
  [
    "Wrapper.withValue(user)",
    () => withValue(new Wrapper(background()), userKey, ""),
  ],
  [
    "Wrapper.withValue(user).withValue(a)",
    () =>
      withValue(withValue(new Wrapper(todo()), userKey, ""), createKey("a"), 1),
  ],
  ["Wrapper.withoutCancel", () => withoutCancel(new Wrapper(background()))],
  [
    "named(background.withCancel).withCancel",
    () => withCancel(new Named(withCancel(background()))),
  ],
  [
    "Context.withCancel",
    () =>
      withCancel({
        signal,
        done: new Promise(() => {}),
        err: undefined,
        deadline: undefined,
        value: () => undefined,
      }),
  ],
];

for (const [expected, make] of shapes) {
  Deno.test(`String() of a context: ${expected}`, () => {
    using _time = new FakeTime(five);
    const ctx = make();
    using stack = new DisposableStack();
    if (Symbol.dispose in ctx) stack.use(ctx as Context & Disposable);
    assertEquals(String(ctx), expected);
  });

  Deno.test(`console.log() of a context shows ${expected}`, () => {
    using _time = new FakeTime(five);
    const ctx = make();
    using stack = new DisposableStack();
    if (Symbol.dispose in ctx) stack.use(ctx as Context & Disposable);
    assertEquals(Deno.inspect(ctx), expected);
  });
}

Deno.test("console.log() shows a context inside of something else", () => {
  const ctx = withValue(background(), userKey, "secret");
  assertEquals(Deno.inspect([ctx]), "[ background.withValue(user) ]");
});

Deno.test("String() of a context is the same when it is done", () => {
  using _time = new FakeTime(five);
  const ctx = withTimeout(withValue(background(), userKey, "secret"), 1000);
  const before = String(ctx);
  ctx.cancel("why");
  assertEquals(String(ctx), before);
});

Deno.test("String() of a deadline shows what is left of it", () => {
  using time = new FakeTime(five);
  using ctx = withTimeout(background(), 1500);
  time.tick(500);
  assertEquals(
    String(ctx),
    "background.withDeadline(2026-11-22T05:00:01.500Z [1000ms])",
  );
});

Deno.test("no string of a context shows a value", () => {
  const secret = { toString: () => "secret", secret: "secret" };
  const ctx = withCancel(
    withValue(background(), createKey<unknown>("token"), secret),
  );
  for (
    const text of [
      String(ctx),
      Deno.inspect(ctx),
      Deno.inspect([ctx], { depth: 9 }),
    ]
  ) {
    assertEquals(text.includes("secret"), false, text);
  }
  ctx.cancel();
});

Deno.test("JSON of a context and of its snapshot show no value", () => {
  const ctx = withValue(background(), userKey, "secret");
  assertEquals(JSON.stringify(ctx).includes("secret"), false);
});
