/**
 * The command line of the service.
 *
 * @module
 */

/** What the service prints for `--help`. */
export const USAGE =
  `StatsD in over UDP, TCP and Unix datagrams, Prometheus out over HTTP.

Usage: deno task start [options]

  --udp  [HOST:]PORT    where StatsD comes in                (127.0.0.1:8125)
  --tcp  [HOST:]PORT    where it comes in as lines, too      (nowhere)
  --unixgram PATH       the Unix socket where it does, too   (none)
  --http [HOST:]PORT    where /metrics and a page are served (127.0.0.1:9102)
  --buckets B,B,...     upper bounds of the buckets of histograms, ascending,
                        timings in seconds                   (summaries)
  --max-series NUMBER   series beyond which new ones are refused (100000)
  --ttl SECONDS         for how long a series is kept that nobody
                        writes to                            (for ever)
  --lame-duck SECONDS   for how long to go on as not ready when asked
                        to end                               (0)
  --lifecycle           let POST /-/quit end the service
  -h, --help            show this

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
  /** Where it comes in over TCP. */
  tcp: Endpoint | undefined;
  /** Path of the Unix socket where it comes in. */
  unixgram: string | undefined;
  /** Where HTTP is served. */
  http: Endpoint;
  /** Upper bounds of the buckets of histograms; without, there are summaries. */
  buckets: number[] | undefined;
  /** Most series. */
  maxSeries: number;
  /** For how long, in ms, a series is kept that nobody writes to. */
  ttl: number;
  /** For how long, in ms, to go on when asked to end. */
  lameDuck: number;
  /** Whether POST /-/quit ends the service. */
  lifecycle: boolean;
  /** Whether the usage is asked for, and nothing else. */
  help: boolean;
}

/** Flags that have a value, and what they are without being given. */
const DEFAULTS: Readonly<Record<string, string | undefined>> = {
  "--udp": "8125",
  "--tcp": undefined,
  "--unixgram": undefined,
  "--http": "9102",
  "--buckets": undefined,
  "--max-series": "100000",
  "--ttl": undefined,
  "--lame-duck": "0",
};

const SWITCHES = ["--lifecycle", "--help"];

/**
 * Reads the command line.
 *
 * @throws {RangeError} If it says something that is not understood; the message
 * is for the user.
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
    buckets: read("--buckets", readBuckets),
    maxSeries: read("--max-series", readSize)!,
    ttl: read("--ttl", (flag, text) => readSeconds(flag, text, 0.01)) ??
      Infinity,
    lameDuck: read("--lame-duck", (flag, text) => readSeconds(flag, text, 0))!,
    lifecycle: given.has("--lifecycle"),
    help: given.has("--help"),
  };
}

/** The flags that are given, with their values as text. */
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
    // The next one, unless its own value has been forgotten.
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

function readPath(flag: string, text: string): string {
  if (text !== "") return text;
  throw new RangeError(`${flag} must be the path of a socket`);
}

function readBuckets(flag: string, text: string): number[] {
  const bounds = text.split(",").map((bound) =>
    bound.trim() === "" ? NaN : Number(bound)
  );
  const good = bounds.length <= 100 &&
    bounds.every((bound, i) =>
      Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]!)
    );
  if (good) return bounds;
  throw new RangeError(
    `${flag} must be at most 100 numbers, each above the one before, ` +
      `such as 0.01,0.1,1; got "${text}"`,
  );
}

function readSize(flag: string, text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= 1 && size <= 10_000_000) return size;
  throw new RangeError(
    `${flag} must be a whole number from 1 to 10000000; got "${text}"`,
  );
}

/** In ms. */
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
