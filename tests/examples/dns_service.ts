/** The forwarder of examples/dns, run as a process of its own. */

import { type Ended, Program } from "./program.ts";

/** What the forwarder says in its last line. */
export interface Stopped {
  why: string;
  udp: number;
  tcp: number;
  answered: number;
  failed: number;
  dropped: number;
}

const LISTENING = /^listening on 127\.0\.0\.1:(\d+), udp and tcp\n/;

const STOPPED = new RegExp(
  "stopped \\((?<why>.*)\\): " +
    "(?<udp>\\d+) queries by udp, (?<tcp>\\d+) by tcp; " +
    "answered (?<answered>\\d+), failed (?<failed>\\d+), " +
    "dropped (?<dropped>\\d+)\\n$",
);

/** Runs the forwarder with arguments that have it end by itself. */
export async function runDns(...args: string[]): Promise<Ended> {
  await using dns = startDns(args);
  return await dns.ended;
}

function startDns(args: string[]): Program {
  return new Program([
    ...["run", "--no-prompt", "--allow-net", "--allow-read"],
    ...["examples/dns/main.ts", ...args],
  ]);
}

/** The running forwarder: `await using` kills it if it still runs. */
export class DnsService implements AsyncDisposable {
  /** Where it listens, over UDP and TCP. */
  readonly addr: Deno.NetAddr;
  readonly #process: Program;

  private constructor(process: Program, port: number) {
    this.#process = process;
    this.addr = { transport: "udp", hostname: "127.0.0.1", port };
  }

  /** Starts it on a free port, and waits until it listens. */
  static async start(...flags: string[]): Promise<DnsService> {
    const process = startDns(["--listen", "0", ...flags]);
    const [, port] = await process.prints(LISTENING);
    return new DnsService(process, Number(port));
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
