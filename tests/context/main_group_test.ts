// What main says of groups, by real signals to real processes.

import { assertEquals } from "@std/assert";
import { ChildProcess, test } from "./child_process.ts";

const over =
  "main: the grace period of 20 ms is over, exit 1; still running: serve()";

// Each program of testdata/main_group.ts with what it has on stderr.
const reports: [program: string, stderr: string][] = [
  ["tasks with names", `${over}, group with fetchAll, flush\n`],
  [
    "one task twice, and one that waits for its turn",
    `${over}, group with fetchAll, fetchAll\n`,
  ],
  ["a task without a name", `${over}, group with a task\n`],
  ["two groups", `${over}, group with fetchAll, group with flush\n`],
  ["tasks that have ended", `${over}\n`],
];
for (const [program, stderr] of reports) {
  test(`main() whose grace period is over says which tasks still run: ${program}`, async () => {
    const child = new ChildProcess("main_group.ts", program);
    assertEquals(await child.line(), "ready");
    child.kill("SIGTERM");
    const ended = await child.end();
    assertEquals([ended.code, ended.signal], [1, null]);
    assertEquals(ended.stderr, stderr);
  });
}

test("main() exits with 0 and says nothing when the tasks end in time", async () => {
  const child = new ChildProcess("main_group.ts", "tasks that end in time");
  assertEquals(await child.line(), "ready");
  child.kill("SIGTERM");
  const { code, signal, stderr } = await child.end();
  assertEquals([code, signal, stderr], [0, null, ""]);
});
