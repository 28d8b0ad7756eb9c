import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type Options,
  readOptions,
  USAGE,
} from "../../examples/statsd/options.ts";

const DEFAULTS: Options = {
  udp: { hostname: "127.0.0.1", port: 8125 },
  http: { hostname: "127.0.0.1", port: 9102 },
  lifecycle: false,
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
  [["--udp", "::1:1"], { udp: { hostname: "::1", port: 1 } }],
  [["--lifecycle"], { lifecycle: true }],
  [["--help"], { help: true }],
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
  Deno.test(`reads the arguments [${args.join(" ")}]`, () => {
    assertEquals(readOptions(args), { ...DEFAULTS, ...options });
  });
}

const BAD: [args: string[], message: string][] = [
  [
    ["--udp"],
    '--udp must be a port or HOST:PORT, with a port up to 65535; got ""',
  ],
  [["--udp", "65536"], 'got "65536"'],
  [["--udp", "99999999999999999999"], "--udp must be a port"],
  [["--udp=-1"], "--udp must be a port"],
  [["--udp", "1.5"], "--udp must be a port"],
  [["--udp", "1e3"], "--udp must be a port"],
  [["--udp", "0x10"], "--udp must be a port"],
  [["--udp", " 1"], "--udp must be a port"],
  [["--udp", "port"], "--udp must be a port"],
  [["--udp", "host"], "--udp must be a port"],
  [["--udp", "host:"], "--udp must be a port"],
  [["--udp", ":1"], "--udp must be a port"],
  [["--udp", "[::1]"], "--udp must be a port"],
  [["--http"], "--http must be a port"],
  [["--http", "65536"], "--http must be a port"],
  [["--http", "localhost:http"], "--http must be a port"],
  [
    ["--http", "--lifecycle"],
    '--http must be a port or HOST:PORT, with a port up to 65535; got ""',
  ],
  [["--udb", "1"], 'unknown argument "--udb"'],
  [["--udb=1"], 'unknown argument "--udb=1"'],
  [["--no-lifecycle"], 'unknown argument "--no-lifecycle"'],
  [["-h"], 'unknown argument "-h"'],
  [["8125"], 'unknown argument "8125"'],
  [["--lifecycle", "8125"], 'unknown argument "8125"'],
  [["--lifecycle=no"], 'unknown argument "--lifecycle=no"'],
  [["--", "8125"], 'unknown argument "--"'],
  [["--udp", ""], 'unknown argument ""'],
  [["--udp", "[]:5"], "--udp must be a port"],
  [["--help", "--udb"], 'unknown argument "--udb"'],
];

for (const [args, message] of BAD) {
  Deno.test(`refuses the arguments [${args.join(" ")}]`, () => {
    assertThrows(() => readOptions(args), RangeError, message);
  });
}

Deno.test("the usage tells of every option and of the defaults", () => {
  for (const [name, value] of Object.entries(DEFAULTS)) {
    assertStringIncludes(USAGE, `--${name} `);
    if (typeof value !== "object") continue;
    assertStringIncludes(USAGE, `(${value.hostname}:${value.port})`);
  }
});
