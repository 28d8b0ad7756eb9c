// The forwarder in front of another one with records, asked by `dig`.

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { DnsService } from "./dns_service.ts";
import { hasTool, lookUp } from "./dns_tools.ts";

const ignore = !hasTool("dig");

/** Lines with `count` texts of one name, each of `size` bytes. */
function texts(name: string, count: number, size: number): string {
  return Array.from(
    { length: count },
    (_, i) => `${name} 300 TXT "${`${i} `.padEnd(size, "x")}"`,
  ).join("\n");
}

const RECORDS = `
www.example.   300  A      192.0.2.1
www.example.   300  AAAA   2001:db8::1
alias.example. 300  CNAME  www.example.
example.       300  MX     10 mail.example.
example.       300  TXT    "v=spf1 mx; -all"
${texts("large.example", 40, 120)}
${texts("medium.example", 8, 120)}
`;

/** A forwarder and the server with records that it asks. */
class Pair implements AsyncDisposable {
  readonly #servers = new AsyncDisposableStack();
  readonly forwarder: Promise<DnsService>;

  constructor() {
    this.forwarder = this.#start();
  }

  async #start(): Promise<DnsService> {
    const source = this.#servers.use(await DnsService.withRecords(RECORDS));
    const { hostname, port } = source.addr;
    return this.#servers.use(
      await DnsService.start("--upstream", `${hostname}:${port}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forwarder;
    await this.#servers.disposeAsync();
  }
}

function dig(port: number, ...args: string[]): Promise<string> {
  return lookUp("dig", port, ...args);
}

/** Arguments of dig, and patterns in its output. */
const ASKED: [args: string[], ...printed: RegExp[]][] = [
  [["www.example", "A"], /NOERROR/, /^www\.example\. 300 IN A 192\.0\.2\.1$/m],
  [["www.example", "AAAA"], /NOERROR/, / 300 IN AAAA 2001:db8::1$/m],
  [["example", "TXT"], /NOERROR/, /IN TXT "v=spf1 mx; -all"$/m],
  [["example", "MX"], /NOERROR/, /IN MX 10 mail\.example\.$/m],
  [
    ["alias.example"],
    /^alias\.example\. 300 IN CNAME www\.example\.$/m,
    /^www\.example\. 300 IN A 192\.0\.2\.1$/m,
  ],
  [["nope.example"], /status: NXDOMAIN/, /ANSWER: 0/],
  [["www.example", "TXT"], /status: NOERROR/, /ANSWER: 0/],
  [["version.bind", "CH", "TXT"], /status: REFUSED/],
  [["www.example", "+opcode=notify"], /status: NOTIMP/],
  [["www.example", "+noednsneg", "+edns=1"], /status: BADVERS/],
  [["www.example", "+header-only", "+noedns"], /status: FORMERR/],
];

for (const [how, flag] of [["UDP", "+notcp"], ["TCP", "+tcp"]] as const) {
  Deno.test({
    name: `dns: dig gets every kind of answer over ${how}`,
    ignore,
    async fn() {
      await using pair = new Pair();
      const { addr } = await pair.forwarder;
      for (const [args, ...printed] of ASKED) {
        const output = await dig(addr.port, flag, ...args);
        for (const pattern of printed) assertMatch(output, pattern);
        assertMatch(output, new RegExp(`SERVER: 127.0.0.1#.*\\(${how}\\)`));
        assertNotMatch(output, /malformed|mismatch|extra|warn.*bytes/i);
      }
    },
  });
}

Deno.test({
  name: "dns: dig asks again over TCP if the answer is too long",
  ignore,
  async fn() {
    await using pair = new Pair();
    const { addr } = await pair.forwarder;
    const cut = /^;; Truncated, retrying in TCP mode\.$/m;
    const sizes: [args: string[], tcp: boolean, count: number][] = [
      [["large.example"], true, 40],
      [["large.example", "+bufsize=4096"], true, 40],
      [["medium.example", "+noedns"], true, 8],
      [["medium.example", "+bufsize=512"], true, 8],
      [["medium.example", "+bufsize=1232"], false, 8],
    ];
    for (const [args, tcp, count] of sizes) {
      const output = await dig(addr.port, "TXT", ...args);
      (tcp ? assertMatch : assertNotMatch)(output, cut);
      assertMatch(output, new RegExp(`ANSWER: ${count},`));
      assertEquals(output.match(/ IN TXT "/g)?.length, count);
    }
    const ignored = await dig(addr.port, "TXT", "large.example", "+ignore");
    assertMatch(ignored, /flags: qr aa tc rd ra;.* ANSWER: 0,/);
  },
});

/** A port that leads to another one and counts connections. */
class Relay implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<unknown>;
  accepted = 0;

  constructor(port: number) {
    this.#running = this.#run(port);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
  }

  async #run(port: number): Promise<void> {
    const pipes: Promise<unknown>[] = [];
    for await (const near of this.#listener) {
      this.accepted++;
      const far = await Deno.connect({ hostname: "127.0.0.1", port });
      // A pipe that fails has closed both ends; there is nothing to report.
      pipes.push(near.readable.pipeTo(far.writable).catch(() => {}));
      pipes.push(far.readable.pipeTo(near.writable).catch(() => {}));
    }
    await Promise.all(pipes);
  }
}

Deno.test({
  name: "dns: dig sends several queries on one connection",
  ignore,
  async fn() {
    await using pair = new Pair();
    const { addr } = await pair.forwarder;
    await using relay = new Relay(addr.port);
    const output = await dig(
      relay.port,
      ...["+tcp", "+keepopen", "+short"],
      ...["www.example", "A", "www.example", "AAAA", "nope.example", "A"],
      ...["large.example", "TXT", "example", "MX"],
    );
    assertMatch(output, /^192\.0\.2\.1\n2001:db8::1\n("\d+ x+"\n){40}10 mail/);
    assertEquals(relay.accepted, 1);
  },
});
