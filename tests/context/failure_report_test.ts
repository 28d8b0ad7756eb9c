import { assert, assertEquals } from "@std/assert";
import { runInNewContext } from "node:vm";
import { background, SignalError, withCancel } from "@curfew/context";
import { failureReport } from "../../context/failure_report.ts";

/** An Error whose stack is short and the same everywhere. */
function error(message: string, properties: object = {}): Error {
  return stackOf(Object.assign(new Error(message), properties));
}

function stackOf<T extends Error>(error: T): T {
  error.stack = `${error.name}: ${error.message}\n    at f (a.ts:1:2)`;
  return error;
}

function thrower(): never {
  throw new Error("unreadable");
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function canceled(): Error {
  const ctx = withCancel(background());
  ctx.cancel(stackOf(new SignalError("SIGTERM")));
  return ctx.err!;
}

const frame = "    at f (a.ts:1:2)";

const cases: [name: string, error: unknown, report: string[]][] = [
  ["an Error", error("disk full"), ["Error: disk full", frame]],
  ["a string", "disk full", ['"disk full"']],
  ["undefined", undefined, ["undefined"]],
  ["null", null, ["null"]],
  ["a function", () => {}, ["[Function (anonymous)]"]],
  ["an object", { a: 1, message: "m" }, ['{ a: 1, message: "m" }']],
  [
    "an object with a stack",
    { stack: "no stack" },
    ['{ stack: "no stack" }'],
  ],
  [
    "an Error without a stack",
    Object.assign(new Error("disk full"), { stack: undefined }),
    ["Error: disk full"],
  ],
  [
    "an Error of another realm",
    runInNewContext("Object.assign(new Error('far'), { stack: 'Error: far' })"),
    ["Error: far"],
  ],
  [
    "properties of an Error",
    error("no entry", { name: "NotFound", code: "ENOENT", errno: 2 }),
    [
      "NotFound: no entry",
      frame,
      '    { code: "ENOENT", errno: 2 }',
    ],
  ],
  [
    "a cause",
    error("cannot save", { cause: error("disk full") }),
    ["Error: cannot save", frame, "Caused by: Error: disk full", frame],
  ],
  [
    "a cause that is no Error",
    error("cannot save", { cause: "disk full" }),
    ["Error: cannot save", frame, 'Caused by: "disk full"'],
  ],
  [
    "a cause that is null",
    error("cannot save", { cause: null }),
    ["Error: cannot save", frame],
  ],
  [
    "a chain of causes",
    error("a", { cause: error("b", { code: 1, cause: error("c") }) }),
    [
      "Error: a",
      frame,
      "Caused by: Error: b",
      frame,
      "    { code: 1 }",
      "Caused by: Error: c",
      frame,
    ],
  ],
  [
    "the cause of a cancellation",
    canceled(),
    [
      "AbortError: context canceled",
      "Caused by: AbortError: SIGTERM received",
      frame,
    ],
  ],
  [
    "the cause of a DOMException",
    Object.assign(stackOf(new DOMException("aborted", "AbortError")), {
      cause: error("why"),
    }),
    [
      "AbortError: aborted",
      frame,
      "Caused by: Error: why",
      frame,
    ],
  ],
  [
    "all errors of an AggregateError",
    Object.assign(
      stackOf(new AggregateError([error("a"), "b"], "all failed")),
      { cause: error("c") },
    ),
    [
      "AggregateError: all failed",
      frame,
      "  Error 1 of 2: Error: a",
      `  ${frame}`,
      '  Error 2 of 2: "b"',
      "Caused by: Error: c",
      frame,
    ],
  ],
  [
    "both parts of a SuppressedError",
    stackOf(
      new SuppressedError(
        error("closed", { cause: error("reset") }),
        error("disk full", { code: 1 }),
        "suppressed",
      ),
    ),
    [
      "SuppressedError: suppressed",
      frame,
      "  Thrown: Error: closed",
      `  ${frame}`,
      "  Caused by: Error: reset",
      `  ${frame}`,
      "  Suppressed: Error: disk full",
      `  ${frame}`,
      "      { code: 1 }",
    ],
  ],
  [
    "a SuppressedError in a SuppressedError",
    stackOf(
      new SuppressedError(
        "third",
        stackOf(new SuppressedError("second", "first", "inner")),
        "outer",
      ),
    ),
    [
      "SuppressedError: outer",
      frame,
      '  Thrown: "third"',
      "  Suppressed: SuppressedError: inner",
      `  ${frame}`,
      '    Thrown: "second"',
      '    Suppressed: "first"',
    ],
  ],
  [
    "a SuppressedError as compilers make it",
    error("suppressed", { name: "SuppressedError", error: 1, suppressed: 2 }),
    [
      "SuppressedError: suppressed",
      frame,
      "  Thrown: 1",
      "  Suppressed: 2",
    ],
  ],
  [
    "an error that comes twice, once in full",
    ((twice) => stackOf(new AggregateError([twice, twice], "m")))(error("a")),
    [
      "AggregateError: m",
      frame,
      "  Error 1 of 2: Error: a",
      `  ${frame}`,
      "  Error 2 of 2: Error: a (see above)",
    ],
  ],
  [
    "what can be read of an error that throws",
    Object.defineProperty(error("a"), "cause", { get: thrower }),
    ["Error: a", frame, "Caused by: a value that cannot be read"],
  ],
  [
    "an Error whose stack and message throw, with its cause",
    Object.defineProperties(error("a", { cause: error("b") }), {
      stack: { get: thrower },
      message: { get: thrower },
    }),
    ["an error that cannot be read", "Caused by: Error: b", frame],
  ],
  [
    "the cause of an Error with a property that throws",
    Object.defineProperty(error("a", { cause: error("b") }), "code", {
      get: thrower,
      enumerable: true,
    }),
    [
      "Error: a",
      frame,
      "    properties that cannot be read",
      "Caused by: Error: b",
      frame,
    ],
  ],
  [
    "the cause of an Error whose name throws",
    Object.defineProperty(error("a", { cause: error("b") }), "name", {
      get: thrower,
    }),
    [
      "Error: a",
      frame,
      "  errors that cannot be read",
      "Caused by: Error: b",
      frame,
    ],
  ],
  [
    "the errors after one that cannot be read",
    stackOf(new AggregateError([revoked(), "b"], "m")),
    [
      "AggregateError: m",
      frame,
      "  Error 1 of 2: a value that cannot be read",
      '  Error 2 of 2: "b"',
    ],
  ],
];
for (const [name, error, report] of cases) {
  Deno.test(`failureReport() shows ${name}`, () => {
    assertEquals(failureReport(error, Deno.inspect).split("\n"), report);
  });
}

Deno.test("failureReport() ends if causes form a circle", () => {
  const first = error("first");
  first.cause = error("second", { cause: first });
  assertEquals(failureReport(first, Deno.inspect).split("\n"), [
    "Error: first",
    frame,
    "Caused by: Error: second",
    frame,
    "Caused by: Error: first (see above)",
  ]);
});

Deno.test("failureReport() shows the first 100 errors of many", () => {
  const errors = Array.from({ length: 300 }, (_, at) => error(`e${at + 1}`));
  const report = failureReport(new AggregateError(errors), Deno.inspect);
  assert(report.includes("Error 99 of 300: Error: e99\n"), report);
  assert(report.endsWith("\n  Error 100 of 300: ... and more"), report);
});

Deno.test("failureReport() shows the first 100 of many values that are no errors", () => {
  const error = new AggregateError(Array(300).fill("busy"));
  const report = failureReport(error, Deno.inspect);
  assert(report.includes('Error 99 of 300: "busy"\n'), report);
  assert(report.endsWith("\n  Error 100 of 300: ... and more"), report);
});

Deno.test("failureReport() shows the first 100 errors of a long chain of causes", () => {
  let cause: unknown;
  for (let at = 100_000; at > 0; at--) cause = error(`e${at}`, { cause });
  const report = failureReport(cause, Deno.inspect);
  assert(
    report.endsWith("Error: e100\n" + frame + "\nCaused by: ... and more"),
  );
});
