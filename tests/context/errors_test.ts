import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  type CancelableContext,
  Canceled,
  cause,
  type ContextError,
  DeadlineExceeded,
  SignalError,
  withCancel,
  withTimeout,
} from "@curfew/context";

Deno.test("Canceled is a DOMException of the name AbortError", () => {
  const ctx = withCancel(background());
  ctx.cancel();
  assertInstanceOf(ctx.err, Canceled);
  assertInstanceOf(ctx.err, DOMException);
  assertInstanceOf(ctx.err, Error);
  assertEquals(ctx.err.name, "AbortError");
  assertEquals(ctx.err.message, "context canceled");
  assertEquals(ctx.err.code, DOMException.ABORT_ERR);
  assertEquals(String(ctx.err), "AbortError: context canceled");
});

Deno.test("DeadlineExceeded is a DOMException of the name TimeoutError", () => {
  const ctx = withTimeout(background(), 0);
  assertInstanceOf(ctx.err, DeadlineExceeded);
  assertInstanceOf(ctx.err, DOMException);
  assertEquals(ctx.err.name, "TimeoutError");
  assertEquals(ctx.err.message, "context deadline exceeded");
  assertEquals(ctx.err.code, DOMException.TIMEOUT_ERR);
});

Deno.test("Canceled and DeadlineExceeded are not each other", () => {
  assertEquals(new Canceled() instanceof DeadlineExceeded, false);
  assertEquals(new DeadlineExceeded() instanceof Canceled, false);
});

Deno.test("err without a cause has no cause property", () => {
  const canceled = withCancel(background());
  canceled.cancel();
  assertEquals("cause" in canceled.err!, false);
  assertEquals("cause" in withTimeout(background(), 0).err!, false);
});

// Errors of cancellations are made in a way of their own. Nobody should be able to
// tell them from those of the constructor.
for (
  const [name, err, made] of [
    ["Canceled", ended(withCancel(background())), new Canceled()],
    [
      "Canceled with a cause",
      ended(withCancel(background()), "why"),
      new Canceled("why"),
    ],
    [
      "DeadlineExceeded",
      withTimeout(background(), 0).err!,
      new DeadlineExceeded(),
    ],
    [
      "DeadlineExceeded with a cause",
      withTimeout(background(), 0, { cause: "slow" }).err!,
      new DeadlineExceeded("slow"),
    ],
  ] as const
) {
  Deno.test(`err reads like one that was constructed: ${name}`, () => {
    assertEquals(err.name, made.name);
    assertEquals(err.message, made.message);
    assertEquals(err.code, made.code);
    assertEquals(err.cause, made.cause);
    assertEquals(Object.hasOwn(err, "cause"), Object.hasOwn(made, "cause"));
    assertEquals(
      Object.getOwnPropertyDescriptor(err, "cause"),
      Object.getOwnPropertyDescriptor(made, "cause"),
    );
    assertEquals(err.constructor, made.constructor);
    assertEquals(String(err), String(made));
    assertEquals(Object.keys(err), []);
    assertEquals(err.stack, `${made.name}: ${made.message}`);
    assertEquals(err instanceof made.constructor, true);
    assertInstanceOf(err, DOMException);
    assertInstanceOf(err, Error);
    assertEquals(
      Object.prototype.toString.call(err),
      Object.prototype.toString.call(made),
    );
    const copy = structuredClone(err);
    assertEquals([copy.name, copy.message], [made.name, made.message]);
  });

  Deno.test(`the stack of an err can be replaced, and is its own then: ${name}`, () => {
    const { stack } = err;
    err.stack = "replaced";
    assertEquals(err.stack, "replaced");
    assertEquals(
      ended(withCancel(background())).stack?.includes("replaced"),
      false,
    );
    Object.defineProperty(err, "stack", { value: stack, writable: true });
  });

  Deno.test(`a property set on one err is not on another: ${name}`, () => {
    Object.assign(err, { request: "GET /" });
    assertEquals("request" in ended(withCancel(background())), false);
    assertEquals("request" in withTimeout(background(), 0).err!, false);
  });
}

/** The err of `ctx` after its cancellation. */
function ended(ctx: CancelableContext, cause?: unknown): ContextError {
  ctx.cancel(cause);
  return ctx.err!;
}

Deno.test("err with a cause is an instance of its own, whose cause is that", () => {
  const why = new Error("why");
  const [one, two] = [withCancel(background()), withCancel(background())];
  one.cancel(why);
  two.cancel(why);
  assertNotStrictEquals(one.err, two.err);
  assertStrictEquals(one.err!.cause, why);
  const late = withTimeout(background(), 0, { cause: why });
  assertStrictEquals(late.err!.cause, why);
  assertInstanceOf(late.err, DeadlineExceeded);
});

Deno.test("the reason of a signal is err", () => {
  const ctx = withCancel(background());
  const { signal } = ctx;
  ctx.cancel(new Error("why"));
  assertStrictEquals(signal.reason, ctx.err);
  const thrown = assertThrows(() => signal.throwIfAborted());
  assertStrictEquals(thrown, ctx.err);
});

Deno.test("the cause of an err is not among its enumerable properties, as with any Error", () => {
  const ctx = withCancel(background());
  ctx.cancel("why");
  assertEquals(Object.keys(ctx.err!).includes("cause"), false);
});

Deno.test("console.log() of an err shows what it says", () => {
  const ctx = withCancel(background());
  ctx.cancel("why");
  assertMatch(Deno.inspect(ctx.err), /AbortError: context canceled/);
});

Deno.test("SignalError is a Canceled that names its signal", () => {
  const error = new SignalError("SIGTERM");
  assertInstanceOf(error, Canceled);
  assertEquals(error.name, "AbortError");
  assertEquals(error.signal, "SIGTERM");
  assertEquals(error.message, "SIGTERM received");
});

Deno.test("SignalError as a cause is found by cause()", () => {
  const ctx = withCancel(background());
  ctx.cancel(new SignalError("SIGINT"));
  const why = cause(withCancel(ctx));
  assertInstanceOf(why, SignalError);
  assertEquals(why.signal, "SIGINT");
  assertEquals(ctx.err?.message, "context canceled");
});

for (const given of [undefined, null]) {
  Deno.test(`new Canceled(${given}) and new DeadlineExceeded(${given}) have no cause`, () => {
    assertEquals("cause" in new Canceled(given), false);
    assertEquals("cause" in new DeadlineExceeded(given), false);
  });
}
