/** Processes that tests start, signal and read. */

/** End of a process, and the output that no test had read by then. */
export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

/**
 * Registers a test that sends a process a signal. It is left out on Windows, which
 * has no signals that a process could send and that Deno could notice; see
 * denoland/deno#9995.
 */
export const test: typeof Deno.test.ignore = Deno.build.os === "windows"
  ? Deno.test.ignore
  : Deno.test;

/** Time in ms after which a test has waited too long; none takes nearly as long. */
const tooLong = 120_000;

/** A running command. */
export class CommandProcess {
  readonly #process: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  readonly #guard: ReturnType<typeof setTimeout>;
  #unread = "";
  #stuck = false;

  constructor(
    command: string,
    args: string[],
    { cwd, env }: { cwd?: string; env?: Record<string, string> } = {},
  ) {
    this.#process = new Deno.Command(command, {
      args,
      ...(cwd !== undefined && { cwd }),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#process.stdout
      .pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = new Response(this.#process.stderr).text();
    this.#guard = setTimeout(() => {
      this.#stuck = true;
      this.#process.kill("SIGKILL");
    }, tooLong);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Resolves with the exit code, also while a child holds on to the output. */
  get exited(): Promise<number> {
    return this.#process.status.then(({ code }) => code);
  }

  /** Waits for the next line of output. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#unread.indexOf("\n");
      if (end >= 0) {
        const line = this.#unread.slice(0, end);
        this.#unread = this.#unread.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#stdout.read();
      if (done) {
        const { code, stderr } = await this.end();
        throw new Error(`the process has ended with ${code}: ${stderr}`);
      }
      this.#unread += value;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits until the process has ended by itself. */
  async end(): Promise<Ended> {
    for (;;) {
      const { done, value } = await this.#stdout.read();
      if (done) break;
      this.#unread += value;
    }
    const { code, signal } = await this.#process.status;
    clearTimeout(this.#guard);
    const stderr = await this.#stderr;
    if (this.#stuck) throw new Error(`the process did not end: ${stderr}`);
    return { code, signal, stdout: this.#unread, stderr };
  }
}

/** A running program of testdata/. */
export class ChildProcess extends CommandProcess {
  /** Runs `program`, one of those in the file `script`. */
  constructor(script: string, program: string, ...flags: string[]) {
    const { href } = new URL(`./testdata/${script}`, import.meta.url);
    super(Deno.execPath(), ["run", "-A", "--quiet", ...flags, href, program]);
  }
}
