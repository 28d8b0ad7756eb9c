import {
  assert,
  assertEquals,
  assertFalse,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  type DeadlineHeader,
  requestInit,
  withCancel,
  withDeadline,
  withTimeout,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";

const day = 24 * 3_600_000;

/** The value of a header of `init`. */
function header(init: RequestInit, name: string): string | null {
  return new Headers(init.headers).get(name);
}

Deno.test("requestInit() returns the signal of ctx alone without other options", () => {
  using ctx = withTimeout(background(), 1_000);
  const init = requestInit(ctx);
  assertEquals(Object.keys(init), ["signal"]);
  assertStrictEquals(init.signal, ctx.signal);
});

Deno.test("requestInit() keeps other options and leaves them unchanged", () => {
  using ctx = withTimeout(background(), 1_000);
  const headers = { "x-own": "yes" };
  const given = { method: "POST", headers, body: "x", signal: null };
  const init = requestInit(ctx, given);
  assertEquals({ ...init, signal: null }, given);
  assertStrictEquals(init.headers, headers);
  assertStrictEquals(init.signal, ctx.signal);
  assertStrictEquals(given.signal, null);
});

Deno.test("requestInit() returns a signal that ends with ctx, with its err", () => {
  using ctx = withCancel(background());
  const user = new AbortController();
  const { signal } = requestInit(ctx, { signal: user.signal });
  assertFalse(signal.aborted);
  ctx.cancel("enough");
  assert(signal.aborted);
  assertStrictEquals(signal.reason, ctx.err);
  assertFalse(user.signal.aborted);
});

Deno.test("requestInit() returns a signal that ends with init.signal, with its reason", () => {
  using ctx = withCancel(background());
  const user = new AbortController();
  const { signal } = requestInit(ctx, { signal: user.signal });
  user.abort("stop");
  assert(signal.aborted);
  assertEquals(signal.reason, "stop");
  assertEquals(ctx.err, undefined);
});

Deno.test("requestInit() returns an aborted signal if init.signal is aborted already", () => {
  using ctx = withCancel(background());
  const { signal } = requestInit(ctx, { signal: AbortSignal.abort("gone") });
  assertEquals([signal.aborted, signal.reason], [true, "gone"]);
});

Deno.test("requestInit() takes the result of another call", () => {
  using outer = withCancel(background());
  using inner = withCancel(outer);
  const once = requestInit(outer, { method: "PUT" });
  assertStrictEquals(requestInit(outer, once).signal, outer.signal);
  const twice = requestInit(inner, once);
  assertNotStrictEquals(twice.signal, inner.signal);
  outer.cancel();
  assert(twice.signal.aborted);
});

Deno.test("requestInit() takes a custom context", () => {
  using inner = withTimeout(background(), 5_000);
  const init = requestInit(new Wrapper(inner), {}, {
    deadlineHeader: "connect-timeout-ms",
  });
  assert(Number(header(init, "connect-timeout-ms")) <= 5_000);
  inner.cancel();
  assert(init.signal.aborted);
});

Deno.test("requestInit() writes the time left, rounded down, in units that fit", () => {
  using _time = new FakeTime(0);
  const table: [DeadlineHeader, number, string][] = [
    ["connect-timeout-ms", 500, "500"],
    ["connect-timeout-ms", 1.9, "1"],
    ["connect-timeout-ms", 0.9, "0"],
    ["connect-timeout-ms", 9_999_999_999, "9999999999"],
    ["connect-timeout-ms", 10_000_000_000, "9999999999"],
    ["x-envoy-expected-rq-timeout-ms", 480.5, "480"],
    ["x-envoy-expected-rq-timeout-ms", 10_000_000_000, "9999999999"],
    ["grpc-timeout", 100, "100m"],
    ["grpc-timeout", 5_000, "5000m"],
    ["grpc-timeout", 0.5, "0m"],
    ["grpc-timeout", 99_999_999, "99999999m"],
    ["grpc-timeout", 99_999_999.5, "99999999m"],
    ["grpc-timeout", 100_000_000, "100000S"],
    ["grpc-timeout", 100_000_999, "100000S"],
    ["grpc-timeout", 99_999_999_999, "99999999S"],
    ["grpc-timeout", 100_000_000_000, "1666666M"],
    ["grpc-timeout", 6e12 - 1, "99999999M"],
    ["grpc-timeout", 6e12, "1666666H"],
    ["grpc-timeout", 3.6e14, "99999999H"],
    ["grpc-timeout", 100_000 * 365 * day, "99999999H"],
  ];
  for (const [deadlineHeader, ms, text] of table) {
    using ctx = withTimeout(background(), ms);
    const init = requestInit(ctx, undefined, { deadlineHeader });
    assertEquals(header(init, deadlineHeader), text, `${deadlineHeader} ${ms}`);
  }
});

Deno.test("requestInit() writes the time that is left at the call", () => {
  using time = new FakeTime(0);
  using ctx = withDeadline(background(), 1_000);
  time.tick(600);
  const init = requestInit(ctx, {}, { deadlineHeader: "grpc-timeout" });
  assertEquals(header(init, "grpc-timeout"), "400m");
});

Deno.test("requestInit() keeps headers of every form beside the deadline", () => {
  using _time = new FakeTime(0);
  using ctx = withTimeout(background(), 250);
  const options = { deadlineHeader: "connect-timeout-ms" } as const;
  const forms: HeadersInit[] = [
    { "x-a": "1", "x-b": "2" },
    [["x-a", "1"], ["x-b", "2"]],
    new Headers({ "x-a": "1", "x-b": "2" }),
  ];
  for (const headers of forms) {
    const init = requestInit(ctx, { headers }, options);
    assertEquals([...new Headers(init.headers)], [
      ["connect-timeout-ms", "250"],
      ["x-a", "1"],
      ["x-b", "2"],
    ]);
    assertFalse(new Headers(headers).has("connect-timeout-ms"));
  }
});

Deno.test("requestInit() replaces a deadline that is passed on from another request", () => {
  using _time = new FakeTime(0);
  using ctx = withTimeout(background(), 250);
  const headers = { "Connect-Timeout-Ms": "9000" };
  const init = requestInit(ctx, { headers }, {
    deadlineHeader: "connect-timeout-ms",
  });
  assertEquals(header(init, "connect-timeout-ms"), "250");
});

Deno.test("requestInit() adds no header without a deadline, or unless asked", () => {
  using open = withCancel(background());
  const asked = requestInit(open, {}, { deadlineHeader: "grpc-timeout" });
  assertEquals(Object.keys(asked), ["signal"]);
  using limited = withTimeout(background(), 1_000);
  const headers = { "x-own": "yes" };
  assertStrictEquals(requestInit(limited, { headers }).headers, headers);
  assertEquals(Object.keys(requestInit(limited, {}, {})), ["signal"]);
});

Deno.test("requestInit() throws the err of a ctx that is done", () => {
  using canceled = withCancel(background());
  canceled.cancel("enough");
  using expired = withTimeout(background(), 0);
  for (const ctx of [canceled, expired]) {
    const error = assertThrows(() => requestInit(ctx, { method: "POST" }));
    assertStrictEquals(error, ctx.err);
  }
});

Deno.test("requestInit() rejects arguments that would lose something", () => {
  using ctx = withCancel(background());
  const init = (given: unknown) => () => requestInit(ctx, given as RequestInit);
  const table: [() => unknown, string][] = [
    [
      () => requestInit(ctx.signal as unknown as Context),
      "requestInit: expected a context, got an AbortSignal",
    ],
    [
      init(new Request("http://localhost/")),
      "requestInit: expected options, got a Request: write " +
      "fetch(request, requestInit(ctx, { signal: request.signal }))",
    ],
    [
      init(ctx),
      "requestInit: expected options, got a second context: pass " +
      "{ signal: other.signal }",
    ],
    [init(null), "requestInit: expected an object with options, got null"],
    [init("POST"), 'requestInit: expected an object with options, got "POST"'],
    [
      init({ signal: ctx }),
      "requestInit: init.signal is not an AbortSignal",
    ],
    [
      () =>
        requestInit(ctx, {}, { deadlineHeader: "x-timeout" as "grpc-timeout" }),
      "requestInit: deadlineHeader: expected one of grpc-timeout, " +
      'connect-timeout-ms, x-envoy-expected-rq-timeout-ms, got "x-timeout"',
    ],
    [
      () => requestInit(ctx, {}, { deadlineHeader: 5 as never }),
      "x-envoy-expected-rq-timeout-ms, got 5",
    ],
    [
      () => requestInit(ctx, {}, { deadlineHeader: "toString" as never }),
      'got "toString"',
    ],
  ];
  for (const [call, message] of table) assertThrows(call, TypeError, message);
});

Deno.test("requestInit() checks its arguments before ctx", () => {
  using ctx = withCancel(background());
  ctx.cancel();
  const options = { deadlineHeader: "soon" as "grpc-timeout" };
  assertThrows(() => requestInit(ctx, {}, options), TypeError);
});
