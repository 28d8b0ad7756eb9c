/** Other processes of a benchmark. */

/** Options for {@linkcode Partner}. */
export interface PartnerOptions {
  /** The core it runs on, if {@linkcode pins} is true. */
  core: number;
  /** The program, if it is not this Deno. */
  command?: string;
}

/** A process that answers each line with a line. */
export class Partner implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  /** Starts `command`, a Deno with all permissions by default, with `args`. */
  constructor(options: PartnerOptions, ...args: string[]) {
    const run = options.command === undefined
      ? [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all"]
      : [options.command];
    const pinned = pins ? ["taskset", "-c", `${options.core}`] : [];
    const [program, ...rest] = [...pinned, ...run, ...args];
    this.#child = new Deno.Command(program!, {
      args: rest,
      stdin: "piped",
      stdout: "piped",
      // request.signal prints a warning.
      stderr: "null",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The next line that it writes. */
  async hear(): Promise<string> {
    while (!this.#text.includes("\n")) {
      const { value } = await this.#output.read();
      if (value === undefined) throw new Error("a process has ended");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line.trim();
  }

  /** Writes a line, and gives the one that answers it. */
  async ask(line: string): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return await this.hear();
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** The number that follows `--name=` on the command line. */
export function option(name: string, byDefault: number): number {
  const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`));
  return given === undefined ? byDefault : Number(given.split("=")[1]);
}

/** Writes a row of a Markdown table. */
export function row(...cells: string[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** True if partners run on cores of their own, which takes two and `taskset`. */
export const pins: boolean = hasTaskset();

function hasTaskset(): boolean {
  if (navigator.hardwareConcurrency < 2) return false;
  try {
    return new Deno.Command("taskset", { args: ["-c", "1", "true"] })
      .outputSync().success;
  } catch {
    return false;
  }
}
