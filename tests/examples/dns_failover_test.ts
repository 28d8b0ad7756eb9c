import { assert, assertEquals, assertRejects } from "@std/assert";
import { BaseHandler, setup } from "@std/log";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type Context,
  DeadlineExceeded,
  group,
  withCancel,
  withTimeout,
} from "@curfew/context";
import {
  type Answer,
  Failover,
  type Server,
} from "../../examples/dns/failover.ts";
import { type Query, Rcode, readQuery } from "../../examples/dns/wire.ts";
import { answer, query } from "./dns_message.ts";

/** A server in the test: it answers, refuses, is silent, or is closed. */
class FakeServer implements Server {
  readonly transport = "udp";
  readonly name: string;
  mode: "silent" | "closed" | keyof typeof Rcode;
  /** Times in ms of the queries and of the checks. */
  readonly asked: number[] = [];
  readonly checked: number[] = [];

  constructor(name: string, mode: FakeServer["mode"] = "NOERROR") {
    this.name = name;
    this.mode = mode;
  }

  async ask(ctx: Context, _query: Query): Promise<Uint8Array> {
    this.asked.push(Date.now());
    return await this.#reply(ctx);
  }

  async check(ctx: Context): Promise<void> {
    this.checked.push(Date.now());
    await this.#reply(ctx);
  }

  async #reply(ctx: Context): Promise<Uint8Array> {
    if (this.mode === "closed") throw new Deno.errors.ConnectionRefused();
    if (this.mode === "silent") {
      await ctx.done;
      throw ctx.err;
    }
    const message = answer(query("a"), [192, 0, 2, 1]);
    message[3] = 0x80 | Rcode[this.mode];
    return message;
  }
}

/** Replaces Math.random by one fraction until it is disposed. */
function withRandom(fraction: number): Disposable {
  const { random } = Math;
  Math.random = () => fraction;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** Collects the lines of the log until it is disposed. */
function logTo(lines: string[]): Disposable {
  class Collector extends BaseHandler {
    override log(line: string): void {
      lines.push(line);
    }
  }
  const collector = new Collector("INFO", {
    formatter: ({ levelName, msg }) => `${levelName} ${msg}`,
  });
  setup({
    handlers: { collector },
    loggers: { default: { level: "INFO", handlers: ["collector"] } },
  });
  return { [Symbol.dispose]: () => setup({}) };
}

const QUERY = readQuery(query("a"))!;

/** Fake time from 0, servers, and the failover between them. */
class Scene implements AsyncDisposable {
  readonly time = new FakeTime(0);
  readonly servers: FakeServer[];
  readonly failover: Failover;
  readonly #checks = group(background());

  constructor(...modes: FakeServer["mode"][]) {
    this.servers = modes.map((mode, i) => new FakeServer(`s${i}`, mode));
    this.failover = new Failover(this.servers, this.#checks);
  }

  /** Asks with 4 s to go, and moves the time on until there is an outcome. */
  async ask(): Promise<Answer> {
    using ctx = withTimeout(background(), 4_000);
    const asked = this.failover.ask(ctx, QUERY);
    let settled = false;
    const settle = () => settled = true;
    asked.then(settle, settle);
    for (;;) {
      await this.time.runMicrotasks();
      if (settled) break;
      await this.time.nextAsync();
    }
    return await asked;
  }

  get up(): boolean[] {
    return this.failover.candidates.map(({ up }) => up);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checks[Symbol.asyncDispose]();
    this.time.restore();
  }
}

Deno.test("Failover asks the first server only, if it answers", async () => {
  await using scene = new Scene("NOERROR", "NOERROR");
  for (let i = 0; i < 3; i++) assertEquals((await scene.ask()).from, "s0");
  assertEquals(scene.servers.map(({ asked }) => asked.length), [3, 0]);
});

for (const rcode of ["NXDOMAIN", "FORMERR"] as const) {
  Deno.test(`Failover takes ${rcode} for an answer`, async () => {
    await using scene = new Scene(rcode, "NOERROR");
    assertEquals((await scene.ask()).from, "s0");
  });
}

for (const rcode of ["SERVFAIL", "REFUSED", "NOTIMP"] as const) {
  Deno.test(`Failover asks the next server after ${rcode}, and the first one again next time`, async () => {
    await using scene = new Scene(rcode, "NOERROR");
    for (let i = 0; i < 2; i++) assertEquals((await scene.ask()).from, "s1");
    assertEquals(scene.servers.map(({ asked }) => asked.length), [2, 2]);
    assertEquals(scene.up, [true, true]);
  });
}

Deno.test("Failover resolves with the last refusal if every server refuses", async () => {
  await using scene = new Scene("REFUSED", "SERVFAIL");
  assertEquals((await scene.ask()).from, "s1");
});

Deno.test("Failover resolves with a refusal if the other servers fail", async () => {
  await using scene = new Scene("REFUSED", "closed");
  assertEquals((await scene.ask()).from, "s0");
});

Deno.test("Failover asks the next server at once if one is closed", async () => {
  await using scene = new Scene("closed", "NOERROR");
  assertEquals((await scene.ask()).from, "s1");
  assertEquals(scene.servers.map(({ asked }) => asked), [[0], [0]]);
});

Deno.test("Failover divides the time left among the servers left", async () => {
  await using scene = new Scene("silent", "closed", "silent", "NOERROR");
  assertEquals((await scene.ask()).from, "s3");
  assertEquals(scene.servers.map(({ asked }) => asked), [
    [0],
    [1_000],
    [1_000],
    [2_500],
  ]);
});

Deno.test("Failover does not ask a failed server again until a check has succeeded", async () => {
  await using scene = new Scene("silent", "NOERROR");
  assertEquals((await scene.ask()).from, "s1");
  assertEquals(scene.up, [false, true]);
  for (let i = 0; i < 3; i++) assertEquals((await scene.ask()).from, "s1");
  const [first] = scene.servers;
  assertEquals(first!.asked.length, 1);
  first!.mode = "SERVFAIL";
  while (!scene.up[0]) await scene.time.tickAsync(100);
  first!.mode = "NOERROR";
  assertEquals((await scene.ask()).from, "s0");
});

Deno.test("Failover checks a failed server at once, and then after pauses that grow to 30 s", async () => {
  using _random = withRandom(1);
  await using scene = new Scene("closed", "NOERROR");
  await scene.ask();
  while (Date.now() < 91_000) await scene.time.nextAsync();
  const seconds = scene.servers[0]!.checked.map((at) => at / 1_000);
  assertEquals(seconds, [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]);
});

for (
  const [checks, lines] of [[1, []], [
    2,
    [
      "WARN upstream s0 (udp) is down: refused",
      "INFO upstream s0 (udp) is up again",
    ],
  ]] as const
) {
  Deno.test(`Failover logs ${lines.length} lines about a failure if check ${checks} succeeds`, async () => {
    const logged: string[] = [];
    using _log = logTo(logged);
    await using scene = new Scene("closed", "NOERROR");
    const [server] = scene.servers;
    const { check } = server!;
    server!.check = (ctx) => {
      if (server!.checked.length === checks - 1) server!.mode = "NOERROR";
      return check.call(server, ctx);
    };
    await scene.ask();
    while (!scene.up[0]) await scene.time.nextAsync();
    assertEquals(logged, [...lines]);
  });
}

Deno.test("Failover runs one series of checks, however many queries fail", async () => {
  using _random = withRandom(1);
  await using scene = new Scene("closed");
  for (let i = 0; i < 5; i++) await assertRejects(() => scene.ask());
  assertEquals(scene.servers[0]!.asked.length, 5);
  assertEquals(scene.servers[0]!.checked.length, 1);
});

Deno.test("Failover asks servers that are down if there is no other", async () => {
  await using scene = new Scene("closed", "closed");
  const error = await assertRejects(() => scene.ask());
  assert(error instanceof Deno.errors.ConnectionRefused);
  assertEquals(scene.up, [false, false]);
  scene.servers[1]!.mode = "NOERROR";
  assertEquals((await scene.ask()).from, "s1");
});

Deno.test("Failover rejects when the deadline is over", async () => {
  await using scene = new Scene("silent", "silent");
  const error = await assertRejects(() => scene.ask());
  assert(error instanceof DeadlineExceeded);
  assertEquals(Date.now(), 4_000);
  assertEquals(scene.servers.map(({ asked }) => asked), [[0], [2_000]]);
  assertEquals(scene.up, [false, false]);
});

Deno.test("Failover asks no other server once the client has left, and blames none", async () => {
  await using scene = new Scene("silent", "NOERROR");
  const ctx = withCancel(background());
  const asked = scene.failover.ask(ctx, QUERY);
  ctx.cancel();
  assertEquals(await assertRejects(() => asked), ctx.err);
  await scene.time.tickAsync(5_000);
  assertEquals(scene.up, [true, true]);
  assertEquals(scene.servers[1]!.asked, []);
});

Deno.test("Failover blames a server that is silent until the client's own deadline", async () => {
  await using scene = new Scene("silent", "NOERROR");
  const ctx = withCancel(background());
  const asked = scene.failover.ask(ctx, QUERY);
  ctx.cancel(new DeadlineExceeded());
  assertEquals(await assertRejects(() => asked), ctx.err);
  await scene.time.tickAsync(0);
  assertEquals(scene.up, [false, true]);
});

Deno.test("Failover counts queries, replies by rcode, and failures by reason", async () => {
  await using scene = new Scene("silent", "SERVFAIL", "NXDOMAIN");
  await scene.ask();
  scene.servers[1]!.mode = "closed";
  await scene.ask();
  const counted = scene.failover.candidates.map((candidate) => [
    candidate.asked,
    candidate.failures,
    Object.fromEntries(candidate.replies),
  ]);
  const none = { timeout: 0, refused: 0, error: 0 };
  assertEquals(counted, [
    [1, { ...none, timeout: 1 }, {}],
    [2, { ...none, refused: 1 }, { SERVFAIL: 1 }],
    [2, none, { NXDOMAIN: 2 }],
  ]);
});
