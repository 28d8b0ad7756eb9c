// The program under "A whole service" in docs/recipes.md, with a database and
// SIGTERM under load.

import { assert, assertEquals, assertMatch } from "@std/assert";
// deno-lint-ignore no-import-prefix -- only this test has a use for it
import postgres from "npm:postgres@3.4.9";
import { CommandProcess } from "./context/child_process.ts";
import { hasPostgres, Postgres } from "./postgres.ts";

const root = new URL("../", import.meta.url);

/** Writes the program from the docs to a file. Returns its path. */
async function programFromDocs(folder: string): Promise<string> {
  const text = await Deno.readTextFile(new URL("docs/recipes.md", root));
  const [, section] = text.split("\n## A whole service\n");
  const [, program] = section!.match(/```ts ignore\n(.*?)```/s)!;
  const path = `${folder}/service.ts`;
  await Deno.writeTextFile(path, program!);
  return path;
}

/** The service, its API and its health routes. */
class Service {
  readonly process: CommandProcess;
  #port = 0;
  #healthPort = 0;

  constructor(program: string, env: Record<string, string>) {
    const config = new URL("deno.json", root).pathname;
    // Reading and writing is for the Unix socket of the database.
    const args = ["run", "--quiet", "--unstable-no-legacy-abort"];
    args.push("--allow-net", "--allow-env", "--allow-read", "--allow-write");
    args.push("--config", config);
    this.process = new CommandProcess(Deno.execPath(), [...args, program], {
      env: { ...env, HOST: "127.0.0.1", PORT: "0", HEALTH_PORT: "0" },
    });
  }

  async ready(): Promise<void> {
    const port = async () => Number((await this.process.line()).match(/\d+$/));
    this.#port = await port();
    this.#healthPort = await port();
  }

  get orders(): string {
    return `http://127.0.0.1:${this.#port}/orders`;
  }

  async health(path: string): Promise<number> {
    const reply = await fetch(`http://127.0.0.1:${this.#healthPort}${path}`);
    await reply.body?.cancel();
    return reply.status;
  }
}

/** Clients that add orders until the service refuses them. */
class Load {
  readonly acknowledged: string[] = [];
  readonly #orders: string;
  readonly #target: PromiseWithResolvers<void>;
  readonly #targetCount: number;

  constructor(orders: string, targetCount: number) {
    this.#orders = orders;
    this.#target = Promise.withResolvers();
    this.#targetCount = targetCount;
  }

  /** Resolves when enough orders are acknowledged. */
  get reached(): Promise<void> {
    return this.#target.promise;
  }

  async run(clients: number): Promise<void> {
    await Promise.all(
      Array.from({ length: clients }, (_, at) => this.#add(`c${at}`)),
    );
  }

  async #add(client: string): Promise<void> {
    for (let n = 1;; n++) {
      const order = { id: `${client}-${n}`, item: "tea" };
      try {
        const reply = await fetch(this.#orders, {
          method: "POST",
          body: JSON.stringify(order),
        });
        await reply.body?.cancel();
        if (reply.status !== 201) return;
      } catch {
        return; // The connection was refused or closed.
      }
      if (this.acknowledged.push(order.id) === this.#targetCount) {
        this.#target.resolve();
      }
    }
  }
}

Deno.test("the whole service has no type errors", async () => {
  const folder = await Deno.makeTempDir();
  const config = new URL("deno.json", root).pathname;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--config", config, await programFromDocs(folder)],
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  await Deno.remove(folder, { recursive: true });
});

const ignore = !hasPostgres || Deno.build.os === "windows";
if (!hasPostgres) {
  console.log("left out: the whole service (needs PostgreSQL's initdb)");
}

Deno.test({
  name: "the whole service loses no acknowledged order at SIGTERM under load",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    await using database = await Postgres.start();
    const service = new Service(await programFromDocs(folder), {
      ...database.env,
      LAME_DUCK_MS: "100",
    });
    await service.ready();
    assertEquals(await service.health("/-/ready"), 200);

    const load = new Load(service.orders, 300);
    const clients = load.run(16);
    await load.reached;
    const sql = postgres({ ...database.connection, max: 1 });
    while ((await sql`SELECT 1 FROM orders WHERE confirmed`).length === 0);
    service.process.kill("SIGTERM");
    await clients;
    const { code, signal, stdout, stderr } = await service.process.end();

    const orders = await sql`SELECT id, confirmed FROM orders`;
    const queue = await sql`SELECT id FROM queue`;
    await sql.end();
    const stored = new Set(orders.map(({ id }) => id));
    const lost = load.acknowledged.filter((id) => !stored.has(id));
    console.log(
      `${load.acknowledged.length} orders acknowledged with 201, ` +
        `${lost.length} lost, exit code ${code}`,
    );
    assertEquals([code, signal, stderr, lost], [0, null, "", []]);
    assert(/^stopped: \d+ drained, 0 forced$/m.test(stdout), stdout);
    // Every order is either confirmed or queued.
    const confirmed = orders.filter(({ confirmed }) => confirmed).length;
    assertEquals(confirmed + queue.length, orders.length);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "the whole service is live but not ready during its lame duck",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    await using database = await Postgres.start();
    const service = new Service(await programFromDocs(folder), {
      ...database.env,
      LAME_DUCK_MS: "1000000",
    });
    await service.ready();
    service.process.kill("SIGTERM");
    while (await service.health("/-/ready") === 200);
    assertEquals(await service.health("/-/ready"), 503);
    assertEquals(await service.health("/-/healthy"), 200);
    service.process.kill("SIGINT");
    const { code, stderr } = await service.process.end();
    assertEquals(code, 130);
    assertMatch(
      stderr,
      /^main: SIGINT received after SIGTERM, exit 130; still running: service\(\), serveHttp 127\.0\.0\.1:\d+, serveHttp 127\.0\.0\.1:\d+\n$/,
    );
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "the whole service exits with 1 if it cannot reach its database",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    const service = new Service(await programFromDocs(folder), {
      PGHOST: folder,
    });
    const { code, stdout, stderr } = await service.process.end();
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /ENOENT|No such file|ECONNREFUSED/);
    await Deno.remove(folder, { recursive: true });
  },
});
