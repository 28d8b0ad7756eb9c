/** The forwarder of examples/dns, run as a process of its own. */

/** How a process ended, and all that it had printed. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** What the forwarder says in its last line. */
export interface Stopped {
  why: string;
  udp: number;
  tcp: number;
  answered: number;
  failed: number;
  dropped: number;
}

/** Against tests that would wait for ever, in ms. */
const TOO_LONG = 100_000;

const LISTENING = /^listening on 127\.0\.0\.1:(\d+), udp and tcp\n/;

const STOPPED = new RegExp(
  "stopped \\((?<why>.*)\\): " +
    "(?<udp>\\d+) queries by udp, (?<tcp>\\d+) by tcp; " +
    "answered (?<answered>\\d+), failed (?<failed>\\d+), " +
    "dropped (?<dropped>\\d+)\\n$",
);

/** Runs the forwarder with arguments that have it end by itself. */
export async function runDns(...args: string[]): Promise<Ended> {
  await using dns = new DnsProcess(args);
  return await dns.ended;
}

/** A process that runs the forwarder, or tries to. */
class DnsProcess implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  /** Resolves with the port. */
  readonly listening: Promise<number>;
  readonly #process: Deno.ChildProcess;
  #over = false;

  constructor(args: string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--allow-net", "--allow-read"],
        ...["examples/dns/main.ts", ...args],
      ],
      cwd: new URL("../..", import.meta.url),
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process.status.then(() => this.#over = true);
    const listening = Promise.withResolvers<number>();
    this.listening = listening.promise;
    this.ended = this.#run(listening);
    // Whoever waits for only one of the two must not be told of the other.
    this.listening.catch(() => {});
    this.ended.catch(() => {});
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.kill("SIGKILL");
    await this.ended;
  }

  async #run(listening: PromiseWithResolvers<number>): Promise<Ended> {
    const guard = setTimeout(() => this.kill("SIGKILL"), TOO_LONG);
    const errors = new Response(this.#process.stderr).text();
    let stdout = "";
    for await (
      const text of this.#process.stdout.pipeThrough(new TextDecoderStream())
    ) {
      stdout += text;
      const port = LISTENING.exec(stdout)?.[1];
      if (port !== undefined) listening.resolve(Number(port));
    }
    const stderr = await errors;
    const { code } = await this.#process.status;
    clearTimeout(guard);
    listening.reject(new Error(`it has ended with ${code}: ${stderr}`));
    return { code, stdout, stderr };
  }
}

/** The running forwarder: `await using` kills it if it still runs. */
export class DnsService implements AsyncDisposable {
  /** Where it listens, over UDP and TCP. */
  readonly addr: Deno.NetAddr;
  readonly #process: DnsProcess;

  private constructor(process: DnsProcess, port: number) {
    this.#process = process;
    this.addr = { transport: "udp", hostname: "127.0.0.1", port };
  }

  /** Starts it on a free port, and waits until it listens. */
  static async start(...flags: string[]): Promise<DnsService> {
    const process = new DnsProcess(["--listen", "0", ...flags]);
    return new DnsService(process, await process.listening);
  }

  /** Starts one that answers from these lines. */
  static async withRecords(lines: string): Promise<DnsService> {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, lines);
      return await DnsService.start("--records", file);
    } finally {
      await Deno.remove(file);
    }
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits for its end, which must be a good one with nothing on stderr, and
   * reads the last line it has printed. */
  async stopped(): Promise<Stopped> {
    const { code, stdout, stderr } = await this.#process.ended;
    const groups = STOPPED.exec(stdout)?.groups;
    if (code !== 0 || stderr !== "" || groups === undefined) {
      throw new Error(`it has ended with ${code}: ${stdout}${stderr}`);
    }
    const count = (name: string) => Number(groups[name]);
    return {
      why: groups["why"] ?? "",
      udp: count("udp"),
      tcp: count("tcp"),
      answered: count("answered"),
      failed: count("failed"),
      dropped: count("dropped"),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
