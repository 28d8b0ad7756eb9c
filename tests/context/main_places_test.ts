// main in the surroundings that programs run in: under other programs, at a
// terminal, as the first process of a namespace, beside libraries that listen for
// signals. By real signals to real processes.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CommandProcess, type Ended } from "./child_process.ts";
import { DocsTable } from "./docs_table.ts";
import { Terminal } from "./terminal.ts";

const table = new DocsTable("process.md", "surroundings");

const program = new URL("./testdata/main_places.ts", import.meta.url).pathname;
const deno = Deno.execPath();

function argsOf(name: string): string[] {
  return ["run", "-A", "--quiet", program, name];
}

/** Line for a shell that runs a program of testdata/main_places.ts. */
function lineOf(name: string): string {
  return [deno, ...argsOf(name)].map((word) => `'${word}'`).join(" ");
}

/** Waits until the program is ready. Returns its process id. */
async function ready(command: CommandProcess): Promise<number> {
  const [, pid] = (await command.line()).match(/^ready (\d+)$/) ?? [];
  return Number(pid);
}

/** Process ids of the children of a process, on Linux. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  return text.trim().split(" ").map(Number);
}

/** Sends a signal to every process of a group. */
async function killGroup(signal: Deno.Signal, pgid: number): Promise<void> {
  const args = [`-${signal.slice(3)}`, "--", `-${pgid}`];
  await new Deno.Command("kill", { args }).output();
}

/** Folder with a deno.json that has `line` as the task "start". */
async function folderWithTask(line: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  const config = { tasks: { start: line } };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  return folder;
}

function drained({ stdout }: Ended): string {
  return stdout.includes("drained\n") ? "yes" : "no";
}

/** Returns whether `command` with `args` succeeds here. */
async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdin: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

interface Place {
  /** Surroundings and signal, for the docs. */
  what: string;
  /** A command that succeeds where the test can run. */
  needs: [command: string, ...args: string[]];
  /** Returns whether the program drained, and the exit code of the command. */
  run(): Promise<[drained: string, code: number]>;
}

const npx = ["--yes", "--prefer-offline", `deno@${Deno.version.deno}`];

const places: Place[] = [
  {
    what: "`deno run`, SIGTERM",
    needs: ["true"],
    async run() {
      const command = new CommandProcess(deno, argsOf("drains"));
      await ready(command);
      command.kill("SIGTERM");
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  },
  {
    what: "`deno task`, SIGTERM",
    needs: ["true"],
    async run() {
      const cwd = await folderWithTask(lineOf("drains"));
      const command = new CommandProcess(deno, ["task", "start"], { cwd });
      await ready(command);
      command.kill("SIGTERM");
      const ended = await command.end();
      await Deno.remove(cwd, { recursive: true });
      return [drained(ended), ended.code];
    },
  },
  {
    what: "`deno run` at a terminal, Ctrl-C",
    needs: ["script", "--version"],
    async run() {
      const terminal = new Terminal(`exec ${lineOf("drains")}`);
      await terminal.shows("ready");
      await terminal.type("\x03");
      const { code, text } = await terminal.end();
      return [text.includes("drained") ? "yes" : "no", code];
    },
  },
  {
    what: "`deno task` at a terminal, Ctrl-C",
    needs: ["script", "--version"],
    async run() {
      const cwd = await folderWithTask(lineOf("drains"));
      const terminal = new Terminal(`exec '${deno}' task start`, cwd);
      await terminal.shows("ready");
      await terminal.type("\x03");
      const { code, text } = await terminal.end();
      await Deno.remove(cwd, { recursive: true });
      return [text.includes("drained") ? "yes" : "no", code];
    },
  },
  {
    what: "`deno run … && deploy` at a terminal, Ctrl-C cuts `f` short",
    needs: ["script", "--version"],
    async run() {
      const terminal = new Terminal(
        `${lineOf("is cut short")} && echo DEPLOYED`,
      );
      await terminal.shows("ready");
      await terminal.type("\x03");
      const { code, text } = await terminal.end();
      assert(!text.includes("DEPLOYED"), text);
      return ["no", code];
    },
  },
  {
    what: "`deno run … && deploy`, SIGINT to Deno alone cuts `f` short",
    needs: ["sh", "-c", "true"],
    async run() {
      const line = `${lineOf("is cut short")} && echo DEPLOYED`;
      const command = new CommandProcess("sh", ["-c", line]);
      Deno.kill(await ready(command), "SIGINT");
      const ended = await command.end();
      assertEquals(ended.stdout, "");
      return [drained(ended), ended.code];
    },
  },
  {
    what: "process 1 of a PID namespace, as in a container, SIGTERM",
    needs: ["unshare", "--pid", "--fork", "true"],
    async run() {
      const args = ["--pid", "--fork", deno, ...argsOf("drains")];
      const command = new CommandProcess("unshare", args);
      assertEquals(await ready(command), 1);
      const [first] = await childrenOf(command.pid);
      Deno.kill(first!, "SIGTERM");
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  },
  {
    what: "process 1 of a PID namespace, SIGTERM, and later SIGTERM again",
    needs: ["unshare", "--pid", "--fork", "true"],
    async run() {
      const args = ["--pid", "--fork", deno, ...argsOf("never ends")];
      const command = new CommandProcess("unshare", args);
      assertEquals(await ready(command), 1);
      const [first] = await childrenOf(command.pid);
      Deno.kill(first!, "SIGTERM");
      while (await command.line() !== "drained");
      Deno.kill(first!, "SIGTERM");
      const ended = await command.end();
      assertStringIncludes(ended.stderr, "main: SIGTERM received again");
      return ["no", ended.code];
    },
  },
  ...["signal-exit", "execa"].map((library): Place => ({
    what: `npm:${library} loaded, SIGTERM`,
    needs: ["true"],
    async run() {
      const command = new CommandProcess(deno, argsOf(library));
      await ready(command);
      command.kill("SIGTERM");
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  })),
  {
    what: "`timeout(1)`, the time is over",
    needs: ["timeout", "10", "true"],
    async run() {
      const args = ["1000", deno, ...argsOf("drains")];
      const command = new CommandProcess("timeout", args);
      await ready(command);
      // The timer of timeout(1) sends it the same signal.
      command.kill("SIGALRM");
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  },
  {
    what: "`timeout(1) --preserve-status`, the time is over",
    needs: ["timeout", "--preserve-status", "10", "true"],
    async run() {
      const args = ["--preserve-status", "1000", deno, ...argsOf("drains")];
      const command = new CommandProcess("timeout", args);
      await ready(command);
      command.kill("SIGALRM");
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  },
  {
    what: "`npx deno run` at a terminal, Ctrl-C",
    needs: ["npx", ...npx, "--version"],
    async run() {
      const words = ["npx", ...npx, ...argsOf("drains")];
      const terminal = new Terminal(`exec ${words.join(" ")}`);
      await terminal.shows("ready");
      await terminal.type("\x03");
      const { code, text } = await terminal.end();
      return [text.includes("drained") ? "yes" : "no", code];
    },
  },
  {
    what: "`npx deno run`, SIGTERM to the process group",
    needs: ["npx", ...npx, "--version"],
    async run() {
      const args = ["npx", ...npx, ...argsOf("drains")];
      const command = new CommandProcess("setsid", args);
      await ready(command);
      await killGroup("SIGTERM", command.pid);
      const ended = await command.end();
      return [drained(ended), ended.code];
    },
  },
  {
    what: "`npx deno run`, SIGTERM to npx alone",
    needs: ["npx", ...npx, "--version"],
    async run() {
      const command = new CommandProcess("npx", [...npx, ...argsOf("drains")]);
      const pid = await ready(command);
      command.kill("SIGTERM");
      const code = await command.exited;
      // The program did not get the signal, and runs on.
      Deno.kill(pid, "SIGKILL");
      return [drained(await command.end()), code];
    },
  },
];

for (const { what, needs: [command, ...args], run } of places) {
  Deno.test({
    name: `main() in these surroundings: ${what.replaceAll("`", "")}`,
    ignore: Deno.build.os !== "linux" || !await works(command, ...args),
    async fn() {
      const [drained, code] = await run();
      await table.check(what, drained, String(code));
    },
  });
}

Deno.test("the docs of main() list the surroundings that are measured", async () => {
  await table.finish(places.map(({ what }) => what));
});

Deno.test({
  name: "the systemd unit in the docs of main() is accepted by systemd",
  ignore: !await works("systemd-analyze", "--version"),
  async fn() {
    const docs = new URL("../../docs/process.md", import.meta.url);
    const [, unit] = (await Deno.readTextFile(docs))
      .match(/```ini\n(.*?)```/s) ?? [];
    const file = await Deno.makeTempFile({ suffix: ".service" });
    await Deno.writeTextFile(file, unit!.replace("/usr/bin/deno", deno));
    const { success, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", file],
    }).output();
    await Deno.remove(file);
    assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  },
});

Deno.test({
  name: "main() at a terminal exits at once at a second Ctrl-C",
  ignore: Deno.build.os !== "linux" || !await works("script", "--version"),
  async fn() {
    const terminal = new Terminal(`exec ${lineOf("never ends")}`);
    await terminal.shows("ready");
    await terminal.type("\x03");
    await terminal.shows("drained");
    await terminal.type("\x03");
    const { code, text } = await terminal.end();
    assertStringIncludes(text, "main: SIGINT received again, exit 130");
    assertEquals(code, 130);
  },
});
