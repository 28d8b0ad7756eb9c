import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, group, withCancel, withTimeout } from "@curfew/context";
import { Forwarder } from "../../examples/dns/forwarder.ts";
import { type Query, readQuery } from "../../examples/dns/wire.ts";
import { answer, header, query, type QueryOptions } from "./dns_message.ts";
import { TestUpstream } from "./dns_upstream.ts";

/** A forwarder with one upstream, which answers when the test says so. */
class Scene implements AsyncDisposable {
  readonly upstream: TestUpstream;
  readonly forwarder: Forwarder;
  readonly #checks = group(background());

  private constructor(upstream: TestUpstream) {
    this.upstream = upstream;
    const [hostname = "", port] = upstream.name.split(":");
    const addr = { hostname, port: Number(port) };
    this.forwarder = new Forwarder([addr], 4_000, this.#checks);
  }

  static async open(): Promise<Scene> {
    return new Scene(await TestUpstream.open());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checks[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

function queryOf(name: string, options: QueryOptions = {}): Query {
  return readQuery(query(name, options))!;
}

for (const transport of ["udp", "tcp"] as const) {
  Deno.test(`Forwarder sends fifty equal queries over ${transport} once, and each client gets its id back`, async () => {
    await using scene = await Scene.open();
    const { forwarder, upstream } = scene;
    const asked = Array.from(
      { length: 50 },
      (_, id) =>
        forwarder.resolve(background(), queryOf("a", { id }), transport),
    );
    const { message, reply } = await upstream.next();
    await reply(answer(message, [192, 0, 2, 1]));
    const answers = await Promise.all(asked);
    assertEquals(
      answers.map(({ message }) => header(message).id),
      Array.from({ length: 50 }, (_, id) => id),
    );
    assertEquals([upstream.waiting, forwarder.shared], [0, 49]);
  });
}

const COOKIE = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/** Two queries, and whether they are sent as one. */
const PAIRS: [what: string, a: Query, b: Query, same: boolean][] = [
  [
    "differ in their ids",
    queryOf("a", { id: 1 }),
    queryOf("a", { id: 2 }),
    true,
  ],
  [
    "differ in an EDNS cookie",
    queryOf("a", { options: COOKIE }),
    queryOf("a", { options: [...COOKIE.slice(0, 11), 9] }),
    true,
  ],
  ["differ in their names", queryOf("a"), queryOf("b"), false],
  ["differ in letter case", queryOf("a"), queryOf("A"), false],
  ["differ in their types", queryOf("a"), queryOf("a", { type: 28 }), false],
  [
    "differ in the DO bit",
    queryOf("a", { udpSize: 1232 }),
    queryOf("a", { dnssecOk: true }),
    false,
  ],
  ["differ in the CD bit", queryOf("a"), queryOf("a", { flags: 0x110 }), false],
];

for (const [what, a, b, same] of PAIRS) {
  Deno.test(`Forwarder sends two queries that ${what} ${same ? "once" : "twice"}`, async () => {
    await using scene = await Scene.open();
    const { forwarder, upstream } = scene;
    const asked = [a, b].map((query) =>
      forwarder.resolve(background(), query, "udp")
    );
    for (let i = 0; i < (same ? 1 : 2); i++) {
      const { message, reply } = await upstream.next();
      await reply(answer(message, [192, 0, 2, 1]));
    }
    await Promise.all(asked);
    assertEquals([upstream.waiting, forwarder.shared], [0, same ? 1 : 0]);
  });
}

Deno.test("Forwarder keeps UDP and TCP apart", async () => {
  await using scene = await Scene.open();
  const { forwarder, upstream } = scene;
  const asked = (["udp", "tcp"] as const).map((transport) =>
    forwarder.resolve(background(), queryOf("a"), transport)
  );
  for (let i = 0; i < 2; i++) {
    const { message, reply } = await upstream.next();
    await reply(answer(message, [192, 0, 2, 1]));
  }
  await Promise.all(asked);
  assertEquals(
    forwarder.candidates.map(({ server, asked }) => [server.transport, asked]),
    [["udp", 1], ["tcp", 1]],
  );
});

Deno.test("Forwarder goes on for the other clients when one of them leaves", async () => {
  await using scene = await Scene.open();
  const { forwarder, upstream } = scene;
  const first = withCancel(background());
  const gone = forwarder.resolve(first, queryOf("a", { id: 1 }), "udp");
  const stays = forwarder.resolve(background(), queryOf("a", { id: 2 }), "udp");
  const { message, reply } = await upstream.next();
  first.cancel();
  assertEquals(await assertRejects(() => gone), first.err);
  await reply(answer(message, [192, 0, 2, 1]));
  assertEquals(header((await stays).message).id, 2);
});

Deno.test("Forwarder ends at its time limit, even if clients go on joining", async () => {
  using time = new FakeTime();
  await using scene = await Scene.open();
  const { forwarder, upstream } = scene;
  upstream.silent = true;
  const asked = [forwarder.resolve(background(), queryOf("a"), "tcp")];
  const outcome = Promise.allSettled(asked);
  await upstream.next();
  await time.tickAsync(3_999);
  using later = withTimeout(background(), 4_000);
  const joined = forwarder.resolve(later, queryOf("a"), "tcp");
  await time.tickAsync(1);
  await assertRejects(() => joined);
  assertEquals((await outcome)[0]!.status, "rejected");
  assertEquals(later.err, undefined);
});
