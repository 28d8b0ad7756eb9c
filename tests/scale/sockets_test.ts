// TCP connections and UDP peers that the end of a grace period cuts at once.

import {
  background,
  dialTcp,
  serveTcp,
  udpPeers,
  withCancel,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";

const local = { hostname: "127.0.0.1", port: 0 };

/** Calls `open` for each number below `n`, some of them at once. */
async function openAll<T>(
  n: number,
  open: (i: number) => Promise<T>,
): Promise<T[]> {
  const opened: T[] = [];
  const batch = 100;
  for (let i = 0; i < n; i += batch) {
    const next = Array.from(
      { length: Math.min(batch, n - i) },
      (_, j) => open(i + j),
    );
    opened.push(...await Promise.all(next));
  }
  return opened;
}

atScale(
  import.meta,
  "TCP connections are cut when the grace period is over",
  {
    size: 4_000,
    counts: (n) => ({
      accepted: n,
      forced: n,
      canceled: n,
      failed: n,
      ended: n,
    }),
  },
  async (n) => {
    const ctx = withCancel(background());
    let canceled = 0;
    const server = serveTcp(
      ctx,
      { ...local, grace: 0 },
      async (connCtx, conn) => {
        await conn.write(new Uint8Array(1));
        try {
          await conn.read(new Uint8Array(1));
        } catch (error) {
          if (error === connCtx.err) canceled++;
          throw error;
        }
      },
    );
    const conns = await openAll(n, async () => {
      const conn = await dialTcp(background(), server.addr);
      await conn.read(new Uint8Array(1));
      return conn;
    });
    ctx.cancel();
    const { accepted, forced, failed } = await server.finished;
    const ended = await Promise.all(
      conns.map(async (conn) => {
        const n = await conn.read(new Uint8Array(1)).catch(() => null);
        conn.close();
        return n === null;
      }),
    );
    return {
      accepted,
      forced,
      canceled,
      failed,
      ended: ended.filter(Boolean).length,
    };
  },
);

for (const how of ["drain", "are cut"] as const) {
  atScale(
    import.meta,
    `UDP peers ${how} at once`,
    {
      size: 2_000,
      counts: (n) => ({
        accepted: n,
        peers: 0,
        ended: n,
        handled: n,
        pending: 0,
      }),
    },
    async (n) => {
      const ctx = withCancel(background());
      let ended = 0;
      const server = udpPeers(
        ctx,
        { ...local, maxPeers: n, grace: how === "drain" ? 60_000 : 0 },
        async (peerCtx, peer) => {
          for await (const datagram of peer) {
            await datagram.reply(datagram.data);
            if (how === "drain") break;
          }
          await (how === "drain" ? ctx : peerCtx).done;
          ended++;
        },
      );
      const clients = await openAll(n, async () => {
        const client = Deno.listenDatagram({ transport: "udp", ...local });
        await client.send(new Uint8Array(1), server.addr);
        await client.receive();
        return client;
      });
      ctx.cancel();
      const { accepted, peers, handled, pending } = await server.finished;
      for (const client of clients) client.close();
      return { accepted, peers, ended, handled, pending };
    },
  );
}
