// Programs in this process, with their own exit. Real processes are in
// process_test.ts and main_endings_test.ts.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type CancelableContext,
  cause,
  type Context,
  sleep,
  withCancel,
  withoutCancel,
} from "@curfew/context";
import { ownerOf } from "../../context/owner.ts";
import { Program, type ProgramOptions } from "../../context/program.ts";
import { turn } from "./outcome.ts";

const failure = new Error("disk full");
const never = new Promise<never>(() => {});

function signal(name: string, cause?: unknown) {
  return { name, cause, forcedCode: name === "SIGINT" ? 130 : 143 };
}

/** A program that records its exit codes and what it writes to stderr. */
class TestProgram implements Disposable {
  readonly codes: number[] = [];
  readonly stderr: string[] = [];
  readonly ctx: CancelableContext;
  readonly ended: Promise<void>;
  readonly #program: Program;
  readonly #consoleError = console.error;

  constructor(
    f: (ctx: Context) => unknown,
    options: Partial<ProgramOptions> = {},
  ) {
    console.error = (text) => this.stderr.push(text);
    this.#program = new Program({
      grace: 30_000,
      derive: withCancel,
      inspect: String,
      exitCode: () => 0,
      hasHandler: () => false,
      exit: (code) => this.codes.push(code),
      ...options,
    });
    this.ctx = this.#program.ctx;
    this.ended = this.#program.run(f);
  }

  signal(name: string, cause?: unknown): void {
    this.#program.handle(signal(name, cause));
  }

  fail(error: unknown, isHandled?: () => boolean): void {
    this.#program.fail(error, isHandled);
  }

  /** First line of each text written to stderr. */
  get lines(): string[] {
    return this.stderr.map((text) => text.split("\n")[0]!);
  }

  [Symbol.dispose](): void {
    console.error = this.#consoleError;
  }
}

/** Work that ends when its test says so. */
class TestWork {
  readonly #end = Promise.withResolvers<void>();
  readonly finished = this.#end.promise;
  readonly describe: () => string | undefined;

  constructor(ctx: Context, describe: () => string | undefined = () => "work") {
    this.describe = describe;
    ownerOf(ctx)?.own(this);
  }

  end(): void {
    this.#end.resolve();
  }

  fail(error: unknown): void {
    this.#end.reject(error);
  }
}

const returned: [result: unknown, exitCode: number, code: number][] = [
  [undefined, 0, 0],
  [undefined, 3, 3],
  [0, 3, 0],
  [2, 3, 2],
  [255, 0, 255],
  ["2", 0, 0],
  [null, 4, 4],
  [Promise.resolve(5), 0, 5],
];
for (const [result, exitCode, code] of returned) {
  Deno.test(`main() of a function that returns ${result} exits with ${code} if Deno.exitCode is ${exitCode}`, async () => {
    using program = new TestProgram(() => result, { exitCode: () => exitCode });
    await program.ended;
    assertEquals([program.codes, program.stderr], [[code], []]);
  });
}

for (const result of [256, -1, 1.5, NaN, Infinity]) {
  Deno.test(`main() of a function that returns ${result}, which is no exit code, fails`, async () => {
    using program = new TestProgram(() => result);
    await program.ended;
    assertEquals(program.codes, [1]);
    assertEquals(program.lines, [
      "RangeError: main: expected the function to return an exit code from 0 " +
      `to 255 or no number, got ${result}`,
    ]);
  });
}

Deno.test("main() reads Deno.exitCode at the end", async () => {
  let exitCode = 0;
  using program = new TestProgram(async (ctx) => {
    await ctx.done;
    setTimeout(() => exitCode = 3);
  }, { exitCode: () => exitCode });
  program.ctx.cancel();
  await program.ended;
  assertEquals(program.codes, [3]);
});

Deno.test("main() ends the ctx of a function that has returned, without a cause", async () => {
  using program = new TestProgram(() => {});
  await program.ended;
  assertEquals(program.ctx.err?.name, "AbortError");
  assertStrictEquals(cause(program.ctx), program.ctx.err);
});

Deno.test("main() rejects with what exit throws, and calls it once", async () => {
  let calls = 0;
  using program = new TestProgram(() => {}, {
    exit: () => {
      calls++;
      throw failure;
    },
  });
  assertStrictEquals(await assertRejects(() => program.ended), failure);
  assertEquals(calls, 1);
});

for (
  const [how, f] of Object.entries({
    throws: () => {
      throw failure;
    },
    rejects: () => Promise.reject(failure),
  })
) {
  Deno.test(`main() of a function that ${how} prints the error and exits with 1`, async () => {
    using program = new TestProgram(f, { exitCode: () => 3 });
    await program.ended;
    assertEquals(program.codes, [1]);
    assertEquals(program.lines, ["Error: disk full"]);
    assertStrictEquals(cause(program.ctx), failure);
  });
}

// Owned work.

const derivations: [name: string, derive: (ctx: Context) => Context][] = [
  ["ctx", (ctx) => ctx],
  ["a child of ctx", withCancel],
  ["withoutCancel(ctx)", withoutCancel],
  ["a child of withoutCancel(ctx)", (ctx) => withCancel(withoutCancel(ctx))],
];
for (const [name, derive] of derivations) {
  Deno.test(`main() waits for work started under ${name}, with ctx open`, async () => {
    let work: TestWork | undefined;
    using program = new TestProgram((ctx) => {
      work = new TestWork(derive(ctx));
    });
    await turn();
    await turn();
    assertEquals([program.codes, program.ctx.err], [[], undefined]);
    work!.end();
    await program.ended;
    assertEquals(program.codes, [0]);
  });
}

Deno.test("a context that does not come from main() has no owner", () => {
  assertEquals(ownerOf(background()), undefined);
});

Deno.test("main() waits for the function after its work has finished", async () => {
  const release = Promise.withResolvers<void>();
  using program = new TestProgram((ctx) => {
    new TestWork(ctx).end();
    return release.promise;
  });
  await turn();
  await turn();
  assertEquals(program.codes, []);
  release.resolve();
  await program.ended;
  assertEquals(program.codes, [0]);
});

Deno.test("main() waits for work started while it waits for other work", async () => {
  const works: TestWork[] = [];
  using program = new TestProgram((ctx) => {
    works.push(new TestWork(ctx));
  });
  await turn();
  works.push(new TestWork(program.ctx));
  works[0]!.end();
  await turn();
  await turn();
  assertEquals(program.codes, []);
  works[1]!.end();
  await program.ended;
  assertEquals(program.codes, [0]);
});

Deno.test("main() waits for work started in the last turn of the event loop", async () => {
  let work: TestWork | undefined;
  using program = new TestProgram((ctx) => {
    queueMicrotask(() => queueMicrotask(() => work = new TestWork(ctx)));
  });
  await turn();
  await turn();
  assertEquals(program.codes, []);
  work!.end();
  await program.ended;
  assertEquals(program.codes, [0]);
});

Deno.test("main() waits for work that an afterFunc of ctx starts at the end", async () => {
  let work: TestWork | undefined;
  using program = new TestProgram((ctx) => {
    afterFunc(ctx, () => work = new TestWork(ctx));
  });
  while (work === undefined) await turn();
  await turn();
  assertEquals(program.codes, []);
  work.end();
  await program.ended;
  assertEquals(program.codes, [0]);
});

Deno.test("main() fails if its work does, and lets the rest drain", async () => {
  let work: TestWork | undefined;
  const release = Promise.withResolvers<void>();
  using program = new TestProgram(async (ctx) => {
    work = new TestWork(ctx);
    await ctx.done;
    await release.promise;
  });
  work!.fail(failure);
  await program.ctx.done;
  assertStrictEquals(cause(program.ctx), failure);
  await turn();
  assertEquals(program.codes, []);
  release.resolve();
  await program.ended;
  assertEquals(program.codes, [1]);
  assertEquals(program.lines, ["Error: disk full"]);
});

Deno.test("main() prints an error once that several parts fail with", async () => {
  let work: TestWork | undefined;
  using program = new TestProgram(async (ctx) => {
    work = new TestWork(ctx);
    new TestWork(ctx).fail(failure);
    await work.finished;
  });
  work!.fail(failure);
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

Deno.test("main() prints an error once that comes again after a signal", async () => {
  let work: TestWork | undefined;
  using program = new TestProgram(async (ctx) => {
    work = new TestWork(ctx);
    await work.finished;
  });
  program.signal("SIGTERM");
  work!.fail(failure);
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

Deno.test("main() prints every failure", async () => {
  using program = new TestProgram(async (ctx) => {
    await ctx.done;
    throw new Error("second");
  });
  program.fail(new Error("first"));
  await program.ended;
  assertEquals(program.codes, [1]);
  assertEquals(program.lines, ["Error: first", "Error: second"]);
});

for (const error of [undefined, null, "disk full", 0]) {
  Deno.test(`main() fails with ${error}, which is no Error`, async () => {
    using program = new TestProgram(() => Promise.reject(error));
    await program.ended;
    assertEquals([program.codes, program.stderr], [[1], [String(error)]]);
  });
}

Deno.test("main() does not fail with errors that pass on the end of ctx", async () => {
  using program = new TestProgram((ctx) => {
    const work = new TestWork(ctx);
    afterFunc(ctx, () => work.fail(new Error("closed", { cause: ctx.err })));
    return sleep(ctx, 60_000);
  });
  program.signal("SIGTERM", "why");
  await program.ended;
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("main() does not print again what passes on the failure", async () => {
  using program = new TestProgram(async (ctx) => {
    await ctx.done;
    throw new Error("cannot go on", { cause: cause(ctx) });
  });
  program.fail(failure);
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

Deno.test("main() is not told of failures once it has exited", async () => {
  using program = new TestProgram(() => {});
  await program.ended;
  program.fail(failure);
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("main() prints as much as it can if stderr is broken", async () => {
  using program = new TestProgram(() => Promise.reject(failure));
  console.error = () => {
    throw new Error("broken pipe");
  };
  await program.ended;
  assertEquals(program.codes, [1]);
});

Deno.test("a failure that is handled a turn later is not the program's", async () => {
  let isHandled = false;
  using program = new TestProgram(() => {});
  program.fail(failure, () => isHandled);
  isHandled = true;
  await program.ended;
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("a failure that is not handled a turn later is the program's", async () => {
  using program = new TestProgram(() => {});
  program.fail(failure, () => false);
  assertEquals(program.ctx.err, undefined);
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

Deno.test("a failure that may be handled is not among what is still running", async () => {
  using program = new TestProgram(() => never);
  program.signal("SIGTERM");
  program.fail(failure, () => true);
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.stderr, [
    "main: SIGINT received after SIGTERM, exit 130; still running: the main " +
    "function",
  ]);
});

// Unhandled errors.

function errorEvent(init: ErrorEventInit): ErrorEvent {
  return new ErrorEvent("error", { cancelable: true, ...init });
}

function rejectionEvent(reason: unknown): PromiseRejectionEvent {
  const promise = Promise.resolve();
  const init = { cancelable: true, promise, reason };
  return new PromiseRejectionEvent("unhandledrejection", init);
}

const unhandled: [name: string, event: () => Event, line: string][] = [
  [
    "an uncaught error",
    () => errorEvent({ error: failure }),
    "Error: disk full",
  ],
  [
    "an error event without an error",
    () => errorEvent({ message: "Uncaught (in worker)" }),
    "Error: Uncaught (in worker)",
  ],
  ["an unhandled rejection", () => rejectionEvent(failure), "Error: disk full"],
  [
    "a rejection without a reason",
    () => rejectionEvent(undefined),
    "undefined",
  ],
];
for (const [name, event, line] of unhandled) {
  Deno.test(`main() fails with ${name}`, async () => {
    using program = new TestProgram((ctx) => ctx.done);
    assertEquals(dispatchEvent(event()), false);
    assertEquals(program.ctx.err?.name, "AbortError");
    await program.ended;
    assertEquals([program.codes, program.lines], [[1], [line]]);
  });

  Deno.test(`main() leaves ${name} alone if another listener has prevented it`, async () => {
    const prevent = (event: Event) => event.preventDefault();
    const { type } = event();
    addEventListener(type, prevent);
    using program = new TestProgram((ctx) => ctx.done);
    dispatchEvent(event());
    removeEventListener(type, prevent);
    assertEquals(program.ctx.err, undefined);
    program.signal("SIGTERM");
    await program.ended;
    assertEquals([program.codes, program.stderr], [[0], []]);
  });

  Deno.test(`main() leaves ${name} alone once it has exited`, async () => {
    using program = new TestProgram(() => {});
    await program.ended;
    assertEquals(dispatchEvent(event()), true);
    assertEquals(program.stderr, []);
  });
}

for (const [name, event] of unhandled) {
  Deno.test(`main() leaves ${name} to the program's own handlers`, async () => {
    const kinds: string[] = [];
    using program = new TestProgram((ctx) => ctx.done, {
      hasHandler: (kind) => kinds.push(kind) > 0,
    });
    assertEquals(dispatchEvent(event()), true);
    assertEquals(program.ctx.err, undefined);
    const isError = event().type === "error";
    assertEquals(kinds, [isError ? "uncaughtException" : "unhandledRejection"]);
    program.signal("SIGTERM");
    await program.ended;
    assertEquals([program.codes, program.stderr], [[0], []]);
  });
}

Deno.test("main() prevents an unhandled rejection that passes on the end of ctx, and does not fail", async () => {
  using program = new TestProgram((ctx) => ctx.done);
  program.signal("SIGTERM");
  assertEquals(dispatchEvent(rejectionEvent(program.ctx.err)), false);
  await program.ended;
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("main() hears of a rejection that goes unhandled as its function returns", async () => {
  using program = new TestProgram(() => void Promise.reject(failure));
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

Deno.test("main() hears of a rejection that goes unhandled as it ends ctx", async () => {
  using program = new TestProgram((ctx) => {
    afterFunc(ctx, () => void Promise.reject(failure));
  });
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

// Signals.

/** Replaces the monotonic clock until it is disposed. */
class StoppedClock implements Disposable {
  readonly #now = performance.now;
  time = 1_000;

  constructor() {
    performance.now = () => this.time;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

Deno.test("main() ends ctx with the cause of the first signal", async () => {
  using program = new TestProgram((ctx) => ctx.done);
  program.signal("SIGTERM", "SIGTERM received");
  assertEquals(cause(program.ctx), "SIGTERM received");
  await program.ended;
  assertEquals(program.codes, [0]);
});

const seconds: [
  first: string,
  second: string,
  after: number,
  line: string | undefined,
  code: number,
][] = [
  ["SIGINT", "SIGINT", 0, undefined, 0],
  ["SIGTERM", "SIGTERM", 99, undefined, 0],
  ["SIGINT", "SIGINT", 100, "SIGINT received again, exit 130", 130],
  ["SIGTERM", "SIGTERM", 100, "SIGTERM received again, exit 143", 143],
  ["SIGINT", "SIGTERM", 0, "SIGTERM received after SIGINT, exit 143", 143],
  ["SIGTERM", "SIGINT", 99, "SIGINT received after SIGTERM, exit 130", 130],
];
for (const [first, second, after, line, code] of seconds) {
  Deno.test(`main() that gets ${first}, and ${second} ${after} ms later, exits with ${code}`, async () => {
    using clock = new StoppedClock();
    const drained = Promise.withResolvers<void>();
    using program = new TestProgram(async function run() {
      await drained.promise;
    });
    program.signal(first);
    clock.time += after;
    program.signal(second);
    if (line === undefined) drained.resolve();
    await program.ended;
    assertEquals(program.codes, [code]);
    const told = line === undefined
      ? []
      : [`main: ${line}; still running: run()`];
    assertEquals(program.stderr, told);
    drained.resolve();
  });
}

Deno.test("main() counts the 100 ms from the first signal, not from the last", async () => {
  using clock = new StoppedClock();
  using program = new TestProgram(() => never);
  for (const _ of [1, 2]) {
    program.signal("SIGTERM");
    clock.time += 60;
  }
  assertEquals(program.codes, []);
  program.signal("SIGTERM");
  await program.ended;
  assertEquals(program.codes, [143]);
});

Deno.test("main() takes a repeated signal for one that had to wait for slow listeners", async () => {
  using clock = new StoppedClock();
  using program = new TestProgram(async (ctx) => {
    ctx.signal.addEventListener("abort", () => clock.time += 500);
    await ctx.done;
  });
  program.signal("SIGTERM");
  program.signal("SIGTERM");
  await program.ended;
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("main() forces the exit at a third signal like at a second", async () => {
  using _clock = new StoppedClock();
  using program = new TestProgram(() => never);
  program.signal("SIGTERM");
  program.signal("SIGTERM");
  program.signal("SIGINT");
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.codes, [130]);
  assertEquals(program.stderr.length, 1);
});

Deno.test("main() drains at the first signal after a failure, and exits with 1", async () => {
  const drained = Promise.withResolvers<void>();
  using program = new TestProgram(() => drained.promise);
  program.fail(failure);
  program.signal("SIGTERM");
  assertEquals(program.codes, []);
  assertStrictEquals(cause(program.ctx), failure);
  drained.resolve();
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

const cutShort: [signal: string, exitCode: number, code: number][] = [
  ["SIGINT", 0, 130],
  ["SIGINT", 3, 130],
  ["SIGTERM", 0, 0],
  ["SIGTERM", 3, 3],
  ["SIGHUP", 0, 0],
];
for (const [signal, exitCode, code] of cutShort) {
  Deno.test(`main() of a function that ${signal} cut short exits with ${code} if Deno.exitCode is ${exitCode}`, async () => {
    using program = new TestProgram((ctx) => sleep(ctx, 60_000), {
      exitCode: () => exitCode,
    });
    program.signal(signal, "why");
    await program.ended;
    assertEquals([program.codes, program.stderr], [[code], []]);
  });
}

Deno.test("main() of a function that a failure cut short exits with 1, also if SIGINT follows", async () => {
  using program = new TestProgram((ctx) => sleep(ctx, 60_000));
  program.fail(failure);
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.codes, [1]);
});

Deno.test("main() of a function that fails after SIGINT exits with 1", async () => {
  using program = new TestProgram(async (ctx) => {
    await ctx.done;
    throw failure;
  });
  program.signal("SIGINT");
  await program.ended;
  assertEquals([program.codes, program.lines], [[1], ["Error: disk full"]]);
});

// The line about what is still running.

Deno.test("main() names the function and the work that still run at a forced exit", async () => {
  using program = new TestProgram(async function serve(ctx) {
    new TestWork(ctx, () => "serveHttp 127.0.0.1:8000");
    new TestWork(ctx, () => undefined);
    new TestWork(ctx, () => "over").end();
    new TestWork(ctx, () => {
      throw failure;
    });
    await never;
  });
  await turn();
  program.signal("SIGTERM");
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.stderr, [
    "main: SIGINT received after SIGTERM, exit 130; still running: serve(), " +
    "serveHttp 127.0.0.1:8000, work without a description",
  ]);
});

Deno.test("main() does not name a function that has returned", async () => {
  using program = new TestProgram(function serve(ctx) {
    new TestWork(ctx, () => "serveUdp 127.0.0.1:53");
  });
  await turn();
  program.signal("SIGTERM");
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.stderr, [
    "main: SIGINT received after SIGTERM, exit 130; still running: " +
    "serveUdp 127.0.0.1:53",
  ]);
});

Deno.test("main() at a forced exit leaves the list out if it is empty", async () => {
  using program = new TestProgram((ctx) => {
    new TestWork(ctx, () => undefined);
  });
  await turn();
  program.signal("SIGTERM");
  program.signal("SIGINT");
  await program.ended;
  assertEquals(
    program.stderr,
    ["main: SIGINT received after SIGTERM, exit 130"],
  );
});

// The grace period.

/** Lets what waits for turns of the event loop go on, under a fake clock. */
async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

Deno.test("main() exits with 1 when the grace period is over", async () => {
  using time = new FakeTime();
  using program = new TestProgram(async function run() {
    await never;
  }, { grace: 5_000 });
  time.tick(60_000);
  program.signal("SIGTERM");
  time.tick(4_999);
  await turns();
  assertEquals(program.codes, []);
  time.tick(1);
  await program.ended;
  assertEquals(program.codes, [1]);
  assertEquals(program.stderr, [
    "main: the grace period of 5000 ms is over, exit 1; still running: run()",
  ]);
});

Deno.test("main() counts the grace period from the first failure, whatever comes later", async () => {
  using time = new FakeTime();
  using program = new TestProgram(() => never, { grace: 1_000 });
  program.fail(failure);
  time.tick(600);
  program.fail(new Error("another"));
  program.signal("SIGTERM");
  time.tick(400);
  await program.ended;
  assertEquals(program.codes, [1]);
});

Deno.test("main() that ends in time leaves nothing of the grace period", async () => {
  using time = new FakeTime();
  using program = new TestProgram((ctx) => ctx.done, { grace: 1_000 });
  program.signal("SIGTERM");
  await program.ended;
  time.tick(1_000);
  await turns();
  assertEquals([program.codes, program.stderr], [[0], []]);
});

Deno.test("main() forced by a signal leaves nothing of the grace period", async () => {
  using time = new FakeTime();
  using program = new TestProgram(() => never, { grace: 1_000 });
  program.signal("SIGTERM");
  program.signal("SIGINT");
  await program.ended;
  time.tick(1_000);
  await turns();
  assertEquals([program.codes, program.stderr.length], [[130], 1]);
});

for (
  const [how, f] of Object.entries({
    "returns": () => {},
    "ends at once at the signal": (ctx: Context) => ctx.done,
  })
) {
  Deno.test(`main() with a grace period of 0 exits well if the function ${how}`, async () => {
    using program = new TestProgram(f, { grace: 0 });
    program.signal("SIGTERM");
    await program.ended;
    assertEquals([program.codes, program.stderr], [[0], []]);
  });
}

Deno.test("main() with a grace period of 0 exits well without a signal", async () => {
  using program = new TestProgram(() => 3, { grace: 0 });
  await program.ended;
  assertEquals([program.codes, program.stderr], [[3], []]);
});

Deno.test("main() with a grace period of 0 exits with 1 if the function goes on", async () => {
  using program = new TestProgram(() => never, { grace: 0 });
  program.signal("SIGTERM");
  await program.ended;
  assertEquals(program.codes, [1]);
});

Deno.test("main() with a grace period of Infinity waits for a second signal", async () => {
  using time = new FakeTime();
  using program = new TestProgram(() => never, { grace: Infinity });
  program.signal("SIGTERM");
  time.tick(1e9);
  await turns();
  assertEquals(program.codes, []);
  program.signal("SIGINT");
  await program.ended;
  assertEquals(program.codes, [130]);
});
