import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type Options,
  readOptions,
  USAGE,
} from "../../examples/dns/options.ts";

const DEFAULTS: Options = {
  listen: { hostname: "127.0.0.1", port: 5353 },
  upstream: undefined,
  records: undefined,
  timeout: 4000,
  idle: 10_000,
  help: false,
};

const UPSTREAM = { hostname: "192.0.2.1", port: 53 };

const GOOD: [args: string[], options: Partial<Options>][] = [
  [["--help"], { help: true }],
  [["--records", "a"], { records: "a" }],
  [["--upstream", "192.0.2.1:53"], { upstream: UPSTREAM }],
  [["--upstream=[2001:DB8:0:0::1]:5353"], {
    upstream: { hostname: "2001:db8::1", port: 5353 },
  }],
  [["--records", "a", "--listen", "0"], {
    records: "a",
    listen: { hostname: "127.0.0.1", port: 0 },
  }],
  [["--records", "a", "--listen", "[::]:53"], {
    records: "a",
    listen: { hostname: "::", port: 53 },
  }],
  [["--records", "a", "--listen", "localhost:53"], {
    records: "a",
    listen: { hostname: "localhost", port: 53 },
  }],
  [["--records", "a", "--timeout", "60000"], { records: "a", timeout: 60_000 }],
  [["--records", "a", "--idle", "1"], { records: "a", idle: 1 }],
];

for (const [args, options] of GOOD) {
  Deno.test(`dns: reads the arguments [${args.join(" ")}]`, () => {
    assertEquals(readOptions(args), { ...DEFAULTS, ...options });
  });
}

const BAD: [args: string[], message: string][] = [
  [[], "either --upstream HOST:PORT or --records FILE"],
  [["--upstream", "192.0.2.1:53", "--records", "a"], "either --upstream"],
  [["--records="], "--records must be a file"],
  [["--upstream", "127.0.0.1:5353"], "--upstream must be another server"],
  [["--upstream", "192.0.2.1"], "--upstream must be an address and a port"],
  [["--upstream", "192.0.2.1:0"], "--upstream must be an address and a port"],
  [["--upstream", "dns.example:53"], 'got "dns.example:53"'],
  [["--upstream", "[::g]:53"], "--upstream must be an address and a port"],
  [["--upstream", "[fe80::1%eth0]:53"], "--upstream must be an address"],
  [["--upstream", "[::ffff:192.0.2.1]:53"], "--upstream must be an address"],
  [["--upstream", "::1:53"], "--upstream must be an address and a port"],
  [["--records", "a", "--listen", "65536"], "--listen must be a port or"],
  [["--records", "a", "--listen", "host"], "--listen must be a port or"],
  [["--records", "a", "--listen", ":53"], "--listen must be a port or"],
  [["--records", "a", "--listen="], "--listen must be a port or"],
  [["--records", "a", "--listen=-1"], "--listen must be a port or"],
  [["--records", "a", "--timeout", "0"], "--timeout must be whole ms from 1"],
  [["--records", "a", "--timeout", "1e3"], "--timeout must be whole ms"],
  [["--records", "a", "--timeout", "60001"], 'to 60000; got "60001"'],
  [["--records", "a", "--idle", "0"], "--idle must be whole ms from 1"],
  [["--records", "a", "--port", "1"], 'unknown argument "--port"'],
  [["--records", "a", "--help=no"], 'unknown argument "--help=no"'],
  [["file"], 'unknown argument "file"; --help shows what there is'],
  [["--"], 'unknown argument "--"'],
  [[""], 'unknown argument ""'],
];

for (const [args, message] of BAD) {
  Deno.test(`dns: does not understand ${JSON.stringify(args)}`, () => {
    assertThrows(() => readOptions(args), RangeError, message);
  });
}

Deno.test("dns: the usage names every flag", () => {
  for (
    const flag of ["listen", "upstream", "records", "timeout", "idle", "help"]
  ) {
    assertStringIncludes(USAGE, `--${flag}`);
  }
});
