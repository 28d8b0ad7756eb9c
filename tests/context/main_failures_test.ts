// What main takes for a failure and what it does not, by real processes.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ChildProcess, test } from "./child_process.ts";

for (
  const program of [
    "a timer",
    "an interval",
    "a microtask",
    "a promise",
    "an async function",
    "reportError()",
    "an event listener",
    "an abort listener",
    "an afterFunc",
    "a MessagePort",
    "what a handler leaves behind",
    "a group",
    "a group that fails later",
    "a group under withoutCancel()",
    "a group with a task that goes on",
  ]
) {
  Deno.test(`main() drains and exits with 1 if nothing handles an error of ${program}`, async () => {
    const child = new ChildProcess("main_failures.ts", program);
    const { code, signal, stdout, stderr } = await child.end();
    assertEquals([code, signal, stdout], [1, null, "ready\ndrained\n"]);
    assertEquals(stderr.match(/^\S.*$/gm), ["Error: disk full"]);
  });
}

const failures: [program: string, ...errors: string[]][] = [
  ["another cancellation", "AbortError: context canceled", "connection lost"],
  ["another cancellation without a cause", "AbortError: context canceled"],
  ["the timeout of a flush", "TimeoutError: context deadline exceeded"],
  ["an aborted signal", "AbortError: context canceled"],
  ["an AbortError with a cause", "AbortError", "connection lost"],
  ["a wrapped cancellation of another", "cannot flush", "connection lost"],
  ["a cancellation on top of a failure", "SuppressedError", "disk full"],
  ["a failure on top of a cancellation", "SuppressedError", "disk full"],
  ["several errors, one a failure", "AggregateError", "disk full"],
];
for (const [program, ...errors] of failures) {
  test(`main() exits with 1 after SIGTERM if the function fails with ${program}`, async () => {
    const child = new ChildProcess("main_failures.ts", program);
    assertEquals(await child.line(), "ready");
    child.kill("SIGTERM");
    const { code, signal, stderr } = await child.end();
    assertEquals([code, signal], [1, null]);
    for (const error of errors) assertStringIncludes(stderr, error);
  });
}

for (
  const program of [
    "sleep()",
    "a child",
    "a child of another signal",
    "node:timers",
    "wrapped errors",
    "await using",
    "using, three times",
    "Promise.any()",
    "the tasks of a group",
    "promises that nothing handles",
  ]
) {
  test(`main() exits with 0 after SIGTERM if the program passes on its end by ${program}`, async () => {
    const child = new ChildProcess("main_failures.ts", program);
    assertEquals(await child.line(), "ready");
    child.kill("SIGTERM");
    const { code, signal, stderr } = await child.end();
    assertEquals([code, signal, stderr], [0, null, ""]);
  });
}

for (
  const program of [
    "serveHttp()",
    "serveTcp()",
    "serveUdp()",
    "udpPeers()",
    "group()",
  ]
) {
  test(`main() waits for a ${program} that nothing awaits, and exits with 0 at SIGTERM`, async () => {
    const child = new ChildProcess("main_failures.ts", program);
    assertEquals(await child.line(), "hello");
    child.kill("SIGTERM");
    const { code, signal, stderr } = await child.end();
    assertEquals([code, signal, stderr], [0, null, ""]);
  });
}
