import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  Canceled,
  cause,
  type Context,
  snapshot,
  withCancel,
  withSignal,
  withTimeout,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";
import { ChildProcess } from "./child_process.ts";

Deno.test("withSignal() is done when its signal is aborted, which is the cause", () => {
  const controller = new AbortController();
  const ctx = withSignal(background(), controller.signal);
  assertOpen(ctx);
  controller.abort("stop");
  assertInstanceOf(assertDone(ctx), Canceled);
  assertEquals(cause(ctx), "stop");
});

for (const which of [0, 1, 2]) {
  Deno.test(`withSignal() of three signals is done when number ${which + 1} is aborted`, () => {
    const controllers = Array.from({ length: 3 }, () => new AbortController());
    const signals = controllers.map((controller) => controller.signal);
    const ctx = withSignal(background(), ...signals);
    controllers[which]!.abort(which);
    controllers.forEach((controller) => controller.abort("later"));
    assertEquals(cause(ctx), which);
  });
}

Deno.test("withSignal() of a signal that is aborted is done at construction", () => {
  const ctx = withSignal(background(), AbortSignal.abort("before"));
  assertDone(ctx);
  assertEquals(cause(ctx), "before");
});

Deno.test("withSignal() of several signals, one of which is aborted, is done at construction", () => {
  const { signal } = new AbortController();
  const ctx = withSignal(background(), signal, AbortSignal.abort("before"));
  assertDone(ctx);
  assertEquals(cause(ctx), "before");
});

Deno.test("withSignal() without a signal is a plain cancelable context", () => {
  const ctx = withSignal(background());
  assertOpen(ctx);
  ctx.cancel("why");
  assertEquals(cause(ctx), "why");
});

Deno.test("withSignal() can be canceled; a later abort changes nothing", () => {
  const controller = new AbortController();
  const ctx = withSignal(background(), controller.signal);
  ctx.cancel("own");
  const err = assertDone(ctx);
  controller.abort("foreign");
  assertStrictEquals(assertDone(ctx), err);
  assertEquals(cause(ctx), "own");
});

Deno.test("withSignal() ends with its parent", () => {
  const parent = withCancel(background());
  const ctx = withSignal(parent, new AbortController().signal);
  parent.cancel("parent's");
  assertStrictEquals(assertDone(ctx), parent.err);
  assertEquals(cause(ctx), "parent's");
});

Deno.test("withSignal() on a done parent takes the parent's cause, also where a signal is aborted", () => {
  const parent = withCancel(background());
  parent.cancel("parent's");
  const ctx = withSignal(parent, AbortSignal.abort("foreign"));
  assertStrictEquals(assertDone(ctx), parent.err);
  assertEquals(cause(ctx), "parent's");
});

Deno.test("withSignal() leaves its parent alone when the signal is aborted", () => {
  const controller = new AbortController();
  using parent = withCancel(background());
  withSignal(parent, controller.signal);
  controller.abort();
  assertOpen(parent);
  assertEquals(snapshot(parent).children, []);
});

Deno.test("withSignal() ends what is under it, with one err", () => {
  const controller = new AbortController();
  using ctx = withSignal(background(), controller.signal);
  using child = withTimeout(withCancel(ctx), 3_600_000);
  const { signal } = child;
  controller.abort("stop");
  assertEquals(signal.aborted, true);
  assertStrictEquals(assertDone(child), ctx.err);
  assertEquals(cause(child), "stop");
});

Deno.test("withSignal() under withSignal() ends by either, with its cause", () => {
  const [outer, inner] = [new AbortController(), new AbortController()];
  using parent = withSignal(background(), outer.signal);
  using child = withSignal(parent, inner.signal);
  inner.abort("inner");
  outer.abort("outer");
  assertEquals([parent, child].map(cause), ["outer", "inner"]);
});

Deno.test("withSignal() lets an abort of the outer signal through to the inner context", () => {
  const outer = new AbortController();
  using parent = withSignal(background(), outer.signal);
  using child = withSignal(withCancel(parent), new AbortController().signal);
  outer.abort("outer");
  assertStrictEquals(assertDone(child), parent.err);
});

const reasons: [what: string, reason: unknown][] = [
  ["an Error", new Error("why")],
  ["a TimeoutError", new DOMException("slow", "TimeoutError")],
  ["a string", "why"],
  ["0", 0],
  ["an empty string", ""],
  ["false", false],
];
for (const [what, reason] of reasons) {
  Deno.test(`withSignal() is Canceled, its cause the reason: ${what}`, () => {
    const ctx = withSignal(background(), AbortSignal.abort(reason));
    assertInstanceOf(assertDone(ctx), Canceled);
    assertStrictEquals(cause(ctx), reason);
    assertStrictEquals(ctx.err?.cause, reason);
  });
}

Deno.test("withSignal() has the platform's own reason for a cause where none was given", () => {
  const signal = AbortSignal.abort();
  assertStrictEquals(cause(withSignal(background(), signal)), signal.reason);
});

Deno.test("withSignal() takes the reason null for no cause", () => {
  const ctx = withSignal(background(), AbortSignal.abort(null));
  assertStrictEquals(cause(ctx), assertDone(ctx));
});

Deno.test("withSignal() of an aborted signal has the err of those that ended with it", () => {
  const controller = new AbortController();
  using first = withSignal(background(), controller.signal);
  controller.abort();
  using late = withSignal(background(), controller.signal);
  assertStrictEquals(late.err, first.err);
});

Deno.test("withSignal() fires abort once, after an earlier context of the same signal was canceled", () => {
  const controller = new AbortController();
  withSignal(background(), controller.signal).cancel();
  using ctx = withSignal(background(), controller.signal);
  let told = 0;
  ctx.signal.addEventListener("abort", () => told++);
  controller.abort();
  assertEquals(told, 1);
});

Deno.test("withSignal() of the signal of another context has its err for a cause", () => {
  const other = withCancel(background());
  const ctx = withSignal(background(), other.signal);
  other.cancel("why");
  assertStrictEquals(cause(ctx), other.err);
});

Deno.test("withSignal() of a timeout signal is Canceled, its cause the timeout", () => {
  using time = new FakeTime();
  using ctx = withSignal(background(), AbortSignal.timeout(1000));
  time.tick(1000);
  assertDone(ctx);
  assertEquals((cause(ctx) as DOMException).name, "TimeoutError");
});

Deno.test("withSignal() has no deadline of its own and keeps that of its parent", () => {
  using time = new FakeTime();
  const { signal } = new AbortController();
  assertEquals(withSignal(background(), signal).deadline, undefined);
  using parent = withTimeout(background(), 1000);
  using ctx = withSignal(parent, signal);
  assertEquals(ctx.deadline, new Date(time.now + 1000));
  time.tick(1000);
  assertDone(ctx, "TimeoutError");
});

Deno.test("a foreign abort is seen at once by a listener that comes before the context's own", () => {
  const controller = new AbortController();
  let seen = 0;
  controller.signal.addEventListener("abort", () => {
    assertDone(child);
    assertEquals(cause(child), "foreign");
    seen++;
  });
  const child = withCancel(withSignal(background(), controller.signal));
  controller.abort("foreign");
  assertEquals(seen, 1);
});

Deno.test("a foreign abort goes before a cancel in one of its own listeners", () => {
  const controller = new AbortController();
  controller.signal.addEventListener("abort", () => ctx.cancel("own"));
  const ctx = withSignal(background(), controller.signal);
  controller.abort("foreign");
  assertEquals(cause(ctx), "foreign");
});

for (
  const program of [
    "done of a foreign signal",
    "afterFunc on a foreign signal",
    "two foreign signals",
  ]
) {
  Deno.test(`a foreign signal reaches a context that nobody kept: ${program}`, async () => {
    const { stdout } = await new ChildProcess(
      "garbage.ts",
      program,
      "--v8-flags=--expose-gc",
    ).end();
    assertEquals(stdout, "told\n");
  });
}

for (const wrong of [null, undefined, {}, new AbortController()]) {
  Deno.test(`withSignal() of ${wrong} is a TypeError that says which`, () => {
    const { signal } = new AbortController();
    assertThrows(
      () => withSignal(background(), signal, wrong as AbortSignal),
      TypeError,
      "withSignal: argument 3 is not an AbortSignal",
    );
  });
}

for (const parent of [null, undefined]) {
  Deno.test(`withSignal() on ${parent} is a TypeError that says so`, () => {
    assertThrows(
      () => withSignal(parent as unknown as Context, AbortSignal.abort()),
      TypeError,
      "expected a context, got ",
    );
  });
}
