/** A terminal for tests, made by `script` of util-linux. */

/** A command at a terminal, and the keys typed there. */
export class Terminal {
  readonly #process: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #screen: ReadableStreamDefaultReader<string>;
  #text = "";

  /** Runs `command`, a line for the shell. */
  constructor(command: string, cwd: string = Deno.cwd()) {
    this.#process = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      cwd,
      env: { NO_COLOR: "1" },
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

  /** Waits until the screen has shown `text`. */
  async shows(text: string): Promise<void> {
    while (!this.#text.includes(text)) {
      if (!await this.#more()) throw new Error(`it shows: ${this.#text}`);
    }
  }

  /** Waits until the command has ended. Returns its exit code and all it showed. */
  async end(): Promise<{ code: number; text: string }> {
    while (await this.#more());
    const { code } = await this.#process.status;
    await this.#keys.close().catch(() => {});
    return { code, text: this.#text };
  }

  async #more(): Promise<boolean> {
    const { done, value = "" } = await this.#screen.read();
    this.#text += value;
    return !done;
  }
}
