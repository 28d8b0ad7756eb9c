// Ctrl-C at a terminal. `script` of util-linux gives one. It cannot be told when the
// second signal of a key comes, or whether the kernel makes one of the two.

import { assertEquals, assertStringIncludes } from "@std/assert";

const program = `'${import.meta.dirname}/testdata/ctrl_c.ts'`;
const deno = `'${Deno.execPath()}'`;

async function exists(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["--version"] }).output())
      .success;
  } catch {
    return false;
  }
}
const ignore = Deno.build.os !== "linux" || !await exists("script");

/** A command at a terminal, with somebody to type. */
class Terminal {
  readonly #process: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #screen: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(command: string, cwd = Deno.cwd()) {
    // `script` runs it by the user's shell, which must not stay: dash, interrupted
    // while it waits, ends with 130 whatever its child has ended with.
    const line = `exec ${command}`;
    this.#process = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", line, "/dev/null"],
      cwd,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#keys = this.#process.stdin.getWriter();
    this.#screen = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  async type(text: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(text));
  }

  async shows(text: string): Promise<void> {
    while (!this.#text.includes(text)) {
      if (!await this.#more()) throw new Error(`it shows: ${this.#text}`);
    }
  }

  /** Waits until the command has ended; its exit code and all that was shown. */
  async end(): Promise<[code: number, text: string]> {
    while (await this.#more());
    const { code } = await this.#process.status;
    await this.#keys.close().catch(() => {});
    return [code, this.#text];
  }

  async #more(): Promise<boolean> {
    const { done, value = "" } = await this.#screen.read();
    this.#text += value;
    return !done;
  }
}

Deno.test({
  name: "main() takes one Ctrl-C for one signal",
  ignore,
  async fn() {
    const terminal = new Terminal(`${deno} run -A ${program}`);
    await terminal.shows("ready");
    await terminal.type("\x03");
    const [code, text] = await terminal.end();
    assertStringIncludes(text, "drained");
    assertEquals(code, 0, text);
  },
});

Deno.test({
  name:
    "main() run by deno task, which passes Ctrl-C on, takes it for one signal",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    const tasks = { main: `deno run -A ${program}` };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ tasks }));
    const terminal = new Terminal(`${deno} task main`, folder);
    await terminal.shows("ready");
    await terminal.type("\x03");
    const [code, text] = await terminal.end();
    assertStringIncludes(text, "drained");
    assertEquals(code, 0, text);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "main() ends at once at a second Ctrl-C",
  ignore,
  async fn() {
    const terminal = new Terminal(`${deno} run -A ${program} 'for ever'`);
    await terminal.shows("ready");
    await terminal.type("\x03");
    await terminal.shows("stopping");
    // A person takes longer than that between two.
    await new Promise((resolve) => setTimeout(resolve, 150));
    await terminal.type("\x03");
    const [code, text] = await terminal.end();
    assertStringIncludes(text, "main: SIGINT received again, exit 130");
    assertEquals(code, 130);
  },
});
