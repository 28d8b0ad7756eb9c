/** The service of examples/statsd as a process. */

import { delay } from "@std/async";
import { type Ended, Program } from "./program.ts";

/** Counters of a socket in the last line of the log. */
export interface Socket {
  received: number;
  bytes: number;
  failed: number;
  dropped: number;
  /** Undefined if unknown. */
  kernelDropped: number | undefined;
}

/** Last line of the log. */
export interface Stopped {
  why: string;
  lines: number;
  samples: number;
  errors: number;
  series: number;
  udp: Socket;
  /** All 0 if there was no such socket, here and below. */
  tcp: Socket;
  unixgram: Socket;
}

/** Time in ms to wait for a counter, so that no test waits forever. */
const STUCK = 30_000;

const LISTENING = /listening on (.+) and (http:\S+)\/metrics\n/;

const STOPPED = new RegExp(
  "stopped \\((?<why>.*)\\): " +
    "(?<lines>\\d+) lines, (?<samples>\\d+) samples, " +
    "(?<errors>\\d+) errors, (?<series>\\d+) series(?<sockets>;.*)$",
);

const SOCKET = new RegExp(
  "(\\w+) received (\\d+) \\((\\d+) bytes\\), failed (\\d+), " +
    "dropped (\\d+)(?:, by the kernel (\\d+))?",
  "g",
);

/** Runs the service with arguments that make it exit by itself. */
export async function runStatsd(...args: string[]): Promise<Ended> {
  await using statsd = startStatsd(args);
  return await statsd.ended;
}

/** Without the first flag Deno prints a warning when a page stays open. */
const PERMISSIONS = [
  "--unstable-no-legacy-abort",
  "--allow-net",
  "--allow-read",
  "--allow-write",
];

function startStatsd(args: string[], permissions = PERMISSIONS): Program {
  return new Program(
    ["run", ...permissions, "examples/statsd/main.ts", ...args],
  );
}

/** Running service; `await using` kills it if it still runs. */
export class StatsdService implements AsyncDisposable {
  /** Address of its UDP socket. */
  readonly udp: Deno.NetAddr;
  /** Address of its TCP socket, if there is one. */
  readonly tcp: Deno.ConnectOptions & { readonly hostname: string };
  /** URL of its HTTP server, without a slash at the end. */
  readonly http: string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<Ended>;
  readonly #statsd: Program;

  private constructor(statsd: Program, [, ways = "", http]: RegExpExecArray) {
    const address = (transport: string) => {
      const [, hostname = "", port = ""] =
        ways.match(`${transport} ([^ ,]+):(\\d+)`) ?? [];
      return { hostname, port: Number(port) };
    };
    this.udp = { transport: "udp", ...address("udp") };
    this.tcp = address("tcp");
    this.http = http ?? "";
    this.ended = statsd.ended;
    this.#statsd = statsd;
  }

  /** Starts the service on free ports and waits until it listens. */
  static start(...flags: string[]): Promise<StatsdService> {
    return StatsdService.startWith(PERMISSIONS, ...flags);
  }

  /** Starts the service with other permissions. */
  static async startWith(
    permissions: string[],
    ...flags: string[]
  ): Promise<StatsdService> {
    const given = (flag: string) => flags.includes(flag) ? [] : [flag, "0"];
    const args = [...given("--udp"), ...given("--http"), ...flags];
    const statsd = startStatsd(args, permissions);
    return new StatsdService(statsd, await statsd.prints(LISTENING));
  }

  /** Port of its HTTP server. */
  get httpPort(): number {
    return Number(new URL(this.http).port);
  }

  /** Hostname of its HTTP server. */
  get httpHost(): string {
    return new URL(this.http).hostname.replace(/^\[(.*)\]$/, "$1");
  }

  /** Requests a path and returns status and text. */
  async request(
    path: string,
    method = "GET",
  ): Promise<[status: number, text: string]> {
    const response = await fetch(this.http + path, { method });
    return [response.status, await response.text()];
  }

  /** Scrapes /metrics: values by name with labels, as on their lines. */
  async scrape(): Promise<Map<string, number>> {
    const [status, text] = await this.request("/metrics");
    if (status !== 200) throw new Error(`/metrics: ${status} ${text}`);
    const samples = new Map<string, number>();
    for (const line of text.split("\n")) {
      if (line === "" || line.startsWith("#")) continue;
      const space = line.lastIndexOf(" ");
      const name = line.slice(0, space);
      if (samples.has(name)) throw new Error(`/metrics shows ${name} twice`);
      const value = line.slice(space + 1);
      samples.set(name, value === "+Inf" ? Infinity : Number(value));
    }
    return samples;
  }

  /** Returns one value of /metrics; undefined if it is missing. */
  async sample(name: string): Promise<number | undefined> {
    return (await this.scrape()).get(name);
  }

  /** Waits until a value of /metrics is at least `least`. */
  async reaches(name: string, least: number): Promise<void> {
    await this.#until(name, (value) => value >= least);
  }

  /** Waits until a value of /metrics is at most `most`. */
  async falls(name: string, most: number): Promise<void> {
    await this.#until(name, (value) => value <= most);
  }

  async #until(name: string, good: (value: number) => boolean): Promise<void> {
    const start = performance.now();
    for (;;) {
      const value = await this.sample(name);
      if (value !== undefined && good(value)) return;
      if (performance.now() - start > STUCK) {
        throw new Error(`${name} stays at ${value}: ${good}`);
      }
      await delay(2);
    }
  }

  kill(signal: Deno.Signal): void {
    this.#statsd.kill(signal);
  }

  /** Waits for the end of the service, which must exit with 0 and print nothing on
   * stderr, and parses the last line of its log. */
  async stopped(): Promise<Stopped> {
    const { code, stdout, stderr } = await this.ended;
    const last = stdout.trimEnd().split("\n").at(-1) ?? "";
    const groups = STOPPED.exec(last)?.groups;
    if (code !== 0 || stderr !== "" || groups === undefined) {
      throw new Error(`it has ended with ${code}: ${stdout}${stderr}`);
    }
    const count = (name: string) => Number(groups[name]);
    const none = {
      ...{ received: 0, bytes: 0, failed: 0, dropped: 0 },
      kernelDropped: undefined,
    };
    const sockets = (groups["sockets"] ?? "").matchAll(SOCKET).map(
      ([, name, received, bytes, failed, dropped, byKernel]) =>
        [name, {
          received: Number(received),
          bytes: Number(bytes),
          failed: Number(failed),
          dropped: Number(dropped),
          kernelDropped: byKernel === undefined ? undefined : Number(byKernel),
        }] as const,
    );
    return {
      why: groups["why"] ?? "",
      lines: count("lines"),
      samples: count("samples"),
      errors: count("errors"),
      series: count("series"),
      ...{ udp: none, tcp: none, unixgram: none },
      ...Object.fromEntries(sockets),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#statsd[Symbol.asyncDispose]();
  }
}
