// Sockets and their contexts. Nothing printed here depends on the machine but the
// numbers that are taken out below: each step of a story waits for the one before.

import { assertEquals, assertMatch } from "@std/assert";
import { documented, start } from "./patterns_program.ts";
import { Program } from "./program.ts";

/** The arguments each is run with for a test. */
const programs: Record<string, string[]> = {
  "signals_and_server.ts": ["--fast"],
  "udp_read.ts": ["--fast", "--port", "0"],
  "run_and_quit.ts": ["--fast"],
  "request_chain.ts": ["--fast"],
  "graceful.ts": ["--fast"],
};

function withoutNumbers(output: string): string {
  return output
    .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    // Three seconds, the fast ones and the others.
    .replace("period of 60 ms", "period of 3000 ms")
    .replaceAll(/duration: \d+/g, "duration: SOME");
}

for (const [name, args] of Object.entries(programs)) {
  Deno.test(`${name}: prints what its comment shows`, async () => {
    const { output } = await documented(name);
    await using program = await start(name, ...args);
    const { code, stdout, stderr } = await program.ended;
    assertEquals(stderr, "");
    assertEquals(withoutNumbers(stdout), withoutNumbers(output));
    assertEquals(code, 0);
  });

  Deno.test(`${name}: does not take an argument it does not know`, async () => {
    await using program = await start(name, "--fats");
    const { code, stdout, stderr } = await program.ended;
    assertMatch(stderr, /^unknown argument "--fats"; there (is|are) .*\n$/);
    assertEquals([code, stdout], [2, ""]);
  });
}

for (const port of ["x", "65536", "-1", ""]) {
  Deno.test(`udp_read.ts: "${port}" is not a port`, async () => {
    await using program = await start("udp_read.ts", `--port=${port}`);
    const { code, stdout, stderr } = await program.ended;
    assertEquals(
      stderr,
      `--port must be a number from 0 to 65535, got "${port}"\n`,
    );
    assertEquals([code, stdout], [2, ""]);
  });
}

Deno.test("udp_read.ts: where a permission lacks, another port is not what it takes", async () => {
  await using program = new Program(
    ["run", "--no-prompt", "--unstable-net", "examples/patterns/udp_read.ts"],
  );
  const { code, stdout, stderr } = await program.ended;
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^NotCapable: .*--allow-net/);
});

/** Windows has no way to send one. */
const ignore = Deno.build.os === "windows";

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `signals_and_server.ts: ${signal} ends the server too`,
    ignore,
    async fn() {
      await using program = await start(
        "signals_and_server.ts",
        "--until-signal",
      );
      const [, url = ""] = await program.prints(/listening on (.*)/);
      const reply = await fetch(`${url}/hello`);
      assertEquals(await reply.text(), "hello");
      program.kill(signal);
      const { code, stdout, stderr } = await program.ended;
      assertEquals(stderr, "");
      assertEquals(stdout.split("\n").slice(1), [
        `signals: ended, AbortError: ${signal} received`,
        `server: ended, AbortError: ${signal} received`,
        `main: ended by: AbortError: ${signal} received`,
        "",
      ]);
      assertEquals(code, 0);
    },
  });

  Deno.test({
    name: `udp_read.ts: ${signal} ends the loop, and every datagram is handled`,
    ignore,
    async fn() {
      const args = ["--until-signal", "--fast", "--port", "0"];
      await using program = await start("udp_read.ts", ...args);
      // Further than it comes without the flag.
      await program.prints(/^read: hello 4$/m);
      program.kill(signal);
      const { code, stdout, stderr } = await program.ended;
      assertEquals(stderr, "");
      const lines = stdout.trimEnd().split("\n");
      const read = lines.filter((line) =>
        line.startsWith("read: hello")
      ).length;
      assertEquals(lines.slice(1 + read), [
        `main: received ${read}, handled ${read}`,
        `main: my own context is AbortError: ${signal} received`,
      ]);
      assertEquals(code, 0);
    },
  });
}
