import { assertEquals, assertRejects } from "@std/assert";
import { openBoth } from "../../examples/dns/same_port.ts";

/** A server without a socket that knows if it is closed. */
class Server implements AsyncDisposable {
  readonly addr: Deno.NetAddr;
  closed = false;

  constructor(port: number) {
    this.addr = { transport: "udp", hostname: "127.0.0.1", port };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** Servers that take the ports from 1001 on if they may choose. */
class Ports {
  readonly opened: Server[] = [];

  open(port: number): Server {
    const server = new Server(port === 0 ? 1001 + this.opened.length : port);
    this.opened.push(server);
    return server;
  }
}

function inUse(): never {
  throw new Deno.errors.AddrInUse();
}

Deno.test("openBoth() gives the second server the port of the first", async () => {
  for (const port of [0, 53]) {
    const ports = new Ports();
    const both = await openBoth(
      port,
      (port) => ports.open(port),
      (port) => new Server(port),
    );
    const expected = port === 0 ? 1001 : 53;
    assertEquals(both.map(({ addr }) => addr.port), [expected, expected]);
    assertEquals(both.map(({ closed }) => closed), [false, false]);
  }
});

Deno.test("openBoth() tries another free port if the second server cannot have the first one", async () => {
  const ports = new Ports();
  const [first, second] = await openBoth(
    0,
    (port) => ports.open(port),
    (port) => port < 1003 ? inUse() : new Server(port),
  );
  assertEquals([first.addr.port, second.addr.port], [1003, 1003]);
  assertEquals(ports.opened.map(({ closed }) => closed), [true, true, false]);
});

const GIVEN_UP: [
  what: string,
  port: number,
  fail: () => never,
  times: number,
][] = [
  ["a given port that is in use", 53, inUse, 1],
  ["ten free ports in use for the second server", 0, inUse, 10],
  ["another error", 0, () => {
    throw new RangeError();
  }, 1],
];

for (const [what, port, fail, times] of GIVEN_UP) {
  Deno.test(`openBoth() rejects after ${what}, and leaves nothing open`, async () => {
    const ports = new Ports();
    await assertRejects(() => openBoth(port, (port) => ports.open(port), fail));
    assertEquals(
      ports.opened.map(({ closed }) => closed),
      Array(times).fill(true),
    );
  });
}
