/** The forwarder of examples/dns, run as a process of its own. */

import { type Ended, Program } from "./program.ts";

/** The last line of the log, parsed. */
export interface Stopped {
  why: string;
  udp: number;
  tcp: number;
  answered: number;
  failed: number;
  dropped: number;
}

const LISTENING =
  / INFO listening on 127\.0\.0\.1:(\d+), udp and tcp(?: and (http:\S+)\/metrics)?\n/;

const STOPPED = new RegExp(
  "stopped \\((?<why>.*)\\): " +
    "(?<udp>\\d+) queries by udp, (?<tcp>\\d+) by tcp; " +
    "answered (?<answered>\\d+), failed (?<failed>\\d+), " +
    "dropped (?<dropped>\\d+)\\n$",
);

/** Runs the forwarder with arguments that make it exit on its own. */
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

/** A running forwarder. `await using` kills it if it still runs. */
export class DnsService implements AsyncDisposable {
  /** Its address, for UDP and TCP. */
  readonly addr: Deno.NetAddr;
  /** The URL of its HTTP server, without a final slash; empty if there is none. */
  readonly http: string;
  readonly #process: Program;

  private constructor(process: Program, port: number, http: string) {
    this.#process = process;
    this.addr = { transport: "udp", hostname: "127.0.0.1", port };
    this.http = http;
  }

  /** Starts it on a free port and waits until it listens. */
  static async start(...flags: string[]): Promise<DnsService> {
    const process = startDns(["--listen", "0", ...flags]);
    const [, port, http] = await process.prints(LISTENING);
    return new DnsService(process, Number(port), http ?? "");
  }

  /** Waits until it logs a line that matches, after the line matched before. */
  prints(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#process.prints(pattern);
  }

  /** Starts one that answers from these lines. */
  static async withRecords(
    lines: string,
    ...flags: string[]
  ): Promise<DnsService> {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, lines);
      return await DnsService.start("--records", file, ...flags);
    } finally {
      await Deno.remove(file);
    }
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits until it exits with code 0 and nothing on stderr; parses its last line. */
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
