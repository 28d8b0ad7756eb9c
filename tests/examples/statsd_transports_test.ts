// Every transport, with a real client, and its end.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async";
import { connect } from "node:net";
import { Writable } from "node:stream";
// deno-lint-ignore no-import-prefix -- a client for tests only
import { type ClientOptions, StatsD } from "npm:hot-shots@17.1.1";
import { MAX_LINE } from "../../examples/statsd/parse.ts";
import { runStatsd, StatsdService } from "./statsd_service.ts";

const encoder = new TextEncoder();

/** Path of a socket in a directory that is removed afterwards. */
class SocketPath implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly path = `${this.#directory}/statsd.sock`;

  [Symbol.dispose](): void {
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

/** Unix datagram socket that sends to another one. */
class UnixSender implements Disposable {
  readonly #to: Deno.UnixAddr;
  readonly #path: string;
  readonly #conn: Deno.DatagramConn;

  constructor(path: string) {
    this.#to = { transport: "unixpacket", path };
    this.#path = `${path}.client`;
    this.#conn = Deno.listenDatagram({
      transport: "unixpacket",
      path: this.#path,
    });
  }

  async send(text: string): Promise<void> {
    await this.#conn.send(encoder.encode(text), this.#to);
  }

  [Symbol.dispose](): void {
    this.#conn.close();
    Deno.removeSync(this.#path);
  }
}

async function write(conn: Deno.Conn, text: string): Promise<void> {
  const data = encoder.encode(text);
  for (let at = 0; at < data.length;) at += await conn.write(data.subarray(at));
}

/** Sends six metrics `count` times with hot-shots, in packets. */
async function sendMetrics(
  options: ClientOptions,
  count: number,
  pause: (sent: number) => Promise<void>,
): Promise<void> {
  const client = new StatsD({
    ...{ datadog: false, includeDataDogTags: false, maxBufferSize: 1_000 },
    ...options,
  });
  const flush = () =>
    new Promise<void>((resolve, reject) =>
      client.flush((error) => error ? reject(error) : resolve())
    );
  for (let i = 1; i <= count; i++) {
    client.increment("counter", i, ["way:in"]);
    client.increment("sampled", 1, 1);
    client.gauge("gauge", i);
    client.timing("timing", i);
    client.histogram("histogram", i);
    client.set("set", i);
    if (i % 50 !== 0) continue;
    await flush();
    await pause(6 * i);
  }
  await flush();
  await new Promise<void>((resolve) => client.close(() => resolve()));
}

const TRANSPORTS = ["udp", "tcp", "unixgram"] as const;

for (const transport of TRANSPORTS) {
  Deno.test(`6,000 metrics of hot-shots over ${transport} add up exactly`, async () => {
    using socket = new SocketPath();
    await using service = await StatsdService.start(
      ...["--tcp", "0", "--unixgram", socket.path],
    );
    using sender = new UnixSender(socket.path);
    // Its own Unix transport is a native add-on; a stream replaces it, with one
    // datagram per write.
    const stream = new Writable({
      decodeStrings: false,
      write(text, _encoding, callback) {
        sender.send(text).then(() => callback(), callback);
      },
    });
    const { hostname, port } = service[transport === "tcp" ? "tcp" : "udp"];
    const n = 1_000;
    await sendMetrics(
      transport === "unixgram"
        ? { protocol: "stream", stream }
        : { protocol: transport, host: hostname, port },
      n,
      // The kernel drops packets when its buffer holds a few hundred of them.
      (sent) => service.reaches("statsd_lines_total", sent),
    );
    const samples = await service.scrape();
    const sum = n * (n + 1) / 2;
    for (
      const [name, value] of [
        ['counter{way="in"}', sum],
        ["sampled", n],
        ["gauge", n],
        ["timing_sum", sum / 1000],
        ["timing_count", n],
        ["histogram_sum", sum],
        ["histogram_count", n],
        ["set", n],
        ["statsd_lines_total", 6 * n],
      ] as const
    ) assertEquals(samples.get(name), value, name);
    service.kill("SIGTERM");
    const stopped = await service.stopped();
    assertEquals([stopped.lines, stopped.errors], [6 * n, 0]);
    for (const other of TRANSPORTS) {
      assertEquals(stopped[other].bytes > 0, other === transport, other);
    }
  });
}

Deno.test("a last line without a newline counts when its connection is closed", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  const conn = await Deno.connect(service.tcp);
  await write(conn, "a:1|c\na:20|c");
  conn.close();
  await service.reaches("a", 21);
});

Deno.test("a last line without a newline counts when its connection is reset", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  const { hostname, port } = service.tcp;
  const socket = connect({ host: hostname, port });
  await new Promise((resolve) => socket.write("a:1|c\na:20|c", resolve));
  // Once the first line is counted, the second has been received.
  await service.reaches("a", 1);
  socket.resetAndDestroy();
  await service.reaches("a", 21);
});

Deno.test("SIGTERM loses nothing of connections that stay open", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  using stack = new DisposableStack();
  const conns: Deno.TcpConn[] = [];
  for (let i = 0; i < 20; i++) {
    conns.push(stack.use(await Deno.connect(service.tcp)));
  }
  const line = "a:1|c\n";
  for (let round = 0; round < 50; round++) {
    for (const conn of conns) await write(conn, line.repeat(40));
  }
  // The last line of each has no newline but was received all the same.
  for (const conn of conns) await write(conn, "a:1|c");
  service.kill("SIGTERM");
  const { lines, samples, errors, tcp } = await service.stopped();
  assertEquals([lines, samples, errors], [40_020, 40_020, 0]);
  assertEquals([tcp.received, tcp.failed, tcp.dropped], [20, 0, 0]);
});

Deno.test("SIGTERM loses nothing of more connections than Deno reads at a time", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  using stack = new DisposableStack();
  const conns: Deno.TcpConn[] = [];
  for (let i = 0; i < 900; i++) {
    conns.push(stack.use(await Deno.connect(service.tcp)));
  }
  await service.reaches('statsd_backlog{transport="tcp"}', conns.length);
  // While the service is stopped, the kernel buffers so much that reading it takes
  // longer than a silence.
  service.kill("SIGSTOP");
  const lines = "abc.def:1|c|#a:b\n".repeat(1_000);
  await Promise.all(conns.map((conn) => write(conn, lines)));
  service.kill("SIGTERM");
  service.kill("SIGCONT");
  const { samples, tcp } = await service.stopped();
  assertEquals([samples, tcp.failed], [900_000, 0]);
});

Deno.test("SIGTERM ends connections that never stop", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  using conn = await Deno.connect(service.tcp);
  let running = true;
  service.ended.finally(() => running = false);
  let sent = 0;
  const sending = (async () => {
    for (; running; sent++) {
      await write(conn, "a:1|c\n");
      await delay(1);
    }
  })().catch(() => {
    // The service has closed the connection.
  });
  await service.reaches("a", 1);
  const before = sent;
  service.kill("SIGTERM");
  const { samples, tcp } = await service.stopped();
  await sending;
  assert(samples >= before, `${samples} of ${before}`);
  assertEquals([tcp.received, tcp.failed], [1, 0]);
});

Deno.test("SIGTERM loses nothing of connections that are not accepted yet", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  // While the service is stopped, the kernel completes the connections.
  service.kill("SIGSTOP");
  for (let i = 0; i < 50; i++) {
    using conn = await Deno.connect(service.tcp);
    await write(conn, "a:1|c");
  }
  service.kill("SIGTERM");
  service.kill("SIGCONT");
  const { lines } = await service.stopped();
  assertEquals(lines, 50);
});

Deno.test("SIGTERM loses nothing that a Unix socket has received", async () => {
  using socket = new SocketPath();
  await using service = await StatsdService.start("--unixgram", socket.path);
  using sender = new UnixSender(socket.path);
  for (let i = 0; i < 2_000; i++) await sender.send("a:1|c\nb:1|c");
  service.kill("SIGTERM");
  const { lines, unixgram } = await service.stopped();
  assertEquals([lines, unixgram.received], [4_000, 2_000]);
  await assertRejects(() => Deno.lstat(socket.path), Deno.errors.NotFound);
});

Deno.test("a connection that never ends its line costs one error", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  using conn = await Deno.connect(service.tcp);
  const part = "x".repeat(MAX_LINE);
  for (let i = 0; i < 100; i++) await write(conn, part);
  await write(conn, "\na:1|c\n");
  await service.reaches("a", 1);
  assertEquals(
    await service.sample('statsd_sample_errors_total{reason="line_too_long"}'),
    1,
  );
  assertEquals(await service.sample("statsd_lines_total"), 2);
});

Deno.test("a connection leaves statsd_backlog when its client closes it", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  const held = 'statsd_backlog{transport="tcp"}';
  const conn = await Deno.connect(service.tcp);
  await service.reaches(held, 1);
  conn.close();
  await service.falls(held, 0);
});

Deno.test("--unixgram takes over the socket of a killed service, and none in use", async () => {
  using socket = new SocketPath();
  {
    await using killed = await StatsdService.start("--unixgram", socket.path);
    killed.kill("SIGKILL");
    await killed.ended;
  }
  await Deno.lstat(socket.path);
  await using service = await StatsdService.start("--unixgram", socket.path);
  using sender = new UnixSender(socket.path);
  await sender.send("a:1|c");
  await service.reaches("a", 1);
  const second = await runStatsd(
    ...["--udp", "0", "--http", "0", "--unixgram", socket.path],
  );
  assertEquals([second.code, second.stdout], [1, ""]);
  assertStringIncludes(
    second.stderr,
    `--unixgram ${socket.path}: it is in use`,
  );
  await sender.send("a:1|c");
  await service.reaches("a", 2);
});

Deno.test("a service leaves the socket of another service alone at its end", async () => {
  using socket = new SocketPath();
  await using first = await StatsdService.start("--unixgram", socket.path);
  Deno.removeSync(socket.path);
  await using second = await StatsdService.start("--unixgram", socket.path);
  first.kill("SIGTERM");
  await first.stopped();
  using sender = new UnixSender(socket.path);
  await sender.send("a:1|c");
  await second.reaches("a", 1);
});

Deno.test("a service that cannot remove its socket still exits with 0", async () => {
  using socket = new SocketPath();
  const directory = `${socket.path}.d`;
  Deno.mkdirSync(directory);
  await using service = await StatsdService.start(
    ...["--unixgram", `${directory}/statsd.sock`],
  );
  Deno.renameSync(directory, `${directory}.moved`);
  Deno.writeTextFileSync(directory, "a file where the directory was");
  service.kill("SIGTERM");
  const { code, stdout, stderr } = await service.ended;
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "stopped (");
});

Deno.test("--unixgram leaves a file alone that is not a socket", async () => {
  using socket = new SocketPath();
  await Deno.writeTextFile(socket.path, "precious");
  const { code, stderr } = await runStatsd(
    ...["--udp", "0", "--http", "0", "--unixgram", socket.path],
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, `--unixgram ${socket.path}: it is in use`);
  assertEquals(await Deno.readTextFile(socket.path), "precious");
});
