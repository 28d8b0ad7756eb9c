// The forwarder as a process, with an upstream that answers when the test says so.

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { USAGE } from "../../examples/dns/options.ts";
import { frame, messages, Rcode } from "../../examples/dns/wire.ts";
import { connect } from "./dns_client.ts";
import { answer, header, query, questionEnd } from "./dns_message.ts";
import { DnsService, runDns } from "./dns_service.ts";
import { TestUpstream, udpSocket } from "./dns_upstream.ts";
import { Program } from "./program.ts";

/** The address in an answer. */
function addressOf(message: Uint8Array | undefined): number[] {
  return [...message?.subarray(-4) ?? []];
}

/** Waits until a service has noticed its signal and refuses connections. */
async function refuses(
  { addr: { hostname, port } }: DnsService,
): Promise<void> {
  for (;;) {
    try {
      using _conn = await Deno.connect({ hostname, port });
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      // The kernel had accepted it when the listener was closed.
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
    await delay(2);
  }
}

const PATIENT = "--timeout=60000";

for (const transport of ["udp", "tcp"] as const) {
  Deno.test(`dns: forwards a query over ${transport} with a random id, and restores the client's id`, async () => {
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(upstream.flag, PATIENT);
    using client = await connect(dns, transport);
    const ids = new Set<number>();
    const ports = new Set<number>();
    for (let i = 1; i <= 8; i++) {
      const sent = query("www.example", { id: 7, udpSize: 1232 });
      await client.send(sent);
      const asked = await upstream.next();
      assertEquals(asked.transport, transport);
      assertEquals(asked.message.subarray(2), sent.subarray(2));
      ids.add(header(asked.message).id);
      ports.add(asked.from.port);
      await asked.reply(answer(asked.message, [192, 0, 2, i]));
      const received = await client.receive();
      assertEquals(addressOf(received), [192, 0, 2, i]);
      assertEquals(header(received!).id, 7);
    }
    // Eight random values of 16 bits are hardly ever the same.
    assert(ids.size > 4 && ports.size > 4, `${[...ids]}, ${[...ports]}`);
    dns.kill("SIGTERM");
    const { udp, tcp, answered, failed, dropped } = await dns.stopped();
    assertEquals({ udp, tcp }, { udp: 0, tcp: 0, [transport]: 8 });
    assertEquals([answered, failed, dropped], [8, 0, 0]);
  });

  Deno.test(`dns: answers queries over ${transport} that are in flight at SIGTERM`, async () => {
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(upstream.flag, PATIENT);
    using client = await connect(dns, transport);
    await client.send(...[1, 2, 3].map((id) => query(`n${id}`, { id })));
    const asked = [];
    for (let i = 0; i < 3; i++) asked.push(await upstream.next());
    dns.kill("SIGTERM");
    await refuses(dns);
    for (const { message, reply } of asked) {
      await reply(answer(message, [192, 0, 2, 1]));
    }
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push(header((await client.receive())!).id);
    assertEquals(ids.sort(), [1, 2, 3]);
    // The connection is closed once the last answer is sent.
    if (transport === "tcp") assertEquals(await client.receive(), undefined);
    const { why, answered, failed } = await dns.stopped();
    assert(why.includes("SIGTERM"), why);
    assertEquals([answered, failed], [3, 0]);
  });

  Deno.test(`dns: replies SERVFAIL if the upstream never answers over ${transport}`, async () => {
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(upstream.flag, "--timeout=50");
    using client = await connect(dns, transport);
    const sent = query("www.example", { id: 9 });
    await client.send(sent);
    await upstream.next();
    const received = (await client.receive())!;
    const { id, rcode, counts } = header(received);
    assertEquals([id, rcode, counts], [9, Rcode.SERVFAIL, [1, 0, 0, 0]]);
    assertEquals(received.subarray(12), sent.subarray(12));
    dns.kill("SIGTERM");
    const { answered, failed } = await dns.stopped();
    assertEquals([answered, failed], [0, 1]);
  });

  Deno.test(`dns: ignores messages over ${transport} from the upstream that are no answer`, async () => {
    await using upstream = await TestUpstream.open();
    await using dns = await DnsService.start(upstream.flag, PATIENT);
    using client = await connect(dns, transport);
    await client.send(query("www.example"));
    const { message, reply } = await upstream.next();
    const wrongId = answer(message, [192, 0, 2, 2]);
    wrongId[0]! ^= 1;
    const wrongName = answer(message, [192, 0, 2, 3]);
    wrongName[13]! ^= 1;
    for (const wrong of [wrongId, wrongName, message, message.slice(0, 5)]) {
      await reply(wrong);
    }
    await reply(answer(message, [192, 0, 2, 1]));
    assertEquals(addressOf(await client.receive()), [192, 0, 2, 1]);
  });
}

Deno.test("dns: ignores a forged answer from another port", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "udp");
  await client.send(query("www.example"));
  const { message, from, reply } = await upstream.next();
  const forger = udpSocket();
  // Both are queued at one socket, in this order.
  await forger.send(answer(message, [192, 0, 2, 66]), from);
  await reply(answer(message, [192, 0, 2, 1]));
  forger.close();
  assertEquals(addressOf(await client.receive()), [192, 0, 2, 1]);
});

Deno.test("dns: replies SERVFAIL before its deadline if the upstream refuses TCP connections", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using dns = await DnsService.start(
    ...[`--upstream=127.0.0.1:${port}`, PATIENT],
  );
  using client = await connect(dns, "tcp");
  await client.send(query("www.example"));
  assertEquals(header((await client.receive())!).rcode, Rcode.SERVFAIL);
});

Deno.test("dns: relays the TC bit of the upstream", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "udp");
  await client.send(query("www.example"));
  const { message, reply } = await upstream.next();
  const cut = message.slice();
  cut.set([0x83, 0x80], 2);
  await reply(cut);
  assert(header((await client.receive())!).truncated);
});

Deno.test("dns: cuts an answer that is longer than the client allows", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "udp");
  for (const udpSize of [undefined, 512, 1232, 4096, 65_535]) {
    const sent = query("a", udpSize === undefined ? {} : { udpSize });
    const limit = Math.min(udpSize ?? 512, 4096);
    const head = questionEnd(sent) + 12;
    for (const size of [limit, limit + 1]) {
      await client.send(sent);
      const { message, reply } = await upstream.next();
      await reply(answer(message, Array(size - head).fill(1)));
      const received = (await client.receive())!;
      const { truncated, counts } = header(received);
      assertEquals(truncated, size > limit);
      if (truncated) assertEquals(counts.slice(0, 3), [1, 0, 0]);
      else assertEquals(received.length, size);
    }
  }
});

Deno.test("dns: sends replies on one connection as they are ready", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "tcp");
  const asked = [];
  for (const id of [1, 2, 3]) {
    await client.send(query(`n${id}`, { id }));
    asked.push(await upstream.next());
  }
  for (const id of [3, 1, 2]) {
    const { message, reply } = asked[id - 1]!;
    await reply(answer(message, [192, 0, 2, id]));
    const received = (await client.receive())!;
    assertEquals(header(received).id, id);
    assertEquals(addressOf(received), [192, 0, 2, id]);
  }
});

Deno.test("dns: handles 16 queries of one connection at once, and the next ones after them", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using greedy = await connect(dns, "tcp");
  using modest = await connect(dns, "tcp");
  const ids = Array.from({ length: 18 }, (_, i) => i);
  await greedy.send(...ids.map((id) => query(`greedy${id}`, { id })));
  const asked = [];
  for (let i = 0; i < 16; i++) asked.push(await upstream.next());
  await modest.send(query("modest"));
  const other = await upstream.next();
  assertEquals(
    other.message.subarray(13, 19),
    new TextEncoder().encode("modest"),
  );
  asked.push(other);
  for (let i = 0; i < 19; i++) {
    const { message, reply } = asked.shift() ?? await upstream.next();
    await reply(answer(message, [192, 0, 2, 1]));
  }
  const got = [];
  for (let i = 0; i < 18; i++) got.push(header((await greedy.receive())!).id);
  assertEquals(got.sort((a, b) => a - b), ids);
  assertEquals(addressOf(await modest.receive()), [192, 0, 2, 1]);
});

Deno.test("dns: answers the queries in flight at SIGTERM on a connection with more queries than its share", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "tcp");
  // More than the server reads ahead to notice that a client has left.
  const ids = Array.from({ length: 2_000 }, (_, id) => id);
  await client.send(...ids.map((id) => query(`n${id}`, { id })));
  const asked = [];
  for (let i = 0; i < 16; i++) asked.push(await upstream.next());
  dns.kill("SIGTERM");
  await refuses(dns);
  // One more may have been read and may wait for its turn.
  const late = upstream.next();
  for (const { message, reply } of asked) {
    await reply(answer(message, [192, 0, 2, 1]));
  }
  late.then(({ message, reply }) => reply(answer(message, [192, 0, 2, 1])));
  let answers = 0;
  while (await client.receive() !== undefined) answers++;
  assert(answers === 16 || answers === 17, `${answers}`);
  assertEquals((await dns.stopped()).answered, answers);
});

Deno.test("dns: closes a connection after its idle time", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(
    ...[upstream.flag, "--timeout=30", "--idle=30"],
  );
  using client = await connect(dns, "tcp");
  assertEquals(await client.receive(), undefined);
  // If the service had crashed, the connection would end just the same.
  dns.kill("SIGTERM");
  assertEquals((await dns.stopped()).tcp, 0);
});

Deno.test("dns: keeps an idle connection open while its query is in flight", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT, "--idle=1");
  using client = await connect(dns, "tcp");
  await client.send(query("www.example"));
  const received = client.receive();
  const asked = await Promise.race([upstream.next(), received]);
  assert(asked !== undefined && "reply" in asked, "it was closed");
  await asked.reply(answer(asked.message, [192, 0, 2, 1]));
  assertEquals(addressOf(await received), [192, 0, 2, 1]);
});

Deno.test("dns: closes an idle connection at SIGTERM", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using client = await connect(dns, "tcp");
  await client.send(query("www.example"));
  const { message, reply } = await upstream.next();
  await reply(answer(message, [192, 0, 2, 1]));
  await client.receive();
  dns.kill("SIGTERM");
  assertEquals(await client.receive(), undefined);
  assertEquals((await dns.stopped()).tcp, 1);
});

Deno.test("dns: opens 32 connections to an upstream at once, while other TCP queries wait", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  using clients = new DisposableStack();
  const asking = [];
  for (let i = 0; i < 3; i++) {
    const client = clients.use(await connect(dns, "tcp"));
    await client.send(
      ...Array.from({ length: 16 }, (_, n) => query(`n${i}x${n}`)),
    );
    for (let n = 0; n < 16; n++) asking.push(client.receive());
  }
  const asked = [];
  for (let i = 0; i < 32; i++) asked.push(await upstream.next());
  using other = await connect(dns, "udp");
  await other.send(query("a"));
  const next = await upstream.next();
  assertEquals(next.transport, "udp");
  for (let i = 0; i < 48; i++) {
    const { message, reply } = asked.shift() ?? await upstream.next();
    await reply(answer(message, [192, 0, 2, 1]));
  }
  for (const received of asking) {
    assertEquals(addressOf(await received), [192, 0, 2, 1]);
  }
});

const WWW = "www.example 300 A 192.0.2.1\n";

Deno.test("dns: answers a client that has closed its side of the connection", async () => {
  await using upstream = await TestUpstream.open();
  await using dns = await DnsService.start(upstream.flag, PATIENT);
  const { hostname, port } = dns.addr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(frame(query("www.example")));
  await conn.closeWrite();
  const { message, reply } = await upstream.next();
  // By the time others have been answered, the service has seen that it closed.
  using other = await connect(dns, "tcp");
  for (let i = 0; i < 10; i++) {
    await other.send(query("a"));
    const { message, reply } = await upstream.next();
    await reply(answer(message, [192, 0, 2, 2]));
    await other.receive();
  }
  await reply(answer(message, [192, 0, 2, 1]));
  const answers = await Array.fromAsync(messages(conn, 65_535));
  assertEquals(answers.map(addressOf), [[192, 0, 2, 1]]);
});

Deno.test("dns: closes the 65th connection until another one has ended", async () => {
  await using dns = await DnsService.withRecords(WWW);
  using clients = new DisposableStack();
  const ask = async () => {
    const client = await connect(dns, "tcp");
    clients.use(client);
    await client.send(query("www.example")).catch(() => {});
    return await client.receive().catch(() => undefined);
  };
  for (let i = 0; i < 64; i++) assert(await ask() !== undefined);
  assertEquals(await ask(), undefined);
  clients.dispose();
  using again = new DisposableStack();
  for (;;) {
    const client = await connect(dns, "tcp");
    again.use(client);
    await client.send(query("www.example")).catch(() => {});
    if (await client.receive().catch(() => undefined) !== undefined) break;
  }
});

Deno.test("dns: gives replies and garbage over UDP no reply", async () => {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  console.log(`seed ${seed}`);
  let state = seed;
  const random = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
  await using dns = await DnsService.withRecords(WWW);
  using client = await connect(dns, "udp");
  await client.send(new Uint8Array(), new Uint8Array(2));
  await client.send(answer(query("www.example"), [192, 0, 2, 1]));
  // Few enough for the receive buffer of the kernel.
  for (let i = 0; i < 60; i++) {
    const garbage = Uint8Array.from({ length: random(60) }, () => random(256));
    // The QR bit makes sure that only the query below gets a reply.
    if (garbage.length > 2) garbage[2]! |= 0x80;
    await client.send(garbage);
  }
  await client.send(query("www.example", { id: 77 }));
  const received = (await client.receive())!;
  assertEquals([header(received).id, addressOf(received)], [77, [
    192,
    0,
    2,
    1,
  ]]);
  dns.kill("SIGTERM");
  const { udp, answered, dropped } = await dns.stopped();
  assertEquals([udp, answered, dropped], [64, 1, 63]);
});

Deno.test("dns: survives garbage over TCP, which costs its connection at most", async () => {
  await using dns = await DnsService.withRecords(WWW);
  const { hostname, port } = dns.addr;
  const garbage = [
    Uint8Array.of(0),
    Uint8Array.of(0, 0, 0, 0, 0, 1, 9),
    Uint8Array.of(0, 50, 1, 2, 3),
    Uint8Array.of(0xff, 0xff, ...Array(3000).fill(0xff)),
    Uint8Array.of(0x10, 0x01, ...Array(4097).fill(0)),
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"),
    crypto.getRandomValues(new Uint8Array(5000)),
  ];
  for (const bytes of garbage) {
    using conn = await Deno.connect({ hostname, port });
    await conn.write(bytes);
  }
  using client = await connect(dns, "tcp");
  // A malformed message with a valid length leaves the connection open.
  await client.send(new Uint8Array(), Uint8Array.of(1, 2, 3, 4, 5));
  assertEquals(header((await client.receive())!).rcode, Rcode.FORMERR);
  await client.send(query("www.example"));
  assertEquals(addressOf(await client.receive()), [192, 0, 2, 1]);
});

Deno.test("dns: --help prints the usage", async () => {
  const { code, stdout, stderr } = await runDns("--help");
  assertEquals([code, stdout, stderr], [0, `${USAGE}\n`, ""]);
});

Deno.test("dns: reports a malformed flag in one line on stderr and exits with code 2", async () => {
  const { code, stdout, stderr } = await runDns("--listen=x", "--records=a");
  assertEquals([code, stdout], [2, ""]);
  assertEquals(
    stderr,
    'dns: --listen must be a port or HOST:PORT, with a port up to 65535; got "x"\n',
  );
});

Deno.test("dns: reports a port in use in one line on stderr and exits with code 1", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const { code, stdout, stderr } = await runDns(
    ...["--listen", `${port}`, "--upstream", "192.0.2.1:53"],
  );
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    `dns: --listen 127.0.0.1:${port}: port ${port} is already in use\n`,
  );
});

Deno.test("dns: reports a missing permission in one line on stderr and exits with code 2", async () => {
  const permissions: [flag: string, lacks: string][] = [
    ["--allow-net=127.0.0.1", "192.0.2.1:53"],
    ["--allow-net=127.0.0.1,192.0.2.1", "0.0.0.0:0"],
  ];
  for (const [flag, lacks] of permissions) {
    await using dns = new Program([
      ...["run", "--no-prompt", flag, "examples/dns/main.ts"],
      ...["--listen", "0", "--upstream", "192.0.2.1:53"],
    ]);
    const { code, stdout, stderr } = await dns.ended;
    assertEquals([code, stdout], [2, ""]);
    assertEquals(
      stderr,
      `dns: --upstream needs net access to ${lacks}, run again with --allow-net\n`,
    );
  }
});

Deno.test("dns: reports a missing or malformed file in one line on stderr and exits with code 2", async () => {
  const missing = await runDns("--records=no/such/file");
  assertEquals([missing.code, missing.stdout], [2, ""]);
  assert(
    /^dns: --records must be a file that can be read: .*'no\/such\/file'\n$/
      .test(missing.stderr),
    missing.stderr,
  );
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, `${WWW}\nwww.example 300 A 192.0.2\n`);
  const bad = await runDns(`--records=${file}`);
  await Deno.remove(file);
  assertEquals([bad.code, bad.stdout], [2, ""]);
  assertEquals(
    bad.stderr,
    `dns: ${file}, line 3: the value of an A must be an address such as ` +
      '192.0.2.1; got "192.0.2"\n',
  );
});
