// notifyContext and main, by real signals to real processes. How programs under
// main end is in main_endings_test.ts.

import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  background,
  type Context,
  main,
  type MainOptions,
  notifyContext,
  withCancel,
} from "@curfew/context";
import { observer } from "../../context/tree_observer.ts";
import {
  ChildProcess,
  CommandProcess,
  type Ended,
  test,
} from "./child_process.ts";

/** Starts a program of testdata/notify.ts and waits until it is ready for signals. */
async function notified(program: string): Promise<ChildProcess> {
  const child = new ChildProcess("notify.ts", program);
  while (await child.line() !== "ready");
  return child;
}

/** Starts a program of testdata/main.ts and waits until it is ready for signals. */
async function running(program: string): Promise<ChildProcess> {
  const child = new ChildProcess("main.ts", program);
  assertEquals(await child.line(), "ready");
  return child;
}

/** Sends a signal and waits until the program has noticed. */
async function stop(child: ChildProcess, signal: Deno.Signal): Promise<void> {
  child.kill(signal);
  assertEquals(await child.line(), "stopping");
}

/** Asserts that a signal had its default effect. */
function assertKilled({ code, signal }: Ended, by: Deno.Signal): void {
  assertEquals([signal, code], [by, by === "SIGINT" ? 130 : 143]);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`notifyContext() ends with Canceled at ${signal}, which its cause names`, async () => {
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

test("notifyContext() is done at a signal that it was given", async () => {
  const child = await notified("a signal that was asked for");
  child.kill("SIGUSR1");
  assertMatch(await child.line(), /^SIGUSR1, true/);
  child.kill("SIGKILL");
  await child.end();
});

test("notifyContext() leaves other signals alone", async () => {
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
    "canceled",
    "canceled ten times",
    "made and disposed ten times",
    "parent canceled",
    "parent's time is over",
    "parent done before",
    "a signal that cannot be listened to",
  ]
) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`notifyContext() gives ${signal} its default effect back: ${program}`, async () => {
      const child = await notified(program);
      child.kill(signal);
      assertKilled(await child.end(), signal);
    });
  }
}

test("notifyContext() called ten times: all end at one signal, and the next has its default effect", async () => {
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

test("notifyContext() listens once to a signal that is given twice", async () => {
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
  ["parent canceled", "parent's"],
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

test("notifyContext() of a signal that cannot be listened to throws a TypeError that names it", async () => {
  const child = new ChildProcess(
    "notify.ts",
    "a signal that cannot be listened to",
  );
  assertEquals(
    await child.line(),
    "notifyContext: cannot listen to SIGKILL: Binding to signal 'SIGKILL' is not allowed",
  );
  child.kill("SIGKILL");
  await child.end();
});

Deno.test("notifyContext() without a parent throws a TypeError", () => {
  assertThrows(
    () => notifyContext(null as unknown as Context),
    TypeError,
    "expected a context, got ",
  );
});

Deno.test("notifyContext() on a done parent takes its err and listens to nothing", () => {
  const parent = withCancel(background());
  parent.cancel("why");
  const ctx = notifyContext(parent);
  assertEquals(ctx.err, parent.err);
  assertEquals(
    String(ctx),
    "background.withCancel.notifyContext(SIGINT SIGTERM)",
  );
});

/** Time in ms after which a repeated signal is another request. */
const anotherRequest = 150;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

test("main() hands down a context whose cause names the signal", async () => {
  const child = await running("says why");
  await stop(child, "SIGINT");
  assertEquals(await child.line(), "SIGINT");
  assertEquals(
    await child.line(),
    "true background.notifyContext(SIGINT SIGTERM)",
  );
  assertEquals((await child.end()).code, 0);
});

test("main() keeps the process alive until the function has settled", async () => {
  const child = await running("waits for a promise");
  await stop(child, "SIGTERM");
  const { code, signal, stderr } = await child.end();
  assertEquals([code, signal, stderr], [0, null, ""]);
});

for (const program of ["leaves timers", "leaves a socket"]) {
  Deno.test(`main() exits although the program ${program}`, async () => {
    const { code, stderr } = await new ChildProcess("main.ts", program).end();
    assertEquals([code, stderr], [0, ""]);
  });
}

test("main() exits with 0 when SIGTERM has ended a fetch", async () => {
  const child = await running("fails in fetch");
  child.kill("SIGTERM");
  const { code, stderr } = await child.end();
  assertEquals([code, stderr], [0, ""]);
});

test("main() listens to the signals that it was given, and forces the exit with 128 plus the number", async () => {
  const child = await running("has other signals");
  await stop(child, "SIGUSR1");
  await wait(anotherRequest);
  child.kill("SIGUSR1");
  const { code, signal, stderr } = await child.end();
  const number = Deno.build.os === "linux" ? 10 : 30;
  assertEquals([code, signal], [128 + number, null]);
  assertMatch(stderr, /^main: SIGUSR1 received again, exit \d+; [^\n]+\n$/);
});

test("main() leaves other signals alone", async () => {
  const child = await running("has other signals");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("main() leaves a program that exits by itself alone", async () => {
  const child = await running("ends itself");
  child.kill("SIGTERM");
  assertEquals((await child.end()).code, 7);
});

test("main() calls exit, then resolves and gives the signals their effect back", async () => {
  const child = await running("exit");
  await stop(child, "SIGTERM");
  assertEquals(await child.line(), "exit 0");
  assertEquals(await child.line(), "main has returned");
  child.kill("SIGTERM");
  assertKilled(await child.end(), "SIGTERM");
});

test("main() calls exit once if the function settles after a forced exit", async () => {
  const child = await running("exit once");
  await stop(child, "SIGTERM");
  await wait(anotherRequest);
  child.kill("SIGTERM");
  const { code, stdout } = await child.end();
  assertEquals(stdout, "exit 143\nmain has returned\n");
  assertEquals(code, 0);
});

Deno.test("main() lets the process end by itself after exit has returned", async () => {
  const child = new ChildProcess("main.ts", "exit and nothing left");
  const { code, stdout } = await child.end();
  assertEquals([code, stdout], [0, "exit 0\n"]);
});

const forcedCodes: [signal: Deno.Signal, code: number][] = [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGABRT", 134],
  ["SIGUSR1", Deno.build.os === "linux" ? 138 : 158],
  ["SIGUSR2", Deno.build.os === "linux" ? 140 : 159],
  ["SIGALRM", 142],
  ["SIGTERM", 143],
  ["SIGWINCH", 128],
];
for (const [signal, code] of forcedCodes) {
  Deno.test(`main() exits with ${code} if ${signal} is the second signal`, async () => {
    const { addSignalListener, removeSignalListener } = Deno;
    const { error } = console;
    const listeners = new Map<Deno.Signal, () => void>();
    Object.assign(Deno, {
      addSignalListener: listeners.set.bind(listeners),
      removeSignalListener: listeners.delete.bind(listeners),
    });
    console.error = () => {};
    const codes: number[] = [];
    const ended = main(() => new Promise(() => {}), {
      signals: ["SIGCONT", signal],
      exit: (code) => codes.push(code),
    });
    listeners.get("SIGCONT")!();
    listeners.get(signal)!();
    await ended;
    console.error = error;
    Object.assign(Deno, { addSignalListener, removeSignalListener });
    assertEquals([codes, listeners.size], [[code], 0]);
  });
}

// Listeners and handlers of the program's own.

test("main() drains when a signal listener of the program throws before its own is called", async () => {
  const child = await running("has a signal listener that throws");
  child.kill("SIGTERM");
  const { code, stdout, stderr } = await child.end();
  assertEquals([code, stdout], [1, "drained\n"]);
  assertStringIncludes(stderr, "Error: out of paper");
});

Deno.test("main() leaves errors to process.on(uncaughtException) and rejections to process.on(unhandledRejection)", async () => {
  const child = new ChildProcess("main.ts", "has handlers of node:process");
  const { code, stdout, stderr } = await child.end();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, "rejection: one\nerror: two\n");
});

Deno.test("main() calls the listeners of process.on(exit)", async () => {
  const child = new ChildProcess(
    "main.ts",
    "has an exit listener of node:process",
  );
  const { code, stdout, stderr } = await child.end();
  assertEquals([code, stdout, stderr], [3, "exit 3\n", ""]);
});

Deno.test("main() drains and exits with 1 if a shim has replaced globalThis.process", async () => {
  const child = new ChildProcess("main.ts", "has a process of a shim");
  const { code, stderr } = await child.end();
  assertEquals([code, stderr.match(/^\S.*$/gm)], [1, ["Error: out of paper"]]);
});

Deno.test("main() fails with what a worker does not catch", async () => {
  const child = new ChildProcess("main.ts", "has a worker that throws");
  const { code, stdout, stderr } = await child.end();
  assertEquals([code, stdout], [1, "drained\n"]);
  assertMatch(stderr, /^Error: Uncaught .*out of paper/m);
});

// Closed pipes.

/** Runs a program of testdata/main.ts by a shell, for its redirections. */
async function shell(line: string, program: string): Promise<Ended> {
  const script = new URL("./testdata/main.ts", import.meta.url).pathname;
  const args = ["-c", line, Deno.execPath(), script, program];
  return await new CommandProcess("sh", args).end();
}

const redirections: [name: string, line: string][] = [
  ["stdout is closed", '"$0" run -A --quiet "$1" "$2" >&-'],
  ["stderr is closed", '"$0" run -A --quiet "$1" "$2" 2>&-'],
  [
    "stderr is a pipe that nobody reads",
    'exec 3>&1; { "$0" run -A --quiet "$1" "$2" 2>&1 >&3; echo "$?" >&3; } | true',
  ],
];
for (const [name, line] of redirections) {
  test(`main() exits as ever if ${name}`, async () => {
    const { code, stdout } = await shell(line, "prints and throws");
    assertEquals(stdout.match(/\d+/)?.[0] ?? String(code), "1");
  });
}

// Arguments.

Deno.test("main() throws if another main is running, and not once that has exited", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = main(() => promise, { exit: () => {} });
  assertThrows(
    () => main(() => {}, { exit: () => {} }),
    Error,
    "main: another main is running in this process",
  );
  resolve();
  await first;
  const codes: number[] = [];
  await main(() => 3, { exit: (code) => codes.push(code) });
  assertEquals(codes, [3]);
});

Deno.test("main() can be called again after exit has thrown", async () => {
  const failure = new Error("no exit");
  const exit = () => {
    throw failure;
  };
  for (const _ of [1, 2]) {
    const error = await assertRejects(() => main(() => {}, { exit }));
    assertStrictEquals(error, failure);
  }
});

const wrong: [name: string, f: unknown, options: object, message: string][] = [
  ["no function", undefined, {}, "expected a function, got undefined"],
  ["null", null, {}, "expected a function, got null"],
  [
    "signals that are no array",
    () => {},
    { signals: "SIGTERM" },
    "expected signals to be an array such as ['SIGTERM'], got \"SIGTERM\"",
  ],
  [
    "an exit that is no function",
    () => {},
    { exit: 0 },
    "expected exit to be a function, got 0",
  ],
];
for (const [name, f, options, message] of wrong) {
  Deno.test(`main() with ${name} throws a TypeError`, () => {
    assertThrows(
      () => main(f as () => void, options as MainOptions),
      TypeError,
      `main: ${message}`,
    );
  });
}

for (const grace of [-1, NaN, "5"]) {
  Deno.test(`main() with a grace period of ${Deno.inspect(grace)} throws a RangeError`, () => {
    assertThrows(
      () => main(() => {}, { grace } as MainOptions),
      RangeError,
      `main: expected grace to be a number of ms >= 0, got ${
        Deno.inspect(grace)
      }`,
    );
  });
}

Deno.test("main() takes a grace period of 0", async () => {
  const codes: number[] = [];
  await main(() => 3, { grace: 0, exit: (code) => codes.push(code) });
  assertEquals(codes, [3]);
});

test("main() of a signal that cannot be listened to throws a TypeError that names it, and can be called again", async () => {
  assertThrows(
    () => main(() => {}, { signals: ["SIGUSR1", "SIGKILL"] }),
    TypeError,
    "main: cannot listen to SIGKILL",
  );
  await main(() => {}, { exit: () => {} });
});

test("main() that inspects leaves nothing behind if it cannot listen to a signal", () => {
  // The sanitizer finds a listener for SIGUSR1.
  assertThrows(
    () => main(() => {}, { signals: ["SIGKILL"], inspect: true }),
    TypeError,
    "main: cannot listen to SIGKILL",
  );
  assertEquals(observer, undefined);
});
