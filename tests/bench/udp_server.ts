/**
 * One receiver of the UDP benchmark, in a process of its own: takes the name of a
 * variant, writes its port, and then for every line that it reads the µs of CPU
 * time it has used up to then, with all of its threads, and how many datagrams it
 * has received.
 *
 * @module
 */

import { background, type DatagramHandler, serveUdp } from "@curfew/context";
import process from "node:process";
import { createSocket } from "node:dgram";

/** A server that runs: its port, and the number of datagrams received. */
interface Receiving {
  port: number;
  received: () => number;
}

/** The first byte of every datagram is added up, so that the data is used. */
let sum = 0;

/** A loop of its own around `next`, which waits for a datagram. */
function loop(
  next: (conn: Deno.DatagramConn) => Promise<[Uint8Array, Deno.Addr]>,
): Receiving {
  const conn = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  let received = 0;
  (async () => {
    for (;;) {
      const [data] = await next(conn);
      received++;
      sum += data[0]!;
    }
  })();
  const { port } = conn.addr as Deno.NetAddr;
  return { port, received: () => received };
}

function ours(handler: DatagramHandler): Receiving {
  const server = serveUdp(background(), { port: 0 }, handler);
  return { port: server.addr.port, received: () => server.stats.received };
}

/** The name of each and how to start it; the barest first. */
export const variants: Record<string, () => Receiving> = {
  "receive(buffer)": () => {
    const buffer = new Uint8Array(65_507);
    return loop((conn) => conn.receive(buffer));
  },
  "serveUdp": () =>
    ours((_ctx, { data }) => {
      sum += data[0]!;
    }),
  "serveUdp, async handler": () =>
    ours(async (_ctx, { data }) => {
      await undefined;
      sum += data[0]!;
    }),
  "receive()": () => loop((conn) => conn.receive()),
  "node:dgram": () => {
    const socket = createSocket("udp4");
    let received = 0;
    socket.on("message", (data) => {
      received++;
      sum += data[0]!;
    });
    let port = 0;
    socket.bind(0, "127.0.0.1", () => port = socket.address().port);
    return {
      get port() {
        return port;
      },
      received: () => received,
    };
  },
};

if (import.meta.main) {
  const receiving = variants[Deno.args[0]!]!();
  const { received } = receiving;
  while (receiving.port === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  console.log(receiving.port);
  for await (const _line of Deno.stdin.readable) {
    const { user, system } = process.cpuUsage();
    console.log(`${user + system} ${received()} ${sum}`);
  }
}
