import { assertEquals, assertThrows } from "@std/assert";
import {
  background,
  type CancelableContext,
  Canceled,
  cause,
  type Context,
  DeadlineExceeded,
  isCanceled,
  SignalError,
  todo,
  withCancel,
  withGrace,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { createKey } from "@curfew/context";
import { runInNewContext } from "node:vm";
import { EventEmitter, once } from "node:events";

const why = new Error("why");
const failure = new Error("disk full");

function canceled(cause?: unknown): CancelableContext {
  const ctx = withCancel(background());
  ctx.cancel(cause);
  return ctx;
}

/** An error with any properties, as plain JavaScript may throw. */
function errorWith(properties: Record<string, unknown>): Error {
  return Object.assign(new Error("wrapped"), properties);
}

function abortError(cause?: unknown): Error {
  return errorWith({ name: "AbortError", ...(cause ? { cause } : {}) });
}

/** `depth` errors, each the cause of the one before, above `inner`. */
function wrapped(depth: number, inner: unknown): unknown {
  for (let at = 0; at < depth; at++) inner = new Error("at", { cause: inner });
  return inner;
}

function circle(): Error {
  const error = new Error("circle");
  error.cause = new Error("half of it", { cause: error });
  return error;
}

/** An error with two ways down at each of `depth` levels. */
function diamonds(depth: number, inner: unknown): unknown {
  for (let at = 0; at < depth; at++) inner = new AggregateError([inner, inner]);
  return inner;
}

const { err } = canceled(failure);
const platformAbort = new DOMException("aborted", "AbortError");
const shared = new Error("shared", { cause: platformAbort });

type Case = [error: string, of: (ctx: Context) => unknown, expected: boolean];

// Each for a context that was canceled with `why` as its cause.
const cases: Case[] = [
  ["ctx.err", (ctx) => ctx.err, true],
  ["cause(ctx)", (ctx) => cause(ctx), true],
  ["an error whose cause is ctx.err", (ctx) => wrapped(1, ctx.err), true],
  ["an error whose cause is cause(ctx)", () => wrapped(1, why), true],
  [
    "a plain object whose cause is ctx.err",
    (ctx) => ({ cause: ctx.err }),
    true,
  ],
  ["ctx.err below 100,000 causes", (ctx) => wrapped(100_000, ctx.err), true],
  ["a failure below 100,000 causes", () => wrapped(100_000, failure), false],

  ["undefined", () => undefined, false],
  ["null", () => null, false],
  ["a string", () => "why", false],
  ["a function", () => Object.assign(() => {}, { cause: why }), false],
  ["an Error", () => failure, false],
  [
    "an Error with the message of ctx.err",
    () => new Error("context canceled"),
    false,
  ],
  ["an error whose cause is null", () => errorWith({ cause: null }), false],

  ["the platform's AbortError", () => platformAbort, true],
  [
    "the platform's TimeoutError",
    () => new DOMException("", "TimeoutError"),
    true,
  ],
  ["another DOMException", () => new DOMException("", "NetworkError"), false],
  ["an Error with the name AbortError", () => abortError(), true],
  [
    "an Error with the name TimeoutError",
    () => errorWith({ name: "TimeoutError" }),
    true,
  ],
  [
    "an AbortError whose cause is null",
    () => errorWith({ name: "AbortError", cause: null }),
    true,
  ],
  ["an object with the name AbortError", () => ({ name: "AbortError" }), false],
  [
    "an AbortError of another realm",
    () => runInNewContext("Object.assign(new Error(), { name: 'AbortError' })"),
    true,
  ],
  ["an Error of another realm", () => runInNewContext("new Error()"), false],
  ["an AbortError whose cause is ctx.err", (ctx) => abortError(ctx.err), true],
  [
    "an AbortError whose cause is an AbortError",
    () => abortError(platformAbort),
    true,
  ],
  ["an AbortError whose cause is a failure", () => abortError(failure), false],
  ["an AbortError below an error", () => wrapped(1, platformAbort), true],

  ["new Canceled()", () => new Canceled(), false],
  ["new DeadlineExceeded()", () => new DeadlineExceeded(), false],
  ["new SignalError()", () => new SignalError("SIGTERM"), false],
  ["err of another cancellation", () => err, false],
  [
    "err of another cancellation without a cause",
    () => canceled().err,
    false,
  ],
  [
    "an error whose cause is the err of another cancellation",
    () => wrapped(1, err),
    false,
  ],
  [
    "err of a child's own timeout",
    () => new DeadlineExceeded(new Error("too slow")),
    false,
  ],
  [
    "err of a context canceled with ctx.err",
    (ctx) => canceled(ctx.err).err,
    true,
  ],
  ["err of a context canceled with cause(ctx)", () => canceled(why).err, true],
  [
    "err of a context canceled with an error that wraps ctx.err",
    (ctx) => canceled(wrapped(3, ctx.err)).err,
    true,
  ],
  [
    "err of a context canceled with an AbortError",
    () => canceled(platformAbort).err,
    false,
  ],
  [
    "err of a context canceled with an error that wraps an AbortError",
    () => canceled(wrapped(3, platformAbort)).err,
    false,
  ],

  [
    "an AggregateError of ctx.err twice",
    (ctx) => new AggregateError([ctx.err, ctx.err]),
    true,
  ],
  [
    "an AggregateError of different wrappers",
    (ctx) => new AggregateError([why, wrapped(1, ctx.err), platformAbort]),
    true,
  ],
  [
    "an AggregateError with a failure at the end",
    (ctx) => new AggregateError([ctx.err, failure]),
    false,
  ],
  [
    "an AggregateError with a failure at the start",
    (ctx) => new AggregateError([failure, ctx.err]),
    false,
  ],
  [
    "an AggregateError with an undefined",
    (ctx) => new AggregateError([ctx.err, undefined]),
    false,
  ],
  ["an AggregateError without errors", () => new AggregateError([]), false],
  [
    "an AggregateError without errors whose cause is ctx.err",
    (ctx) => new AggregateError([], "", { cause: ctx.err }),
    true,
  ],
  [
    "an AggregateError of ctx.err whose cause is a failure",
    (ctx) => new AggregateError([ctx.err], "", { cause: failure }),
    false,
  ],
  [
    "an AggregateError of a failure whose cause is ctx.err",
    (ctx) => new AggregateError([failure], "", { cause: ctx.err }),
    false,
  ],
  [
    "an AggregateError in an AggregateError",
    (ctx) => new AggregateError([new AggregateError([ctx.err])]),
    true,
  ],
  [
    "an AggregateError of 300,000 errors",
    (ctx) => new AggregateError(Array(300_000).fill(ctx.err)),
    true,
  ],
  [
    "an AggregateError of one AbortError, reached on two ways",
    () => new AggregateError([shared, wrapped(1, shared), shared]),
    true,
  ],
  [
    "an AggregateError of an AbortError and a context canceled with it",
    () => new AggregateError([platformAbort, canceled(platformAbort).err]),
    false,
  ],
  [
    "an AggregateError with 2^60 ways to ctx.err",
    (ctx) => diamonds(60, ctx.err),
    true,
  ],
  [
    "a subclass of AggregateError",
    (ctx) =>
      new (class Many extends AggregateError {
        override name = "Many";
      })([ctx.err]),
    true,
  ],
  [
    "an error with the name AggregateError",
    (ctx) => errorWith({ name: "AggregateError", errors: [ctx.err] }),
    true,
  ],
  [
    "an error with the name AggregateError, of a failure",
    (ctx) =>
      errorWith({ name: "AggregateError", errors: [failure], cause: ctx.err }),
    false,
  ],
  [
    "an AggregateError whose errors are no array",
    () => errorWith({ name: "AggregateError", errors: "why" }),
    false,
  ],
  [
    "an error of another class with errors",
    (ctx) => errorWith({ errors: [ctx.err] }),
    false,
  ],
  [
    "an error of another class with errors whose cause is ctx.err",
    (ctx) => errorWith({ errors: [failure], cause: ctx.err }),
    true,
  ],

  [
    "a SuppressedError of ctx.err twice",
    (ctx) => new SuppressedError(ctx.err, ctx.err),
    true,
  ],
  [
    "a SuppressedError with a failure on top",
    (ctx) => new SuppressedError(failure, ctx.err),
    false,
  ],
  [
    "a SuppressedError with a failure suppressed",
    (ctx) => new SuppressedError(ctx.err, failure),
    false,
  ],
  [
    "a SuppressedError with undefined suppressed",
    (ctx) => new SuppressedError(ctx.err, undefined),
    false,
  ],
  [
    "a SuppressedError in a SuppressedError",
    (ctx) =>
      new SuppressedError(
        ctx.err,
        new SuppressedError(ctx.err, wrapped(1, why)),
      ),
    true,
  ],
  [
    "an error with the name SuppressedError, as compilers make it",
    (ctx) =>
      errorWith({ name: "SuppressedError", error: ctx.err, suppressed: why }),
    true,
  ],
  [
    "an error with the name SuppressedError and a failure",
    (ctx) =>
      errorWith({
        name: "SuppressedError",
        error: ctx.err,
        suppressed: failure,
      }),
    false,
  ],
  [
    "a SuppressedError with a failure as its cause",
    (ctx) =>
      Object.assign(new SuppressedError(ctx.err, ctx.err), { cause: failure }),
    false,
  ],
  [
    "a subclass of SuppressedError",
    (ctx) =>
      Object.assign(new SuppressedError(ctx.err, ctx.err), { name: "Both" }),
    true,
  ],

  ["an error that is its own cause", () => {
    const error = new Error("circle");
    error.cause = error;
    return error;
  }, false],
  ["two errors that are each other's cause", circle, false],
  [
    "an AggregateError of ctx.err and a circle",
    (ctx) => new AggregateError([ctx.err, circle()]),
    false,
  ],
  ["an AggregateError of itself and ctx.err", (ctx) => {
    const error = new AggregateError([ctx.err]);
    error.errors.push(error);
    return error;
  }, false],
  ["an err of another cancellation that leads in a circle", () => {
    const reason = new Error("circle");
    const { err } = canceled(reason);
    reason.cause = err;
    return err;
  }, false],
  [
    "an error whose cause cannot be read",
    () =>
      Object.defineProperty(new Error(), "cause", {
        get() {
          throw failure;
        },
      }),
    false,
  ],
  [
    "an AggregateError of ctx.err whose name cannot be read",
    (ctx) =>
      Object.defineProperty(new AggregateError([ctx.err]), "name", {
        get() {
          throw failure;
        },
      }),
    false,
  ],
  ["a revoked proxy", () => {
    const { proxy, revoke } = Proxy.revocable(new Error(), {});
    revoke();
    return proxy;
  }, false],
  ["an error with a new cause on each read", () => {
    const endless = (): object => ({
      get cause() {
        return endless();
      },
    });
    return endless();
  }, false],
];

for (const [error, of, expected] of cases) {
  Deno.test(`isCanceled() of ${error} is ${expected}`, () => {
    const ctx = canceled(why);
    assertEquals(isCanceled(ctx, of(ctx)), expected);
  });
}

for (const [error, of, expected] of cases) {
  if (!expected) continue;
  Deno.test(`isCanceled() of ${error} is false while ctx is open`, () => {
    using ctx = withCancel(background());
    assertEquals(isCanceled(ctx, of(canceled(why))), false);
  });
}

for (const ctx of [background(), todo(), withoutCancel(canceled())]) {
  for (const error of [undefined, null, new Canceled(), platformAbort]) {
    Deno.test(`isCanceled() of ${error} is false for ${ctx}, which never ends`, () => {
      assertEquals(isCanceled(ctx, error), false);
    });
  }
}

for (const primitive of ["why", 0, NaN, false, "", 1n, Symbol("why")]) {
  Deno.test(`isCanceled() of the cause ${String(primitive)} is true`, () => {
    const ctx = canceled(primitive);
    assertEquals(isCanceled(ctx, primitive), true);
    assertEquals(isCanceled(ctx, wrapped(1, primitive)), true);
    assertEquals(isCanceled(ctx, undefined), false);
    assertEquals(isCanceled(ctx, "why not"), false);
  });
}

for (const nothing of [undefined, null]) {
  Deno.test(`isCanceled() of ${nothing} is false after cancel(${nothing})`, () => {
    const ctx = canceled(nothing);
    assertEquals(isCanceled(ctx, nothing), false);
    assertEquals(isCanceled(ctx, wrapped(1, nothing)), false);
    assertEquals(isCanceled(ctx, ctx.err), true);
  });
}

Deno.test("isCanceled() takes the err of any context that ended in the same cancellation", () => {
  const parent = withCancel(background());
  const child = withTimeout(withValue(parent, createKey("key"), 1), 60_000);
  parent.cancel();
  assertEquals(isCanceled(child, parent.err), true);
  assertEquals(isCanceled(parent, child.err), true);
});

Deno.test("isCanceled() does not take the err of a child that ended before", () => {
  const parent = withCancel(background());
  const child = withTimeout(parent, 0, { cause: new Error("too slow") });
  parent.cancel(why);
  assertEquals(isCanceled(parent, child.err), false);
  assertEquals(isCanceled(child, parent.err), false);
  assertEquals(isCanceled(child, child.err), true);
});

Deno.test("isCanceled() takes the err of a withGrace() whose grace period is over", () => {
  const parent = withCancel(background());
  using grace = withGrace(parent, 0);
  parent.cancel(why);
  assertEquals(grace.err?.cause, why);
  assertEquals(isCanceled(parent, grace.err), true);
  assertEquals(isCanceled(grace, parent.err), true);
});

Deno.test("isCanceled() takes what ended the context that was joined by withSignal()", () => {
  const other = withCancel(background());
  const ctx = withSignal(background(), other.signal);
  other.cancel(why);
  for (const error of [ctx.err, other.err, why]) {
    assertEquals(isCanceled(ctx, error), true);
    assertEquals(isCanceled(other, error), true);
  }
});

Deno.test("isCanceled() takes the reason of a foreign signal, and no other", () => {
  const ctx = withSignal(background(), AbortSignal.abort(failure));
  assertEquals(isCanceled(ctx, failure), true);
  assertEquals(isCanceled(ctx, why), false);
});

Deno.test("isCanceled() ends when the causes of ctx.err form a circle", () => {
  const first = new Canceled();
  const second = new Canceled(first);
  Object.defineProperty(first, "cause", { value: second });
  const ctx = canceled(first);
  assertEquals(isCanceled(ctx, second), true);
  assertEquals(isCanceled(ctx, failure), false);
});

Deno.test("isCanceled() of a custom context goes by its err", () => {
  const err = new DOMException("stopped", "AbortError");
  const custom: Context = {
    signal: AbortSignal.abort(err),
    done: Promise.resolve(),
    err,
    deadline: undefined,
    value: () => undefined,
  };
  assertEquals(isCanceled(custom, err), true);
  assertEquals(isCanceled(custom, failure), false);
  assertEquals(isCanceled(withCancel(custom), err), true);
});

Deno.test("isCanceled() takes the error of events.once(), which drops the reason", async () => {
  const ctx = withCancel(background());
  const ready = once(new EventEmitter(), "ready", { signal: ctx.signal });
  ctx.cancel(why);
  const error = await ready.catch((error) => error);
  assertEquals(isCanceled(ctx, error), true);
});

Deno.test("isCanceled() takes what `await using` makes of two cancellations", async () => {
  const ctx = canceled(why);
  async function f(): Promise<void> {
    await using _connection = {
      [Symbol.asyncDispose]: () => Promise.reject(ctx.err),
    };
    await Promise.reject(ctx.err);
  }
  const error = await f().catch((error) => error);
  assertEquals(isCanceled(ctx, error), true);
});

Deno.test("isCanceled() of ctx.err is true if the cause is a revoked proxy", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const ctx = canceled(proxy);
  assertEquals(isCanceled(ctx, ctx.err), true);
});

Deno.test("isCanceled() throws a TypeError if ctx is not a context", () => {
  assertThrows(
    () => isCanceled(undefined as unknown as Context, why),
    TypeError,
    "isCanceled: expected a context",
  );
});
