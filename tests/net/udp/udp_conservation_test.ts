// Every datagram received is handled, failed, dropped or truncated, and every
// datagram sent before the end is received.

import {
  background,
  serveUdp,
  type ServeUdpOptions,
  type UdpServer,
  type UdpStats,
  withCancel,
} from "@curfew/context";
import { assertEquals } from "@std/assert";
import { Random } from "../../context/random.ts";
import { turn } from "../turn.ts";
import { assertConserved, local, UdpClient } from "./udp_client.ts";

/** Number of datagrams that each row sends. Set DATAGRAMS for a longer run. */
const all = Number(Deno.env.get("DATAGRAMS") ?? 10_000);

/** Number of small datagrams that any receive buffer holds. */
const kernelHolds = 100;

interface Row {
  name: string;
  senders: number;
  /** Number of datagrams that a sender sends in a row. */
  burst: number;
  /** True if senders wait, so that the kernel never has to drop anything. */
  paced: boolean;
  options?: Partial<ServeUdpOptions>;
  /** True if the handler waits for a turn of the event loop. */
  waits?: boolean;
}

const rows: Row[] = [
  { name: "one by one", senders: 1, burst: 1, paced: true },
  { name: "in bursts", senders: 1, burst: 90, paced: true },
  { name: "in bursts from many", senders: 8, burst: 12, paced: true },
  {
    name: "in bursts, to handlers that wait",
    senders: 1,
    burst: 90,
    paced: true,
    options: { concurrency: 50 },
    waits: true,
  },
  { name: "as a flood from many", senders: 8, burst: 1, paced: false },
  {
    name: "as a flood, to a handler that waits",
    senders: 4,
    burst: 1,
    paced: false,
    options: { backlog: 16 },
    waits: true,
  },
];

/** Progress of all senders and of the server. */
interface Progress {
  sent: number;
  handled: number;
  stop: boolean;
}

/** Sends until everything is sent or `progress.stop` is set. */
async function send(
  server: UdpServer,
  row: Row,
  progress: Progress,
): Promise<void> {
  using client = new UdpClient(server.addr);
  const room = kernelHolds - row.senders * row.burst;
  while (!progress.stop && progress.sent < all) {
    for (let n = 0; n < row.burst && !progress.stop; n++) {
      progress.sent++;
      await client.send("a metric:1|c");
    }
    while (row.paced && progress.sent - progress.handled > room) await turn();
  }
}

for (const row of rows) {
  for (const end of ["when all are sent", "in the middle"]) {
    Deno.test(`datagrams sent ${row.name} and canceled ${end} are conserved`, async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const at = end === "in the middle" ? new Random(seed).below(all) : all;
      const ctx = withCancel(background());
      const progress = { sent: 0, handled: 0, stop: false };
      const handled = () => {
        if (++progress.handled !== at) return;
        progress.stop = true;
        ctx.cancel();
      };
      const server = serveUdp(
        ctx,
        { ...local, ...row.options },
        row.waits ? () => turn().then(handled) : handled,
      );
      await Promise.all(
        Array.from({ length: row.senders }, () => send(server, row, progress)),
      );
      ctx.cancel();
      const stats: UdpStats = await server.finished;
      assertConserved(stats);
      assertEquals(stats.pending, 0, `seed ${seed}`);
      if (row.paced) {
        const { handled, dropped, kernelDropped = 0 } = stats;
        assertEquals(
          { handled, dropped, kernelDropped },
          { handled: progress.sent, dropped: 0, kernelDropped: 0 },
          `seed ${seed}`,
        );
      } else if (stats.kernelDropped !== undefined) {
        const known = stats.received + stats.kernelDropped;
        assertEquals(known, progress.sent, `seed ${seed}`);
      }
    });
  }
}
