/**
 * The command line of the forwarder.
 *
 * @module
 */

import { isIP } from "node:net";
import { parseArgs } from "@std/cli/parse-args";

/** The text that `--help` prints. */
export const USAGE = `A DNS forwarder, over UDP and TCP.

Usage: deno run --allow-net --allow-read examples/dns/main.ts [options]

  --listen [HOST:]PORT   take queries here                     (127.0.0.1:5353)
  --upstream HOST:PORT   forward queries to this address; given more than
                         once, the first one that works answers; or
  --records FILE         answer from this file
  --timeout MS           time limit of a query                 (4000)
  --idle MS              how much longer than that a TCP client may take
                         between two queries                   (10000)
  --metrics [HOST:]PORT  serve counters for Prometheus here, at /metrics
  --log-level LEVEL      debug (every query), info, warn or error  (info)
  --help                 show this

Port 0 takes a free port, the same for UDP and TCP; the log says which. A PORT
alone is on 127.0.0.1, :PORT on all interfaces.
A line of FILE is: name TTL TYPE value, with A, AAAA, CNAME, MX, SOA or TXT.`;

/** An address and a port. */
export interface Endpoint {
  /** A name or an address; always an address for an upstream. */
  hostname: string;
  /** Port; 0 for a free one. */
  port: number;
}

/** Levels of the log, from the most to the least talkative. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** A level of the log. */
export type LogLevel = typeof LOG_LEVELS[number];

/** The settings on the command line. */
export interface Options {
  /** Address for queries. */
  listen: Endpoint;
  /** Addresses that queries are forwarded to, in order of preference. */
  upstreams: Endpoint[];
  /** Path of the file of records, if there are no upstreams. */
  records: string | undefined;
  /** Time limit of a query in ms. */
  timeout: number;
  /** Extra time in ms that a TCP client may take between two queries. */
  idle: number;
  /** Address of the metrics, if they are served. */
  metrics: Endpoint | undefined;
  /** Lowest level that is logged. */
  logLevel: LogLevel;
  /** Print the usage and exit. */
  help: boolean;
}

/** Largest time limit in ms. */
const MAX_TIME = 60_000;

/** Flags with a value. */
const VALUES = [
  "listen",
  "upstream",
  "records",
  "timeout",
  "idle",
  "metrics",
  "log-level",
] as const;

/**
 * Reads the command line.
 *
 * @throws {RangeError} If an argument is unknown or malformed; the message is
 * meant for the user.
 */
export function readOptions(args: string[]): Options {
  const unknown = (arg: string) => {
    throw new RangeError(
      `unknown argument "${arg}"; --help shows the known ones`,
    );
  };
  // parseArgs would accept these with another meaning.
  args.filter((arg) => /^--help=|^(--)?$/.test(arg)).forEach(unknown);
  const flags = parseArgs(args, {
    string: VALUES,
    collect: VALUES,
    boolean: ["help"],
    unknown,
  });
  const value = (flag: Exclude<typeof VALUES[number], "upstream">) => {
    const [first, ...others] = flags[flag] ?? [];
    if (others.length === 0) return first;
    throw new RangeError(`--${flag} is given twice`);
  };
  const metrics = value("metrics");
  const options: Options = {
    listen: readEndpoint("listen", value("listen") ?? "5353"),
    upstreams: (flags.upstream ?? []).map(readUpstream),
    records: value("records"),
    timeout: readTime("timeout", value("timeout") ?? "4000"),
    idle: readTime("idle", value("idle") ?? "10000"),
    metrics: metrics === undefined
      ? undefined
      : readEndpoint("metrics", metrics),
    logLevel: readLevel(value("log-level") ?? "info"),
    help: flags.help,
  };
  if (!options.help) assertSource(options);
  return options;
}

/** Throws unless the options name exactly one usable source of answers. */
function assertSource({ listen, upstreams, records }: Options): void {
  if (records === "") throw new RangeError("--records must be a file");
  if ((upstreams.length === 0) === (records === undefined)) {
    throw new RangeError(
      "say where answers come from: either --upstream HOST:PORT or --records FILE",
    );
  }
  const names = upstreams.map(hostPort);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new RangeError(`--upstream ${twice} is given twice`);
  }
  if (upstreams.some((upstream) => reaches(upstream, listen))) {
    throw new RangeError(
      "--upstream must be another server than the one at --listen",
    );
  }
}

/** Tells if queries to `upstream` would come back in at `listen`. */
function reaches(upstream: Endpoint, listen: Endpoint): boolean {
  const onThisMachine = upstream.hostname === "::1" ||
    upstream.hostname.startsWith("127.");
  const listensOnAll = ["0.0.0.0", "::"].includes(listen.hostname);
  return upstream.port === listen.port &&
    (upstream.hostname === listen.hostname || listensOnAll && onThisMachine);
}

/** An endpoint as it is written on the command line. */
export function hostPort({ hostname, port }: Endpoint): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

function readEndpoint(flag: string, text: string): Endpoint {
  const endpoint = text.startsWith(":")
    ? parseEndpoint(`0.0.0.0${text}`)
    : parseEndpoint(text.includes(":") ? text : `127.0.0.1:${text}`);
  if (endpoint !== undefined) return endpoint;
  throw new RangeError(
    `--${flag} must be a port or HOST:PORT, with a port up to 65535; got "${text}"`,
  );
}

function readUpstream(text: string): Endpoint {
  const { hostname, port } = parseEndpoint(text) ?? { hostname: "", port: 0 };
  // Sockets report the sender of a reply in another notation than this one.
  const mapped = hostname.startsWith("::ffff:");
  if (isIP(hostname) !== 0 && !mapped && port > 0) return { hostname, port };
  throw new RangeError(
    `--upstream must be an address and a port, such as 192.0.2.1:53; got "${text}"`,
  );
}

function parseEndpoint(text: string): Endpoint | undefined {
  const [, ipv6, name, digits] =
    /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  // Sockets report IPv6 addresses in the shortest notation, as URLs do.
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

function readLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((level) => level === text);
  if (level !== undefined) return level;
  throw new RangeError(
    `--log-level must be ${LOG_LEVELS.join(", ")}; got "${text}"`,
  );
}
