// By real signals to real processes.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  background,
  type Context,
  main,
  notifyContext,
  withCancel,
} from "@curfew/context";
import { ChildProcess, type Ended, test } from "./child_process.ts";

/** Runs a program of testdata/notify.ts until it is ready for signals. */
async function notified(program: string): Promise<ChildProcess> {
  const child = new ChildProcess("notify.ts", program);
  while (await child.line() !== "ready");
  return child;
}

/** Runs a program of testdata/main.ts until it is ready for signals. */
async function running(program: string): Promise<ChildProcess> {
  const child = new ChildProcess("main.ts", program);
  assertEquals(await child.line(), "ready");
  return child;
}

/** Sends it a signal and waits until it has noticed. */
async function stop(child: ChildProcess, signal: Deno.Signal): Promise<void> {
  child.kill(signal);
  assertEquals(await child.line(), "stopping");
}

/** Asserts that a signal had its default effect. */
function assertKilled({ code, signal }: Ended, by: Deno.Signal): void {
  assertEquals([signal, code], [by, by === "SIGINT" ? 130 : 143]);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`notifyContext() is done at ${signal}, Canceled, and its cause says which`, async () => {
    const child = await notified("first signal");
    child.kill(signal);
    assertEquals(
      await child.line(),
      `${signal}, true, true, context canceled, true`,
    );
    child.kill("SIGKILL");
    await child.end();
  });

  test(`notifyContext() leaves the second ${signal} its default effect`, async () => {
    const child = await notified("first signal");
    child.kill(signal);
    await child.line();
    child.kill(signal);
    assertKilled(await child.end(), signal);
  });
}

test("notifyContext() leaves a second signal of another kind its default effect", async () => {
  const child = await notified("first signal");
  child.kill("SIGTERM");
  await child.line();
  child.kill("SIGINT");
  assertKilled(await child.end(), "SIGINT");
});

test("notifyContext() is done at a signal that was asked for", async () => {
  const child = await notified("a signal that was asked for");
  child.kill("SIGUSR1");
  assertMatch(await child.line(), /^SIGUSR1, true/);
  child.kill("SIGKILL");
  await child.end();
});

test("notifyContext() leaves signals that were not asked for alone", async () => {
  const child = await notified("a signal that was asked for");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("notifyContext() ends its children with its cause", async () => {
  const child = await notified("a child");
  child.kill("SIGTERM");
  assertMatch(await child.line(), /^SIGTERM, true, true/);
  child.kill("SIGKILL");
  await child.end();
});

test("notifyContext() lets a program end by itself after the signal", async () => {
  const child = await notified("ends in time");
  child.kill("SIGTERM");
  const { code, signal } = await child.end();
  assertEquals([code, signal], [0, null]);
});

Deno.test("notifyContext() keeps no process alive", async () => {
  const { code, signal } = await (await notified("kept alive by nothing"))
    .end();
  assertEquals([code, signal], [0, null]);
});

for (
  const program of [
    "disposed",
    "cancelled",
    "cancelled ten times",
    "made and disposed ten times",
    "parent cancelled",
    "parent's time is over",
    "parent done before",
    "a signal that cannot be listened to",
  ]
) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`notifyContext() has given ${signal} its effect back: ${program}`, async () => {
      const child = await notified(program);
      child.kill(signal);
      assertKilled(await child.end(), signal);
    });
  }
}

test("notifyContext() ten at once all end at one signal, and the next has its default effect", async () => {
  const child = await notified("ten at once");
  child.kill("SIGTERM");
  assertEquals(await child.line(), "10");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("notifyContext() is done at the signal when another one has been disposed", async () => {
  const child = await notified("one of two disposed");
  child.kill("SIGTERM");
  assertMatch(await child.line(), /^SIGTERM, true, true/);
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("notifyContext() takes a signal that is named twice once", async () => {
  const child = await notified("the same signal twice");
  child.kill("SIGUSR1");
  assertMatch(await child.line(), /^SIGUSR1/);
  child.kill("SIGUSR1");
  assertEquals((await child.end()).signal, "SIGUSR1");
});

test("notifyContext() leaves a listener of the program's own in place", async () => {
  const child = await notified("a listener of the program's own");
  child.kill("SIGTERM");
  assertEquals(await child.line(), "own");
  child.kill("SIGKILL");
  await child.end();
});

const parents: [program: string, line: string][] = [
  ["parent cancelled", "parent's"],
  ["parent's time is over", "TimeoutError"],
  ["parent done before", "parent's"],
];
for (const [program, line] of parents) {
  Deno.test(`notifyContext() takes the err and the cause of its parent: ${program}`, async () => {
    const child = new ChildProcess("notify.ts", program);
    assertEquals(await child.line(), line);
    child.kill("SIGKILL");
    await child.end();
  });
}

test("notifyContext() of a signal that cannot be listened to is a TypeError that says which", async () => {
  const child = new ChildProcess(
    "notify.ts",
    "a signal that cannot be listened to",
  );
  assertEquals(await child.line(), "notifyContext: cannot listen to SIGKILL");
  child.kill("SIGKILL");
  await child.end();
});

Deno.test("notifyContext() on no parent is a TypeError that says so", () => {
  assertThrows(
    () => notifyContext(null as unknown as Context),
    TypeError,
    "cannot create a context from a null parent",
  );
});

Deno.test("notifyContext() on a done parent takes its err, and listens to nothing", () => {
  const parent = withCancel(background());
  parent.cancel("why");
  const ctx = notifyContext(parent);
  assertEquals(ctx.err, parent.err);
  assertEquals(
    String(ctx),
    "background.withCancel.notifyContext(SIGINT SIGTERM)",
  );
});

// What main does with a program that ends by itself.
const outcomes: [program: string, code: number, stderr?: string][] = [
  ["returns", 7],
  ["resolves", 0],
  ["leaves timers", 0],
  ["leaves a socket", 0],
  ["throws", 1, "Error: out of paper"],
  ["rejects", 1, "Error: out of paper"],
  ["rejects with a value", 1, "no more than a string"],
  ["rejects with Canceled without a signal", 1, "AbortError: context canceled"],
  ["exit and nothing left", 0],
];
for (const [program, code, stderr = ""] of outcomes) {
  Deno.test(`main() with a program that ${program}: exit code ${code}`, async () => {
    const ended = await new ChildProcess("main.ts", program).end();
    assertEquals([ended.code, ended.signal], [code, null]);
    if (stderr === "") assertEquals(ended.stderr, "");
    else assert(ended.stderr.includes(stderr), ended.stderr);
  });
}

// And with one that ends after a signal.
const canceled = "canceled";
const stops: [
  program: string,
  code: 0 | 1 | typeof canceled,
  stderr?: string,
][] = [
  ["waits for a promise", 0],
  ["ends within its grace period", 0],
  ["fails with err", canceled],
  ["fails with the cause", canceled],
  ["fails with err wrapped", canceled],
  ["fails with several errs", canceled],
  ["fails with several errs, one of another kind", 1, "Error: out of paper"],
  ["fails with several errs that wrap the same one", canceled],
  ["fails otherwise", 1, "Error: out of paper"],
  ["fails with an error that is its own cause", 1, "Error: out of paper"],
];
for (const [program, code, stderr = ""] of stops) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`main() with a program that ${program} after ${signal}: exit code ${code}`, async () => {
      const child = await running(program);
      await stop(child, signal);
      const ended = await child.end();
      const expected = code === canceled ? signal === "SIGINT" ? 130 : 0 : code;
      assertEquals([ended.code, ended.signal], [expected, null]);
      if (stderr === "") assertEquals(ended.stderr, "");
      else assert(ended.stderr.includes(stderr), ended.stderr);
    });
  }
}

test("main() with a program whose fetch is ended by the signal: exit code 0", async () => {
  const child = await running("fails in fetch");
  child.kill("SIGTERM");
  const { code, stderr } = await child.end();
  assertEquals([code, stderr], [0, ""]);
});

test("main() hands down a context whose cause says which signal has come", async () => {
  const child = await running("says why");
  await stop(child, "SIGINT");
  assertEquals(await child.line(), "SIGINT");
  assertEquals(
    await child.line(),
    "true background.notifyContext(SIGINT SIGTERM)",
  );
  assertEquals((await child.end()).code, 0);
});

/** In ms: longer than a repeated signal counts as the same request. */
const sameRequest = 150;

const seconds: [first: Deno.Signal, second: Deno.Signal, code: number][] = [
  ["SIGINT", "SIGINT", 130],
  ["SIGTERM", "SIGTERM", 143],
  ["SIGINT", "SIGTERM", 143],
  ["SIGTERM", "SIGINT", 130],
];
for (const [first, second, code] of seconds) {
  test(`main() exits with ${code} at ${second} after ${first}, and says what was running`, async () => {
    const child = await running("never ends");
    await stop(child, first);
    await new Promise((resolve) => setTimeout(resolve, sameRequest));
    child.kill(second);
    const ended = await child.end();
    assertEquals([ended.code, ended.signal], [code, null]);
    const when = first === second ? "again" : `after ${first}`;
    assertEquals(
      ended.stderr,
      `main: ${second} received ${when}, exit ${code}; still running: serve()\n`,
    );
  });
}

test("main() exits with 1 when the grace period is over, and says what was running", async () => {
  const child = await running("is over its grace period");
  await stop(child, "SIGTERM");
  const ended = await child.end();
  assertEquals([ended.code, ended.signal], [1, null]);
  assertEquals(
    ended.stderr,
    "main: the grace period of 20 ms is over, exit 1; still running: serve()\n",
  );
});

test("main() has a name also for a function that has none", async () => {
  const child = await running("never ends, without a name");
  await stop(child, "SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, sameRequest));
  child.kill("SIGTERM");
  assertMatch(
    (await child.end()).stderr,
    /still running: the main function\n$/,
  );
});

test("main() listens to the signals it is told, twice", async () => {
  const child = await running("has other signals");
  await stop(child, "SIGUSR1");
  await new Promise((resolve) => setTimeout(resolve, sameRequest));
  child.kill("SIGUSR1");
  const ended = await child.end();
  assertEquals(ended.signal, null);
  assertMatch(
    ended.stderr,
    /^main: SIGUSR1 received again, exit \d+; [^\n]+\n$/,
  );
});

test("main() leaves signals that it is not told alone", async () => {
  const child = await running("has other signals");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("main() does not stand in the way of a program that exits itself", async () => {
  const child = await running("ends itself");
  child.kill("SIGTERM");
  assertEquals((await child.end()).code, 7);
});

test("main() calls exit instead of Deno.exit, then returns and gives the signals back", async () => {
  const child = await running("exit");
  await stop(child, "SIGTERM");
  assertEquals(await child.line(), "exit 0");
  assertEquals(await child.line(), "main has returned");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("main() calls exit once, also when the program settles afterwards", async () => {
  const child = await running("exit once");
  await stop(child, "SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, sameRequest));
  child.kill("SIGTERM");
  const { code, stdout } = await child.end();
  assertEquals(stdout, "exit 143\nmain has returned\n");
  assertEquals(code, 0);
});

Deno.test("main() with an exit of its own resolves after it was called", async () => {
  const codes: number[] = [];
  await main(() => "result", { exit: (code) => codes.push(code) });
  assertEquals(codes, [0]);
});

Deno.test("main() ends the context of a program that has returned", async () => {
  let kept: Context | undefined;
  await main((ctx) => void (kept = ctx), { exit: () => {} });
  assertEquals(kept?.err?.name, "AbortError");
});

Deno.test("main() of no function is a TypeError", () => {
  const wrong = undefined as unknown as () => void;
  assertThrows(() => main(wrong), TypeError, "main: expected a function");
});

for (const grace of [-1, NaN, "5" as unknown as number]) {
  Deno.test(`main() with a grace of ${JSON.stringify(grace)} = ${grace} is a RangeError`, () => {
    assertThrows(
      () => main(() => {}, { grace }),
      RangeError,
      "main: expected grace",
    );
  });
}

test("main() of a signal that cannot be listened to is a TypeError that says which", () => {
  assertThrows(
    () => main(() => {}, { signals: ["SIGUSR1", "SIGKILL"] }),
    TypeError,
    "main: cannot listen to SIGKILL",
  );
});
