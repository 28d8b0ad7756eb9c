// Restarts under load, with real processes and clients that retry nothing.
//
// Raw TCP, because fetch would hide what is looked for: it opens a new
// connection by itself where the old one has gone.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Ended, Program } from "./program.ts";

const RESTARTED =
  /restarted: process (?<now>\d+) has replaced process (?<old>\d+)\n/;

/** A program of examples/patterns; `await using` kills it if it still runs. */
class Restartable implements AsyncDisposable {
  readonly #program: Program;

  constructor(name: string, ...flags: string[]) {
    this.#program = new Program([
      ...["run", "--unstable-net", "-A", `examples/patterns/${name}`],
      ...["--port", "0", ...flags],
    ]);
  }

  /** Waits until it listens, and tells where. */
  async port(): Promise<number> {
    const [, port] = await this.#program.prints(/listening on port (\d+)\n/);
    return Number(port);
  }

  /** Has it restart, and waits until the old process has ended. */
  async restart(): Promise<{ now: string; old: string }> {
    this.#program.kill("SIGHUP");
    const { groups = {} } = await this.#program.prints(RESTARTED);
    return { now: groups["now"] ?? "", old: groups["old"] ?? "" };
  }

  /** Kills the parent, and waits until the server has ended too: it holds the
   * other end of stderr. */
  async die(): Promise<string> {
    this.#program.kill("SIGKILL");
    return (await this.#program.ended).stderr;
  }

  /** Ends it, and gives its exit code and what is on its stderr. */
  async end(): Promise<Ended> {
    this.#program.kill("SIGTERM");
    return await this.#program.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** A reply, as far as a client of these tests wants to know. */
interface Reply {
  status: string;
  body: string;
  /** True if it asks for a new connection. */
  close: boolean;
}

/** A connection on which one request follows the other. */
class Connection implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #buffer = new Uint8Array(4096);

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async open(port: number): Promise<Connection> {
    return new Connection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async request(target: string, ...headers: string[]): Promise<Reply> {
    const head = [`GET ${target} HTTP/1.1`, "Host: test", ...headers];
    await this.#conn.write(
      new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`),
    );
    let text = "";
    for (;;) {
      const reply = parseReply(text);
      if (reply !== undefined) return reply;
      const length = await this.#conn.read(this.#buffer);
      if (length === null) throw new Error(`closed after "${text}"`);
      text += new TextDecoder().decode(this.#buffer.subarray(0, length));
    }
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/** The reply, if `text` has all of it; its body is ASCII. */
function parseReply(text: string): Reply | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = text.slice(0, end).toLowerCase();
  const body = text.slice(end + 4);
  const length = /content-length: (\d+)/.exec(head)?.[1];
  if (length === undefined) throw new Error(`no content-length: "${text}"`);
  if (body.length < Number(length)) return undefined;
  return {
    status: head.slice("http/1.1 ".length).split(" ")[0] ?? "",
    body,
    close: /^connection: close/m.test(head),
  };
}

/** Clients that each send one request after the other until they are disposed. */
class Load implements AsyncDisposable {
  /** Errors, one for each lost request. */
  readonly lost: unknown[] = [];
  /** Number of replies by body. */
  readonly bodies = new Map<string, number>();
  readonly #port: number;
  readonly #headers: string[];
  readonly #clients: Promise<void>[];
  #changed = Promise.withResolvers<void>();
  #stopped = false;

  constructor(port: number, clients: number, ...headers: string[]) {
    this.#port = port;
    this.#headers = headers;
    this.#clients = Array.from({ length: clients }, () => this.#run());
  }

  /** Waits until `count` more replies of process `pid` have come. */
  async hears(pid: string, count: number): Promise<void> {
    const body = `process ${pid}\n`;
    const enough = (this.bodies.get(body) ?? 0) + count;
    while ((this.bodies.get(body) ?? 0) < enough) await this.#changed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        using connection = await Connection.open(this.#port);
        let close = false;
        while (!close && !this.#stopped) {
          const reply = await connection.request("/?ms=5", ...this.#headers);
          assertEquals(reply.status, "200");
          this.bodies.set(reply.body, (this.bodies.get(reply.body) ?? 0) + 1);
          this.#changed.resolve();
          this.#changed = Promise.withResolvers();
          close = reply.close;
        }
      } catch (error) {
        this.lost.push(error);
        // Nothing more to learn; and nothing would come that others wait for.
        if (this.lost.length > 100) throw error;
      }
    }
  }
}

/** Restarts a program five times under load. */
async function restartUnderLoad(
  program: Restartable,
  ...headers: string[]
): Promise<void> {
  const port = await program.port();
  const load = new Load(port, 8, ...headers);
  {
    await using _clients = load;
    let last = "";
    for (let i = 0; i < 5; i++) {
      const { now, old } = await program.restart();
      assertNotEquals(now, old);
      if (last !== "") assertEquals(old, last);
      last = now;
      // The new process is all there is, and everybody gets on with it.
      await load.hears(now, 50);
    }
  }
  assertEquals(load.lost, []);
  assertEquals(load.bodies.size, 6);
  const { code, stderr } = await program.end();
  assertEquals(code, 0, stderr);
  assertEquals(stderr.match(/has ended: .*forced 0$/gm)?.length, 6, stderr);
}

/** restart.ts needs Linux, the only one to share a port out between listeners. */
const ignore = Deno.build.os !== "linux";

/** Time for each client to come back many times, and for a request that has been
 * sent to be read: on slow machines too. */
const lameDuck = ["--lame-duck", "1000"];

/** Flags that are none, and what is said of them. */
const refused: Record<string, string> = {
  "--prot=8000":
    'unknown argument "--prot=8000"; there are --port, --lame-duck and --grace',
  "8000": 'unknown argument "8000"; there are --port, --lame-duck and --grace',
  "--port=x": '--port must be a number from 0 to 65535, got "x"',
  "--port=65536": '--port must be a number from 0 to 65535, got "65536"',
  "--lame-duck=1.5":
    '--lame-duck must be a number from 0 to 3600000, got "1.5"',
  "--grace=": '--grace must be a number from 0 to 3600000, got ""',
};

for (const name of ["restart.ts", "restart_shared_fd.ts"]) {
  for (const [flag, message] of Object.entries(refused)) {
    Deno.test(`${name}: does not take ${flag}`, async () => {
      const file = `examples/patterns/${name}`;
      await using program = new Program([
        ...["run", "--unstable-net", "-A", file, flag],
      ]);
      const { code, stdout, stderr } = await program.ended;
      assertEquals(stderr, `${message}\n`);
      assertEquals([code, stdout], [2, ""]);
    });
  }

  Deno.test({
    name: `${name}: keep-alive clients lose no request`,
    ignore,
    async fn() {
      await using program = new Restartable(name, ...lameDuck);
      await restartUnderLoad(program);
    },
  });

  Deno.test({
    name: `${name}: a request in flight is finished by the old process`,
    ignore,
    async fn() {
      await using program = new Restartable(name, ...lameDuck);
      using connection = await Connection.open(await program.port());
      const first = await connection.request("/");
      const slow = connection.request("/?ms=2000");
      const { old } = await program.restart();
      const reply = await slow;
      assertEquals(first.body, `process ${old}\n`);
      assertEquals([reply.status, reply.body], ["200", first.body]);
      const { code, stderr } = await program.end();
      assertEquals(code, 0, stderr);
    },
  });

  Deno.test({
    name: `${name}: a request in flight ends with the grace period`,
    ignore,
    async fn() {
      await using program = new Restartable(
        name,
        ...lameDuck,
        "--grace",
        "100",
      );
      using connection = await Connection.open(await program.port());
      await connection.request("/");
      // serveHttp answers 503; node:http cuts the connection.
      const ended = connection.request("/?ms=3600000")
        .then(({ status }) => status, () => "cut");
      await program.restart();
      assertEquals(await ended, name === "restart.ts" ? "503" : "cut");
      const { code, stderr } = await program.end();
      assertEquals(code, 0, stderr);
      assert(stderr.includes("forced 1"), stderr);
    },
  });

  Deno.test({
    name: `${name}: where the parent dies, the server drains and ends`,
    ignore,
    async fn() {
      await using program = new Restartable(name, ...lameDuck);
      using connection = await Connection.open(await program.port());
      await connection.request("/");
      const slow = connection.request("/?ms=1500");
      const stderr = await program.die();
      assertEquals((await slow).status, "200");
      assert(stderr.includes("forced 0"), stderr);
    },
  });
}

Deno.test({
  name: "restart_shared_fd.ts: a connection for each request loses none either",
  ignore,
  async fn() {
    await using program = new Restartable("restart_shared_fd.ts");
    await restartUnderLoad(program, "Connection: close");
  },
});
