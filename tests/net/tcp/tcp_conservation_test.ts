// Every connection accepted is open, handled, failed or refused, at any time.

import {
  background,
  type Context,
  serveTcp,
  sleep,
  type TcpServer,
  withCancel,
} from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import { Random } from "../../context/random.ts";
import { turn } from "../turn.ts";
import { assertConserved, type Conn, dial, local } from "./connections.ts";

/** Behaviors of a handler. */
const behaviors: readonly ((ctx: Context, conn: Conn) => unknown)[] = [
  () => {},
  () => turn(),
  () => {
    throw new Error("no");
  },
  async () => {
    await turn();
    throw new Error("no");
  },
  (_ctx, conn) => conn.close(),
  async (_ctx, conn) => await conn.read(new Uint8Array(1)),
  async (ctx) => await ctx.done,
  (ctx) => sleep(ctx, 5),
  () => new Promise(() => {}),
];

/** Connects, and sends or leaves at random. */
async function visit(server: TcpServer, random: Random): Promise<void> {
  let conn: Deno.TcpConn;
  try {
    conn = await dial(server);
  } catch {
    return; // The listener has closed.
  }
  using _conn = conn;
  if (random.below(2) === 0) {
    await conn.write(new Uint8Array(random.below(1_000))).catch(() => {});
  }
  for (let turns = random.below(5); turns > 0; turns--) await turn();
}

for (const grace of [0, 20]) {
  Deno.test(`serveTcp() accounts for every connection at any time, with a grace period of ${grace} ms`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = new Random(seed);
    const ctx = withCancel(background());
    let checks = 0;
    const check = () => {
      checks++;
      assertConserved(server.stats);
    };
    const server: TcpServer = serveTcp(
      ctx,
      { ...local, maxConnections: 20, grace, onError: check },
      async (connCtx, conn) => {
        check();
        await behaviors[random.below(behaviors.length)]!(connCtx, conn);
        check();
      },
    );
    const visits = Array.from({ length: 200 }, async (_, n) => {
      for (let turns = n / 4; turns > 0; turns--) await turn();
      if (n === 150) ctx.cancel();
      check();
      await visit(server, random);
      check();
    });
    await Promise.all(visits);
    const stats = await server.finished;
    assertConserved(stats);
    assertEquals(stats.open, 0, `seed ${seed}`);
    assert(stats.handled > 0 && stats.failed > 0, `seed ${seed}`);
    assert(checks > 400, `seed ${seed}`);
    await turn();
    assertEquals(server.stats, stats, `seed ${seed}`);
  });
}
