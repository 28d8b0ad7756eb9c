/** Programs of testdata/, each run as a process of its own. */

/** How a process ended, and what it had printed that nobody had read by then. */
export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

/**
 * For tests that send a process a signal. Windows has none that a process could
 * send another, and that this one would notice (#9995).
 */
export const test: typeof Deno.test.ignore = Deno.build.os === "windows"
  ? Deno.test.ignore
  : Deno.test;

/** Against a test that would wait for ever; far above what any of them takes. */
const tooLong = 120_000;

export class ChildProcess {
  readonly #process: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  readonly #guard: ReturnType<typeof setTimeout>;
  #unread = "";
  #stuck = false;

  /** Runs `program`, one of those in the file `script` of testdata/. */
  constructor(script: string, program: string, ...flags: string[]) {
    const url = new URL(`./testdata/${script}`, import.meta.url);
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", ...flags, url.href, program],
      env: { NO_COLOR: "1" },
      // At a terminal, two signals at once are one key.
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

  /** Waits for the next line of its output. */
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

  /** Waits until it has ended by itself. */
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
