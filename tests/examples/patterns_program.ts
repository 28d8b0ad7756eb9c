/** The programs of examples/patterns, each run as its comment says. */

/** How a program ended, and all that it had printed. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** What the comment of a program promises. */
export interface Documented {
  /** The arguments of `deno` in the first command line. */
  command: string[];
  /** What it prints. */
  output: string;
}

/** Against a test that would wait for ever, in ms. */
const TOO_LONG = 100_000;

const root = new URL("../../", import.meta.url);

/** Reads the comment of a program of examples/patterns. */
export async function documented(name: string): Promise<Documented> {
  const file = new URL(`examples/patterns/${name}`, root);
  const [comment = ""] = (await Deno.readTextFile(file)).split(" */");
  const text = comment.replaceAll(/^ \* ?/gm, "");
  const command = /^ {4}deno (run .*)$/m.exec(text)?.[1];
  const output = /^```text\n(.*?)^```$/ms.exec(text)?.[1];
  if (command === undefined || output === undefined) {
    throw new Error(`${name} does not say how it is run and what it prints`);
  }
  return { command: command.split(" "), output };
}

/** A program that runs; `await using` kills it if it still does. */
export class Program implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  readonly #guard: ReturnType<typeof setTimeout>;
  #printed = "";
  #read = 0;
  #over = false;

  private constructor(args: string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args,
      cwd: root,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process.status.then(() => this.#over = true);
    this.#guard = setTimeout(() => this.kill("SIGKILL"), TOO_LONG);
    this.#stderr = new Response(this.#process.stderr).text();
    this.#stdout = this.#process.stdout
      .pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts one with the permissions its comment gives it, and no more. */
  static async start(name: string, ...args: string[]): Promise<Program> {
    const { command } = await documented(name);
    return new Program([...command, ...args]);
  }

  /** Starts one on a clock that jumps from timer to timer; it may do anything. */
  static startOnFakeClock(name: string): Program {
    const files = [
      "./tests/examples/testdata/patterns_clock.ts",
      `./examples/patterns/${name}`,
    ];
    const imports = files.map((file) => `import "${file}";`);
    return new Program(["eval", imports.join("\n")]);
  }

  /** Waits for the next line that matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const end = this.#printed.indexOf("\n", this.#read);
      if (end === -1) {
        if (await this.#readMore()) continue;
        throw new Error(`no line like ${pattern}: ${await this.#stderr}`);
      }
      const match = pattern.exec(this.#printed.slice(this.#read, end));
      this.#read = end + 1;
      if (match !== null) return match;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits until it has ended by itself. */
  async end(): Promise<Ended> {
    while (await this.#readMore());
    const { code } = await this.#process.status;
    return { code, stdout: this.#printed, stderr: await this.#stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.kill("SIGKILL");
    await this.end();
    clearTimeout(this.#guard);
  }

  async #readMore(): Promise<boolean> {
    const { done, value = "" } = await this.#stdout.read();
    this.#printed += value;
    return !done;
  }
}
