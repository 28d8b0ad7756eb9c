/**
 * The command line of the forwarder.
 *
 * @module
 */

import { isIP } from "node:net";
import { parseArgs } from "@std/cli/parse-args";

/** What the forwarder prints for `--help`. */
export const USAGE = `A DNS forwarder, over UDP and TCP.

Usage: deno run --allow-net --allow-read examples/dns/main.ts [options]

  --listen [HOST:]PORT  where queries come in          (127.0.0.1:5353)
  --upstream HOST:PORT  pass them on to this address, or
  --records FILE        answer them from this file
  --timeout MS          how long one query may take    (4000)
  --idle MS             how long a connection may then be silent (10000)
  --help                show this

A port of 0 takes a free one, the same for both; the log says which.
A line of FILE is: name TTL TYPE value, with A, AAAA, CNAME, MX or TXT.`;

/** An address and a port. */
export interface Endpoint {
  /** A name or an address; of the upstream it is an address. */
  hostname: string;
  /** Port; 0 for a free one. */
  port: number;
}

/** What the command line says. */
export interface Options {
  /** Where queries come in. */
  listen: Endpoint;
  /** Where they are passed on to, unless there is a file of records. */
  upstream: Endpoint | undefined;
  /** The path of the file of records, unless there is an upstream. */
  records: string | undefined;
  /** How long a query may take, in ms. */
  timeout: number;
  /** How much longer than that a connection may be silent, in ms. */
  idle: number;
  /** Whether the usage is asked for, and nothing else. */
  help: boolean;
}

/** The longest time that can be asked for, in ms. */
const MAX_TIME = 60_000;

/**
 * Reads the command line.
 *
 * @throws {RangeError} If it says something that is not understood; the message
 * is for the user.
 */
export function readOptions(args: string[]): Options {
  const unknown = (arg: string) => {
    throw new RangeError(
      `unknown argument "${arg}"; --help shows what there is`,
    );
  };
  // What parseArgs would take for something else.
  args.filter((arg) => /^--help=|^(--)?$/.test(arg)).forEach(unknown);
  const flags = parseArgs(args, {
    string: ["listen", "upstream", "records", "timeout", "idle"],
    boolean: ["help"],
    default: { listen: "5353", timeout: "4000", idle: "10000" },
    unknown,
  });
  const options: Options = {
    listen: readListen(flags.listen),
    upstream: readUpstream(flags.upstream),
    records: flags.records,
    timeout: readTime("timeout", flags.timeout),
    idle: readTime("idle", flags.idle),
    help: flags.help,
  };
  if (!options.help) assertOneSource(options);
  return options;
}

function assertOneSource({ listen, upstream, records }: Options): void {
  if (records === "") throw new RangeError("--records must be a file");
  if ((upstream === undefined) === (records === undefined)) {
    throw new RangeError(
      "say where answers come from: either --upstream HOST:PORT or --records FILE",
    );
  }
  if (
    upstream?.hostname === listen.hostname && upstream.port === listen.port
  ) {
    throw new RangeError(
      "--upstream must be another server than the one at --listen",
    );
  }
}

function readListen(text: string): Endpoint {
  const endpoint = readEndpoint(
    text.includes(":") ? text : `127.0.0.1:${text}`,
  );
  if (endpoint !== undefined) return endpoint;
  throw new RangeError(
    `--listen must be a port or HOST:PORT, with a port up to 65535; got "${text}"`,
  );
}

function readUpstream(text: string | undefined): Endpoint | undefined {
  if (text === undefined) return undefined;
  const { hostname, port } = readEndpoint(text) ?? { hostname: "", port: 0 };
  // Sockets write an IPv4 address within IPv6 in a way of their own.
  const mapped = hostname.startsWith("::ffff:");
  if (isIP(hostname) !== 0 && !mapped && port > 0) return { hostname, port };
  throw new RangeError(
    `--upstream must be an address and a port, such as 192.0.2.1:53; got "${text}"`,
  );
}

function readEndpoint(text: string): Endpoint | undefined {
  const [, ipv6, name, digits] =
    /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  // An IPv6 address as sockets write it, so that the two can be compared.
  const hostname = ipv6 === undefined
    ? name
    : URL.parse(`http://[${ipv6}]`)?.hostname.slice(1, -1);
  const port = Number(digits);
  return hostname === undefined || port > 65_535
    ? undefined
    : { hostname, port };
}

function readTime(flag: string, text: string): number {
  const ms = Number(text);
  if (/^\d+$/.test(text) && ms >= 1 && ms <= MAX_TIME) return ms;
  throw new RangeError(
    `--${flag} must be whole ms from 1 to ${MAX_TIME}; got "${text}"`,
  );
}
