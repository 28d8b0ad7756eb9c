import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type Options,
  readOptions,
  USAGE,
} from "../../examples/statsd/options.ts";

const DEFAULTS: Options = {
  udp: { hostname: "127.0.0.1", port: 8125 },
  tcp: undefined,
  unixgram: undefined,
  http: { hostname: "127.0.0.1", port: 9102 },
  tagStyle: ["dogstatsd", "influxdb", "librato", "signalfx"],
  buckets: undefined,
  maxSeries: 100_000,
  ttl: Infinity,
  lameDuck: 0,
  logLevel: "info",
  inspect: undefined,
  lifecycle: false,
  version: false,
  help: false,
};

const GOOD: [args: string[], options: Partial<Options>][] = [
  [[], {}],
  [["--udp", "1"], { udp: { hostname: "127.0.0.1", port: 1 } }],
  [["--udp=1"], { udp: { hostname: "127.0.0.1", port: 1 } }],
  [["--udp", "0"], { udp: { hostname: "127.0.0.1", port: 0 } }],
  [["--udp", "65535"], { udp: { hostname: "127.0.0.1", port: 65_535 } }],
  [["--http", "1"], { http: { hostname: "127.0.0.1", port: 1 } }],
  [["--http", "0.0.0.0:1"], { http: { hostname: "0.0.0.0", port: 1 } }],
  [["--http", "localhost:1"], { http: { hostname: "localhost", port: 1 } }],
  [["--udp", "[::1]:1"], { udp: { hostname: "::1", port: 1 } }],
  [["--udp", ":1"], { udp: { hostname: "0.0.0.0", port: 1 } }],
  [["--tcp", ":1"], { tcp: { hostname: "0.0.0.0", port: 1 } }],
  [["--http", ":1"], { http: { hostname: "0.0.0.0", port: 1 } }],
  [["--udp", "::1:1"], { udp: { hostname: "::1", port: 1 } }],
  [["--tcp", "1"], { tcp: { hostname: "127.0.0.1", port: 1 } }],
  [["--unixgram", "/run/a.sock"], { unixgram: "/run/a.sock" }],
  [["--tag-style", "dogstatsd"], { tagStyle: ["dogstatsd"] }],
  [["--tag-style=influxdb,signalfx"], { tagStyle: ["influxdb", "signalfx"] }],
  [["--tag-style", "librato"], { tagStyle: ["librato"] }],
  [["--tag-style", "none"], { tagStyle: [] }],
  [["--log-level", "debug"], { logLevel: "debug" }],
  [["--log-level", "warn"], { logLevel: "warn" }],
  [["--log-level", "error"], { logLevel: "error" }],
  [["--version"], { version: true }],
  [["--buckets", "1"], { buckets: [1] }],
  [["--buckets=-1,0,0.5,1e3"], { buckets: [-1, 0, 0.5, 1000] }],
  [["--buckets", "native"], { buckets: "native" }],
  [["--max-series", "1"], { maxSeries: 1 }],
  [["--ttl", "300"], { ttl: 300_000 }],
  [["--ttl", "0.01"], { ttl: 10 }],
  [["--lame-duck", "2.5"], { lameDuck: 2_500 }],
  [["--lame-duck", "0"], { lameDuck: 0 }],
  [["--inspect", "1"], { inspect: { hostname: "127.0.0.1", port: 1 } }],
  [["--lifecycle"], { lifecycle: true }],
  [["--help"], { help: true }],
  [["-h"], { help: true }],
  [["--buckets", "-1,0"], { buckets: [-1, 0] }],
  [
    ["--lifecycle", "--http", "[::]:2", "--udp", "host.example:1"],
    {
      lifecycle: true,
      http: { hostname: "::", port: 2 },
      udp: { hostname: "host.example", port: 1 },
    },
  ],
];

for (const [args, options] of GOOD) {
  Deno.test(`readOptions() reads [${args.join(" ")}]`, () => {
    assertEquals(readOptions(args), { ...DEFAULTS, ...options });
  });
}

const BAD: [args: string[], message: string][] = [
  [
    ["--udp"],
    '--udp must be PORT, :PORT or HOST:PORT, with a port up to 65535; got ""',
  ],
  [["--udp", "65536"], 'got "65536"'],
  [["--udp", "99999999999999999999"], "--udp must be PORT"],
  [["--udp=-1"], "--udp must be PORT"],
  [["--udp", "1.5"], "--udp must be PORT"],
  [["--udp", "1e3"], "--udp must be PORT"],
  [["--udp", "0x10"], "--udp must be PORT"],
  [["--udp", " 1"], "--udp must be PORT"],
  [["--udp", "port"], "--udp must be PORT"],
  [["--udp", "host"], "--udp must be PORT"],
  [["--udp", "host:"], "--udp must be PORT"],
  [["--udp", ":"], "--udp must be PORT"],
  [["--udp", ":x"], "--udp must be PORT"],
  [["--udp", "[::1]"], "--udp must be PORT"],
  [["--http"], "--http must be PORT"],
  [["--http", "65536"], "--http must be PORT"],
  [["--http", "localhost:http"], "--http must be PORT"],
  [
    ["--http", "--lifecycle"],
    '--http must be PORT, :PORT or HOST:PORT, with a port up to 65535; got ""',
  ],
  [["--udb", "1"], 'unknown argument "--udb"'],
  [["--udb=1"], 'unknown argument "--udb=1"'],
  [["--no-lifecycle"], 'unknown argument "--no-lifecycle"'],
  [["-x"], 'unknown argument "-x"'],
  [["--udp", "1", "--udp", "2"], "--udp is given twice"],
  [["--lifecycle", "--lifecycle"], "--lifecycle is given twice"],
  [["--udp="], "--udp must be PORT"],
  [["--unixgram", ""], "--unixgram must be the path of a socket"],
  [["--buckets", ""], 'such as 0.01,0.1,1; got ""'],
  [["--ttl", "-1"], "--ttl must be a number of seconds, from 0.01"],
  [["constructor"], 'unknown argument "constructor"'],
  [["--max-series"], "--max-series must be a whole number from 1"],
  [["8125"], 'unknown argument "8125"'],
  [["--lifecycle", "8125"], 'unknown argument "8125"'],
  [["--lifecycle=no"], 'unknown argument "--lifecycle=no"'],
  [["--", "8125"], 'unknown argument "--"'],
  [["--udp", ""], "--udp must be PORT"],
  [[""], 'unknown argument ""'],
  [["--udp", "[]:5"], "--udp must be PORT"],
  [["--tcp"], "--tcp must be PORT"],
  [["--tcp", "65536"], "--tcp must be PORT"],
  [["--unixgram"], "--unixgram must be the path of a socket"],
  [["--buckets"], "--buckets must be native, or at most 100 numbers"],
  [["--buckets", "1,,2"], 'got "1,,2"'],
  [["--buckets", "2,1"], "each above the one before"],
  [["--buckets", "1,1"], "each above the one before"],
  [["--buckets", "1,Infinity"], "--buckets must be"],
  [["--buckets", Array.from({ length: 101 }, (_, i) => i).join()], "at most"],
  [["--max-series", "0"], "--max-series must be a whole number from 1"],
  [["--max-series", "1.5"], "--max-series must be"],
  [["--max-series", "10000001"], "to 10000000"],
  [["--ttl", "0"], "--ttl must be a number of seconds, from 0.01 to a year"],
  [["--ttl", "5m"], 'got "5m"'],
  [["--lame-duck=-1"], "--lame-duck must be a number of seconds, from 0"],
  [["--tag-style", ""], "--tag-style must be none, or some of dogstatsd,"],
  [["--tag-style", "etsy"], 'got "etsy"'],
  [["--tag-style", "dogstatsd,none"], 'got "dogstatsd,none"'],
  [["--tag-style"], "--tag-style must be"],
  [["--log-level", "verbose"], "must be one of debug,info,warn,error"],
  [["--log-level", "INFO"], 'got "INFO"'],
  [["--version=1"], 'unknown argument "--version=1"'],
  [["--lame-duck", "99999999"], "to a year"],
  [["--help", "--udb"], 'unknown argument "--udb"'],
];

for (const [args, message] of BAD) {
  Deno.test(`readOptions() refuses [${args.join(" ")}]`, () => {
    assertThrows(() => readOptions(args), RangeError, message);
  });
}

Deno.test("USAGE names every option and its default", () => {
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const flag = name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    assertStringIncludes(USAGE, `--${flag} `);
    if (Array.isArray(value)) {
      for (const item of value) assertStringIncludes(USAGE, item);
    } else if (typeof value === "object") {
      assertStringIncludes(USAGE, `(${value.hostname}:${value.port})`);
    } else if (typeof value === "string" || Number.isFinite(value)) {
      assertStringIncludes(USAGE, `(${value})`);
    }
  }
});
