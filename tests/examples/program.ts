/** Programs of examples/, run as processes of their own. */

/** How a process ended, and all that it had printed. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Against tests that would wait for ever, in ms; far above what any of them takes. */
const TOO_LONG = 100_000;

/** A program that runs; `await using` kills it if it still does. */
export class Program implements AsyncDisposable {
  /** Resolves when it has ended and nobody holds its output any more. */
  readonly ended: Promise<Ended>;
  readonly #process: Deno.ChildProcess;
  #stdout = "";
  /** How much of it has been looked for a pattern in vain, or was matched. */
  #read = 0;
  #over = false;
  #news = Promise.withResolvers<void>();

  /** @param args The arguments of `deno`, from the top of the repository. */
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

  /** Waits until it prints what matches, after what has been matched before. */
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
