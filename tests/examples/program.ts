/** Programs of examples/ that run as processes. */

/** Exit code and output of a process. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Time in ms after which a process is killed, so that no test waits forever. */
const TOO_LONG = 100_000;

/** Running program; `await using` kills it if it still runs. */
export class Program implements AsyncDisposable {
  /** Resolves when the process has ended and its output is closed. */
  readonly ended: Promise<Ended>;
  readonly #process: Deno.ChildProcess;
  #stdout = "";
  /** Length of the output that earlier patterns have matched. */
  #read = 0;
  #over = false;
  #news = Promise.withResolvers<void>();

  /** @param args Arguments of `deno`, run in the root of the repository. */
  constructor(args: string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args,
      cwd: new URL("../..", import.meta.url),
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.ended = this.#run();
  }

  /** Waits until the output matches `pattern`, after the previous match. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const news = this.#news.promise;
      const match = pattern.exec(this.#stdout.slice(this.#read));
      if (match !== null) {
        this.#read += match.index + match[0].length;
        return match;
      }
      if (this.#over) {
        const { code, stderr } = await this.ended;
        throw new Error(`it has ended with ${code}: ${stderr}`);
      }
      await news;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.kill("SIGKILL");
    await this.ended;
  }

  async #run(): Promise<Ended> {
    const guard = setTimeout(() => this.kill("SIGKILL"), TOO_LONG);
    const status = this.#process.status.finally(() => this.#over = true);
    const errors = new Response(this.#process.stderr).text();
    const output = this.#process.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of output) {
      this.#stdout += text;
      this.#tell();
    }
    const { code } = await status;
    clearTimeout(guard);
    this.#tell();
    return { code, stdout: this.#stdout, stderr: await errors };
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
