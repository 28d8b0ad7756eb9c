/**
 * Command line of the service.
 *
 * @module
 */

import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { TAG_STYLES, type TagStyle } from "./parse.ts";
import type { Buckets } from "./series.ts";

/** Text printed for `--help`. */
export const USAGE =
  `StatsD in over UDP, TCP and Unix datagrams, Prometheus out over HTTP.

Usage: deno task start [options]

  --udp  [[HOST]:]PORT  where StatsD comes in                (127.0.0.1:8125)
  --tcp  [[HOST]:]PORT  where it also comes in as lines      (off)
  --unixgram PATH       Unix socket where it also comes in   (off)
  --http [[HOST]:]PORT  where /metrics and a page are served (127.0.0.1:9102)
  --tag-style STYLE,... tags to read: dogstatsd, influxdb, librato, signalfx;
                        none for no tags                     (all)
  --buckets B,B,...     upper bounds of the buckets of histograms, ascending,
                        timings in seconds; native for native histograms
                                                             (summaries)
  --max-series NUMBER   series beyond which new ones are refused (100000)
  --ttl SECONDS         age at which a series without samples is removed
                                                             (never)
  --lame-duck SECONDS   time to go on, as not ready, after a request to end
                                                             (0)
  --log-level LEVEL     debug, info, warn or error; debug names what is
                        refused                              (info)
  --inspect [[HOST]:]PORT  where a page of all contexts is served (off)
  --lifecycle           let POST /-/quit end the service
  --version             print the version
  -h, --help            print this

PORT alone listens on 127.0.0.1, :PORT on every IPv4 address. Port 0 takes a
free one, which the log names.`;

/** Address to listen on. */
export interface Endpoint {
  /** Name or address of a network interface. */
  hostname: string;
  /** Port; 0 for a free one. */
  port: number;
}

/** Options of the command line. */
export interface Options {
  /** Address for StatsD over UDP. */
  udp: Endpoint;
  /** Address for StatsD over TCP. */
  tcp: Endpoint | undefined;
  /** Path of the Unix socket for StatsD. */
  unixgram: string | undefined;
  /** Address for HTTP. */
  http: Endpoint;
  /** Tag styles to read. */
  tagStyle: TagStyle[];
  /** Buckets of histograms; undefined for summaries. */
  buckets: Buckets;
  /** Maximum number of series. */
  maxSeries: number;
  /** Time in ms after which a series without samples is removed. */
  ttl: number;
  /** Time in ms to go on after a request to end. */
  lameDuck: number;
  /** Level of the log. */
  logLevel: LogLevel;
  /** Address for the inspector's page. */
  inspect: Endpoint | undefined;
  /** True if POST /-/quit ends the service. */
  lifecycle: boolean;
  /** True to print the version and do nothing else. */
  version: boolean;
  /** True to print the usage and do nothing else. */
  help: boolean;
}

/** Flags with a value, and their defaults. */
const DEFAULTS: Readonly<Record<string, string | undefined>> = {
  "--udp": "8125",
  "--tcp": undefined,
  "--unixgram": undefined,
  "--http": "9102",
  "--tag-style": TAG_STYLES.join(),
  "--buckets": undefined,
  "--max-series": "100000",
  "--ttl": undefined,
  "--lame-duck": "0",
  "--log-level": "info",
  "--inspect": undefined,
};

const SWITCHES = ["--lifecycle", "--version", "--help"];

/**
 * Reads the command line.
 *
 * @throws {RangeError} If an argument is unknown or malformed; the message is for
 * the user.
 */
export function readOptions(args: string[]): Options {
  const given = readFlags(args);
  const value = (flag: string) => given.get(flag) ?? DEFAULTS[flag];
  const read = <T>(flag: string, reader: (flag: string, text: string) => T) => {
    const text = value(flag);
    return text === undefined ? undefined : reader(flag, text);
  };
  return {
    udp: read("--udp", readEndpoint)!,
    tcp: read("--tcp", readEndpoint),
    unixgram: read("--unixgram", readPath),
    http: read("--http", readEndpoint)!,
    tagStyle: read("--tag-style", readTagStyles)!,
    buckets: read("--buckets", readBuckets),
    maxSeries: read("--max-series", readSize)!,
    ttl: read("--ttl", (flag, text) => readSeconds(flag, text, 0.01)) ??
      Infinity,
    lameDuck: read("--lame-duck", (flag, text) => readSeconds(flag, text, 0))!,
    logLevel: read("--log-level", readLogLevel)!,
    inspect: read("--inspect", readEndpoint),
    lifecycle: given.has("--lifecycle"),
    version: given.has("--version"),
    help: given.has("--help"),
  };
}

/** Reads the flags, with their values as text. */
function readFlags(args: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] === "-h" ? "--help" : args[i]!;
    const equals = arg.indexOf("=");
    const flag = equals === -1 ? arg : arg.slice(0, equals);
    const hasValue = Object.hasOwn(DEFAULTS, flag);
    if (!hasValue && !SWITCHES.includes(arg)) throw unknown(arg);
    if (given.has(flag)) throw new RangeError(`${flag} is given twice`);
    if (!hasValue) given.set(flag, "");
    else if (equals !== -1) given.set(flag, arg.slice(equals + 1));
    // The next argument, unless it is a flag because the value was forgotten.
    else if (args[i + 1]?.startsWith("--")) given.set(flag, "");
    else given.set(flag, args[++i] ?? "");
  }
  return given;
}

function unknown(arg: string): RangeError {
  return new RangeError(
    `unknown argument "${arg}"; --help shows what there is`,
  );
}

function readEndpoint(flag: string, text: string): Endpoint {
  const colon = text.lastIndexOf(":");
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  const hostname = colon <= 0
    // As in Go and statsd_exporter, :PORT is that port on every address.
    ? (colon === 0 ? "0.0.0.0" : "127.0.0.1")
    : text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  if (/^\d+$/.test(digits) && port <= 65_535 && hostname !== "") {
    return { hostname, port };
  }
  throw new RangeError(
    `${flag} must be PORT, :PORT or HOST:PORT, with a port up to 65535; ` +
      `got "${text}"`,
  );
}

function readTagStyles(flag: string, text: string): TagStyle[] {
  if (text === "none") return [];
  const styles = text.split(",");
  if (styles.every((style) => isOneOf(TAG_STYLES, style))) return styles;
  throw new RangeError(
    `${flag} must be none, or some of ${TAG_STYLES.join()}; got "${text}"`,
  );
}

function readLogLevel(flag: string, text: string): LogLevel {
  if (isOneOf(LOG_LEVELS, text)) return text;
  throw new RangeError(
    `${flag} must be one of ${LOG_LEVELS.join()}; got "${text}"`,
  );
}

function isOneOf<T extends string>(
  list: readonly T[],
  text: string,
): text is T {
  return (list as readonly string[]).includes(text);
}

function readPath(flag: string, text: string): string {
  if (text !== "") return text;
  throw new RangeError(`${flag} must be the path of a socket`);
}

function readBuckets(flag: string, text: string): Buckets {
  if (text === "native") return text;
  const bounds = text.split(",").map((bound) =>
    bound.trim() === "" ? NaN : Number(bound)
  );
  const good = bounds.length <= 100 &&
    bounds.every((bound, i) =>
      Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]!)
    );
  if (good) return bounds;
  throw new RangeError(
    `${flag} must be native, or at most 100 numbers, each above the one ` +
      `before, such as 0.01,0.1,1; got "${text}"`,
  );
}

function readSize(flag: string, text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= 1 && size <= 10_000_000) return size;
  throw new RangeError(
    `${flag} must be a whole number from 1 to 10000000; got "${text}"`,
  );
}

/** Reads a number of seconds and returns it in ms. */
function readSeconds(flag: string, text: string, least: number): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= least && seconds <= 31_536_000) {
    return seconds * 1000;
  }
  throw new RangeError(
    `${flag} must be a number of seconds, from ${least} to a year; ` +
      `got "${text}"`,
  );
}
