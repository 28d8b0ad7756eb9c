// The option `inspect` of main, by real signals to a real process.

import { assertEquals, assertMatch } from "@std/assert";
import { ChildProcess, test } from "./child_process.ts";

test("main() with inspect prints the tree at SIGUSR1, and at a forced exit", async () => {
  const child = new ChildProcess("main.ts", "is inspected");
  assertEquals(await child.line(), "ready");
  child.kill("SIGUSR1");
  assertEquals(await child.line(), "shown");
  child.kill("SIGTERM");
  const { code, stderr } = await child.end();
  assertEquals(code, 1);
  assertMatch(
    stderr.replaceAll(/for \d+\.\d s/g, "for 0 s"),
    new RegExp([
      String.raw`^main: 4 open contexts`,
      String.raw`  notifyContext\(SIGINT SIGTERM\), for 0 s`,
      String.raw`    group with count\\u{1b}\[2J, for 0 s`,
      String.raw`      count\\u{1b}\[2J, for 0 s`,
      String.raw`    withDeadline, for 0 s, \d+\.\d s left`,
      String
        .raw`main: the grace period of 0 ms is over, exit 1; still running: .*`,
      String.raw`2 open contexts`,
      String
        .raw`  notifyContext\(SIGINT SIGTERM\), for 0 s, ended: AbortError: SIGTERM received`,
      String
        .raw`    group with count\\u{1b}\[2J, for 0 s, ended: AbortError: SIGTERM received`,
      String.raw`      count\\u{1b}\[2J, for 0 s`,
      String.raw`    withDeadline, for 0 s, \d+\.\d s left`,
      "$",
    ].join("\n")),
  );
});
