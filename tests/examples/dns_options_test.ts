import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type Options,
  readOptions,
  USAGE,
} from "../../examples/dns/options.ts";

const DEFAULTS: Options = {
  listen: { hostname: "127.0.0.1", port: 5353 },
  upstreams: [],
  records: undefined,
  timeout: 4000,
  idle: 10_000,
  metrics: undefined,
  logLevel: "info",
  help: false,
};

const UPSTREAM = { hostname: "192.0.2.1", port: 53 };
const OTHER = { hostname: "2001:db8::1", port: 5353 };
/** A source of answers, without which no command line is valid. */
const RECORDS = { records: "a" };

const GOOD: [args: string[], options: Partial<Options>][] = [
  [["--help"], { help: true }],
  [["--records", "a"], RECORDS],
  [["--upstream", "192.0.2.1:53"], { upstreams: [UPSTREAM] }],
  [["--upstream=[2001:DB8:0:0::1]:5353"], { upstreams: [OTHER] }],
  [["--upstream", "192.0.2.1:53", "--upstream", "[2001:db8::1]:5353"], {
    upstreams: [UPSTREAM, OTHER],
  }],
  [["--upstream", "192.0.2.1:53", "--upstream", "192.0.2.1:54"], {
    upstreams: [UPSTREAM, { hostname: "192.0.2.1", port: 54 }],
  }],
  [["--records", "a", "--listen", "0"], {
    ...RECORDS,
    listen: { hostname: "127.0.0.1", port: 0 },
  }],
  [["--records", "a", "--listen", "[::]:53"], {
    ...RECORDS,
    listen: { hostname: "::", port: 53 },
  }],
  [["--records", "a", "--listen", ":53"], {
    ...RECORDS,
    listen: { hostname: "0.0.0.0", port: 53 },
  }],
  [["--records", "a", "--listen", "localhost:65535"], {
    ...RECORDS,
    listen: { hostname: "localhost", port: 65_535 },
  }],
  [["--listen", ":53", "--upstream", "192.0.2.1:53"], {
    listen: { hostname: "0.0.0.0", port: 53 },
    upstreams: [UPSTREAM],
  }],
  [["--upstream", "127.0.0.2:5353"], {
    upstreams: [{ hostname: "127.0.0.2", port: 5353 }],
  }],
  [["--listen", ":54", "--upstream", "127.0.0.1:53"], {
    listen: { hostname: "0.0.0.0", port: 54 },
    upstreams: [{ hostname: "127.0.0.1", port: 53 }],
  }],
  [["--records", "a", "--timeout", "60000"], { ...RECORDS, timeout: 60_000 }],
  [["--records", "a", "--idle", "1"], { ...RECORDS, idle: 1 }],
  [["--records", "a", "--metrics", "9153"], {
    ...RECORDS,
    metrics: { hostname: "127.0.0.1", port: 9153 },
  }],
  [["--records", "a", "--metrics=:9153"], {
    ...RECORDS,
    metrics: { hostname: "0.0.0.0", port: 9153 },
  }],
  [["--records", "a", "--log-level", "debug"], {
    ...RECORDS,
    logLevel: "debug",
  }],
  [["--records", "a", "--log-level=error"], { ...RECORDS, logLevel: "error" }],
];

for (const [args, options] of GOOD) {
  Deno.test(`dns: readOptions() reads [${args.join(" ")}]`, () => {
    assertEquals(readOptions(args), { ...DEFAULTS, ...options });
  });
}

const BAD: [args: string[], message: string][] = [
  [[], "either --upstream HOST:PORT or --records FILE"],
  [["--upstream", "192.0.2.1:53", "--records", "a"], "either --upstream"],
  [["--records="], "--records must be a file"],
  [["--upstream", "127.0.0.1:5353"], "--upstream must be another server"],
  [
    ["--upstream", "192.0.2.1:53", "--upstream", "127.0.0.1:5353"],
    "--upstream must be another server",
  ],
  [
    ["--listen", ":53", "--upstream", "127.0.0.53:53"],
    "--upstream must be another server",
  ],
  [
    ["--listen", "[::]:53", "--upstream", "[::1]:53"],
    "--upstream must be another server",
  ],
  [
    ["--upstream", "192.0.2.1:53", "--upstream", "192.0.2.1:53"],
    "--upstream 192.0.2.1:53 is given twice",
  ],
  [
    ["--upstream", "192.0.2.1:53", "--upstream", "dns.example:53"],
    'got "dns.example:53"',
  ],
  [["--upstream", "192.0.2.1"], "--upstream must be an address and a port"],
  [["--upstream", "192.0.2.1:0"], "--upstream must be an address and a port"],
  [["--upstream", "dns.example:53"], 'got "dns.example:53"'],
  [["--upstream", ":53"], "--upstream must be an address and a port"],
  [["--upstream", "[::g]:53"], "--upstream must be an address and a port"],
  [["--upstream", "[fe80::1%eth0]:53"], "--upstream must be an address"],
  [["--upstream", "[::ffff:192.0.2.1]:53"], "--upstream must be an address"],
  [["--upstream", "::1:53"], "--upstream must be an address and a port"],
  [["--records", "a", "--records", "b"], "--records is given twice"],
  [["--records", "a", "--listen", "1", "--listen", "2"], "--listen is given"],
  [["--records", "a", "--listen", "65536"], "--listen must be a port or"],
  [["--records", "a", "--listen", "host"], "--listen must be a port or"],
  [["--records", "a", "--listen", ":"], "--listen must be a port or"],
  [["--records", "a", "--listen="], "--listen must be a port or"],
  [["--records", "a", "--listen=-1"], "--listen must be a port or"],
  [["--records", "a", "--metrics", "x"], "--metrics must be a port or"],
  [["--records", "a", "--timeout="], "--timeout must be whole ms from 1"],
  [["--records", "a", "--idle="], "--idle must be whole ms from 1"],
  [["--records", "a", "--log-level="], "--log-level must be debug"],
  [["--records", "a", "--timeout", "0"], "--timeout must be whole ms from 1"],
  [["--records", "a", "--timeout", "1e3"], "--timeout must be whole ms"],
  [["--records", "a", "--timeout", "60001"], 'to 60000; got "60001"'],
  [["--records", "a", "--idle", "0"], "--idle must be whole ms from 1"],
  [
    ["--records", "a", "--log-level", "DEBUG"],
    '--log-level must be debug, info, warn, error; got "DEBUG"',
  ],
  [["--records", "a", "--port", "1"], 'unknown argument "--port"'],
  [["--records", "a", "--help=no"], 'unknown argument "--help=no"'],
  [["file"], 'unknown argument "file"; --help shows the known ones'],
  [["--"], 'unknown argument "--"'],
  [[""], 'unknown argument ""'],
];

for (const [args, message] of BAD) {
  Deno.test(`dns: readOptions() rejects ${JSON.stringify(args)}`, () => {
    assertThrows(() => readOptions(args), RangeError, message);
  });
}

Deno.test("dns: the usage names every flag", () => {
  const flags = ["listen", "upstream", "records", "timeout", "idle"];
  for (const flag of [...flags, "metrics", "log-level", "help"]) {
    assertStringIncludes(USAGE, `--${flag}`);
  }
});
