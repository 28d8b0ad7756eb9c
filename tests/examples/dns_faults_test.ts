// Upstreams and clients that misbehave, and the protocol's finer points.

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { delay } from "@std/async";
import { Rcode } from "../../examples/dns/wire.ts";
import { connect } from "./dns_client.ts";
import { answer, bareReply, header, query, u16 } from "./dns_message.ts";
import { DnsService } from "./dns_service.ts";
import { hasTool, lookUp, type Tool } from "./dns_tools.ts";
import { closedFlag, TestUpstream, udpSocket } from "./dns_upstream.ts";
import { inPath } from "./in_path.ts";
import { Program } from "./program.ts";

const TRANSPORTS = ["udp", "tcp"] as const;
const TOOLS: readonly Tool[] = ["dig", "kdig"];

/** Far longer than any test takes, so none of them waits for the deadline. */
const PATIENT = "--timeout=60000";

const WWW = "www.example 300 A 192.0.2.1\n";

for (const rcode of ["FORMERR", "REFUSED", "NOTIMP", "SERVFAIL"] as const) {
  for (const transport of TRANSPORTS) {
    for (const tool of TOOLS) {
      Deno.test({
        name:
          `dns: ${tool} gets ${rcode} over ${transport} from an upstream that does not repeat the question`,
        ignore: !hasTool(tool),
        async fn() {
          await using upstream = await TestUpstream.open();
          upstream.autoReply = (query) => bareReply(query, Rcode[rcode]);
          await using dns = await DnsService.start(upstream.flag, PATIENT);
          const flag = transport === "udp" ? "+notcp" : "+tcp";
          const output = await lookUp(
            tool,
            dns.addr.port,
            ...["www.example", "A", flag],
          );
          assertMatch(output, new RegExp(`status: ${rcode}`));
          assertMatch(output, /QUERY: 1[,;]/);
          assertNotMatch(output, /mismatch|malformed|extra/i);
        },
      });
    }
  }
}

Deno.test("dns: ignores an error without a question from another port or with another id", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "udp");
  await client.send(query("www.example"));
  const { message, from, reply } = await upstream.next();
  const forger = udpSocket();
  await forger.send(bareReply(message, Rcode.REFUSED), from);
  forger.close();
  const other = bareReply(message, Rcode.REFUSED);
  other[0]! ^= 1;
  await reply(other);
  await reply(answer(message, [192, 0, 2, 1]));
  assertEquals(header((await client.receive())!).rcode, Rcode.NOERROR);
});

/** Arguments of the tools, and patterns in the reply of a server with records. */
const OWN: [args: string[], ...patterns: RegExp[]][] = [
  [["www.example", "+dnssec"], /NOERROR/, / flags: do;/i],
  [["nope.example", "+dnssec"], /NXDOMAIN/, / flags: do;/i],
  [["www.example", "TXT", "+dnssec"], /NOERROR/, / flags: do;/i],
  [
    ["www.example", "TXT"],
    /NOERROR/,
    /AUTHORITY: 1[,;]/,
    /^\. 60 IN SOA localhost\. nobody\.invalid\. 1 3600 600 86400 60$/m,
  ],
  [["nope.example"], /NXDOMAIN/, /AUTHORITY: 1[,;]/, /IN SOA localhost\./],
  [
    ["large.example", "TXT", "+ignore", "+dnssec"],
    /flags: qr aa tc/i,
    / flags: do;/i,
  ],
];

for (const tool of TOOLS) {
  Deno.test({
    name:
      `dns: ${tool} finds the DO bit and the SOA record in replies from a file`,
    ignore: !hasTool(tool),
    async fn() {
      const large = `large.example 300 TXT ${"x".repeat(9_000)}\n`;
      await using dns = await DnsService.withRecords(WWW + large);
      for (const [args, ...patterns] of OWN) {
        const output = await lookUp(tool, dns.addr.port, ...args);
        for (const pattern of patterns) {
          assertMatch(output, pattern);
        }
        assertNotMatch(output, /malformed|mismatch|extra/i);
      }
    },
  });
}

Deno.test({
  name: "dns: dig finds an OPT record in NOTIMP, and none without EDNS",
  ignore: !hasTool("dig"),
  async fn() {
    await using dns = await DnsService.withRecords(WWW);
    const { port } = dns.addr;
    const status = ["www.example", "+opcode=STATUS"];
    const edns = await lookUp("dig", port, ...status, "+edns=0");
    assertMatch(edns, /status: NOTIMP/);
    assertMatch(edns, /OPT PSEUDOSECTION/);
    const plain = await lookUp("dig", port, ...status, "+noedns");
    assertMatch(plain, /status: NOTIMP/);
    assertNotMatch(plain, /OPT PSEUDOSECTION/);
  },
});

Deno.test("dns: answers a message without a question with FORMERR and an OPT record", async () => {
  await using dns = await DnsService.withRecords(WWW);
  using client = await connect(dns, "udp");
  const opt = [0, ...u16(41, 1232, 0, 0, 0)];
  await client.send(
    Uint8Array.from([0x12, 0x34, ...u16(0x0100, 0, 0, 0, 1), ...opt]),
  );
  const received = (await client.receive())!;
  const { rcode, counts } = header(received);
  assertEquals([rcode, counts], [Rcode.FORMERR, [0, 0, 0, 1]]);
  assertEquals([...received.subarray(12)], [0, ...u16(41, 4096, 0, 0, 0)]);
});

for (const transport of TRANSPORTS) {
  for (const tool of TOOLS) {
    Deno.test({
      name:
        `dns: ${tool} gets SERVFAIL over ${transport}, with the DO and RA bits, before the deadline if the upstream is closed`,
      ignore: !hasTool(tool),
      async fn() {
        await using dns = await DnsService.start(closedFlag(), PATIENT);
        const flag = transport === "udp" ? "+notcp" : "+tcp";
        const output = await lookUp(
          tool,
          dns.addr.port,
          ...["www.example", "+dnssec", flag],
        );
        assertMatch(output, /status: SERVFAIL/);
        assertMatch(output, / flags:? qr rd ra[;]/i);
        assertMatch(output, / flags: do;/i);
      },
    });
  }
}

Deno.test("dns: sets RA in its own errors when it forwards, and not when it has records", async () => {
  const messages = [
    query("a", { flags: 0x1000 }),
    query("a", { type: 252 }),
    Uint8Array.from([0x12, 0x34, ...u16(0x0100, 0, 0, 0, 0)]),
    badVersion(),
  ];
  await using forwarder = await DnsService.start(closedFlag());
  await using records = await DnsService.withRecords(WWW);
  for (
    const [dns, expected] of [[forwarder, true], [records, false]] as const
  ) {
    using client = await connect(dns, "udp");
    for (const message of messages) {
      await client.send(message);
      const { recursionAvailable } = header((await client.receive())!);
      assertEquals(recursionAvailable, expected);
    }
  }
});

/** A query with EDNS version 1. */
function badVersion(): Uint8Array {
  const message = query("www.example", { udpSize: 1232 });
  message[message.length - 5] = 1;
  return message;
}

for (const transport of TRANSPORTS) {
  Deno.test(`dns: asks the other upstream over ${transport} if one is closed, and not the closed one again`, async () => {
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(
      ...[closedFlag(), upstream.flag, PATIENT],
    );
    using client = await connect(dns, transport);
    for (let id = 1; id <= 3; id++) {
      await client.send(query("www.example", { id }));
      const { message, reply } = await upstream.next();
      await reply(answer(message, [192, 0, 2, id]));
      assertEquals([...(await client.receive())!.slice(-4)], [192, 0, 2, id]);
      if (id === 1) {
        await dns.prints(/WARN upstream \S+ \(\w+\) is down: refused/);
      }
    }
  });

  Deno.test(`dns: asks the other upstream over ${transport} if one is silent, and not the silent one again until it is up`, async () => {
    await using silent = await TestUpstream.open();
    silent.silent = true;
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(
      ...[silent.flag, upstream.flag, "--timeout=4000"],
    );
    using client = await connect(dns, transport);
    for (let id = 1; id <= 3; id++) {
      await client.send(query("www.example", { id }));
      const { message, reply } = await upstream.next();
      await reply(answer(message, [192, 0, 2, id]));
      assertEquals([...(await client.receive())!.slice(-4)], [192, 0, 2, id]);
    }
    assertEquals(silent.waiting, 1);
    silent.silent = false;
    await dns.prints(/INFO upstream \S+ \(\w+\) is up again/);
    await client.send(query("www.example", { id: 9 }));
    await silent.next();
    const { message, reply } = await silent.next();
    await reply(answer(message, [192, 0, 2, 9]));
    assertEquals([...(await client.receive())!.slice(-4)], [192, 0, 2, 9]);
  });
}

Deno.test("dns: closes the connection of a client that drips a query byte by byte", async () => {
  await using dns = await DnsService.start(
    ...[closedFlag(), "--timeout=500", "--idle=500"],
  );
  const { hostname, port } = dns.addr;
  using conn = await Deno.connect({ hostname, port });
  let open = true;
  const ended = conn.read(new Uint8Array(1)).catch(() => null)
    .then((n) => {
      open = false;
      return n;
    });
  await conn.write(Uint8Array.of(0x0f, 0xff));
  while (open) {
    await conn.write(Uint8Array.of(0x61)).catch(() => {});
    await delay(5);
  }
  assertEquals(await ended, null);
});

for (const transport of TRANSPORTS) {
  Deno.test({
    name: `dns: fifty digs at once are one query upstream over ${transport}`,
    ignore: !hasTool("dig"),
    async fn() {
      await using upstream = await TestUpstream.open();
      await using dns = await DnsService.start(
        ...[upstream.flag, PATIENT, "--metrics=0"],
      );
      const flag = transport === "udp" ? "+notcp" : "+tcp";
      const outputs = Array.from(
        { length: 50 },
        () => lookUp("dig", dns.addr.port, "www.example", "A", flag),
      );
      const { message, reply } = await upstream.next();
      const all = `dns_queries_total{transport="${transport}"}`;
      for (;;) {
        const text = await (await fetch(`${dns.http}/metrics`)).text();
        if (samples(text).get(all) === 50) break;
        await delay(10);
      }
      await reply(answer(message, [192, 0, 2, 1]));
      for (const output of await Promise.all(outputs)) {
        assertMatch(output, /^www\.example\. 60 IN A 192\.0\.2\.1$/m);
      }
      assertEquals(upstream.waiting, 0);
      const text = await (await fetch(`${dns.http}/metrics`)).text();
      assertEquals(samples(text).get("dns_shared_total"), 49);
    },
  });
}

/** The samples of an exposition, by name with labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => /^[^#]/.test(line));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

Deno.test("dns: --metrics serves counters by rcode and upstream, until the end of the drain", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(
    ...[upstream.flag, PATIENT, "--metrics=0"],
  );
  using udp = await connect(dns, "udp");
  using tcp = await connect(dns, "tcp");
  for (const client of [udp, tcp]) {
    await client.send(query("www.example"));
    const { message, reply } = await upstream.next();
    await reply(answer(message, [192, 0, 2, 1]));
    await client.receive();
  }
  await udp.send(new Uint8Array(2), query("a", { flags: 0x1000 }));
  await udp.receive();
  await tcp.send(query("www.example"));
  const { message, reply } = await upstream.next();
  dns.kill("SIGTERM");
  const response = await fetch(`${dns.http}/metrics`);
  const text = await response.text();
  assertMatch(response.headers.get("content-type") ?? "", /version=0\.0\.4/);
  const values = samples(text);
  const at = (transport: string) =>
    `{upstream="${upstream.name}",transport="${transport}"`;
  const expected: [string, number][] = [
    ['dns_queries_total{transport="udp"}', 3],
    ['dns_queries_total{transport="tcp"}', 2],
    ['dns_replies_total{rcode="NOERROR"}', 2],
    ['dns_replies_total{rcode="NOTIMP"}', 1],
    ['dns_replies_total{rcode="SERVFAIL"}', 0],
    ['dns_dropped_total{reason="unanswerable"}', 1],
    ['dns_dropped_total{reason="overload"}', 0],
    ["dns_shared_total", 0],
    [`dns_upstream_queries_total${at("udp")}}`, 1],
    [`dns_upstream_queries_total${at("tcp")}}`, 2],
    [`dns_upstream_replies_total${at("udp")},rcode="NOERROR"}`, 1],
    [`dns_upstream_failures_total${at("udp")},reason="timeout"}`, 0],
    [`dns_upstream_up${at("udp")}}`, 1],
  ];
  for (const [name, value] of expected) {
    assertEquals(values.get(name), value, `${name}\n${text}`);
  }
  await checkFormat(text);
  const paths: [path: string, method: string, status: number][] = [
    ["/", "GET", 404],
    ["/metrics", "POST", 405],
    ["/metrics", "HEAD", 200],
  ];
  for (const [path, method, status] of paths) {
    const response = await fetch(dns.http + path, { method });
    await response.body?.cancel();
    assertEquals(response.status, status);
  }
  await reply(answer(message, [192, 0, 2, 1]));
  assertEquals((await dns.stopped()).answered, 4);
});

/** Has Prometheus' own checker read an exposition, if it is installed. */
async function checkFormat(text: string): Promise<void> {
  if (inPath("promtool") === undefined) return;
  const promtool = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = promtool.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await promtool.output();
  const output = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  assertEquals([code, output], [0, ""]);
}

Deno.test("dns: --log-level debug logs each query on one line, with control characters escaped", async () => {
  await using upstream = await TestUpstream.open();
  upstream.autoReply = (query) => answer(query, [192, 0, 2, 1]);
  await using dns = await DnsService.start(
    ...[upstream.flag, PATIENT, "--log-level=debug"],
  );
  using client = await connect(dns, "udp");
  await client.send(query("www.EXAMPLE", { type: 28 }));
  const [line] = await dns.prints(/DEBUG query from .*\n/);
  assertMatch(
    line,
    /^DEBUG query from 127\.0\.0\.1:\d+ \(udp\): www\.example\. AAAA: NOERROR by 127\.0\.0\.1:\d+, \d+ ms\n$/,
  );
  await client.send(query("a\x1b[2J\n\\ b.c", { type: 999 }));
  const [escaped] = await dns.prints(/DEBUG query from .*\n/);
  assert(
    escaped.includes(": a\\027\\0912j\\010\\092\\032b.c. TYPE999: NOERROR by"),
    escaped,
  );
  await client.send(query("a", { type: 252 }));
  await dns.prints(/DEBUG query from .*: a\. AXFR: REFUSED by us, \d+ ms\n/);
});

Deno.test("dns: --log-level error logs nothing about a service that runs well", async () => {
  const [, port] = /:(\d+)$/.exec(closedFlag())!;
  await using upstream = await TestUpstream.open();
  await using dns = new Program([
    ...["run", "--no-prompt", "--allow-net", "examples/dns/main.ts"],
    ...["--listen", port!, upstream.flag, "--log-level", "error"],
  ]);
  await accepts(Number(port));
  dns.kill("SIGTERM");
  assertEquals(await dns.ended, { code: 0, stdout: "", stderr: "" });
});

/** Waits until connections to a port are accepted. */
async function accepts(port: number): Promise<void> {
  for (;;) {
    try {
      using _conn = await Deno.connect({ hostname: "127.0.0.1", port });
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
    await delay(5);
  }
}
