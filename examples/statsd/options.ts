/**
 * The command line of the service.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";

/** What the service prints for `--help`. */
export const USAGE = `StatsD in over UDP, Prometheus out over HTTP.

Usage: deno task start [options]

  --udp  [HOST:]PORT   where StatsD comes in     (127.0.0.1:8125)
  --http [HOST:]PORT   where /metrics is served  (127.0.0.1:9102)
  --lifecycle          let POST /-/quit end the service
  --help               show this

A port of 0 takes a free one; the log says which.`;

/** Where to listen. */
export interface Endpoint {
  /** Name or address of a network interface. */
  hostname: string;
  /** Port; 0 for a free one. */
  port: number;
}

/** What the command line says. */
export interface Options {
  /** Where StatsD comes in. */
  udp: Endpoint;
  /** Where HTTP is served. */
  http: Endpoint;
  /** Whether POST /-/quit ends the service. */
  lifecycle: boolean;
  /** Whether the usage is asked for, and nothing else. */
  help: boolean;
}

/**
 * Reads the command line.
 *
 * @throws {RangeError} If it says something that is not understood; the message
 * is for the user.
 */
export function readOptions(args: string[]): Options {
  // What parseArgs would take for something else: it reads --lifecycle=no as yes.
  const odd = args.find((arg) => /^--(lifecycle|help)=|^(--)?$/.test(arg));
  if (odd !== undefined) throw unknown(odd);
  const flags = parseArgs(args, {
    string: ["udp", "http"],
    boolean: ["lifecycle", "help"],
    default: { udp: "8125", http: "9102" },
    unknown: (arg) => {
      throw unknown(arg);
    },
  });
  return {
    udp: readEndpoint("--udp", flags.udp),
    http: readEndpoint("--http", flags.http),
    lifecycle: flags.lifecycle,
    help: flags.help,
  };
}

function unknown(arg: string): RangeError {
  return new RangeError(
    `unknown argument "${arg}"; --help shows what there is`,
  );
}

function readEndpoint(flag: string, text: string): Endpoint {
  const colon = text.lastIndexOf(":");
  const hostname = colon === -1
    ? "127.0.0.1"
    : text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  if (/^\d+$/.test(digits) && port <= 65_535 && hostname !== "") {
    return { hostname, port };
  }
  throw new RangeError(
    `${flag} must be a port or HOST:PORT, with a port up to 65535; got "${text}"`,
  );
}
