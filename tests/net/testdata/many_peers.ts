// Run with --v8-flags=--expose-gc. Receives a million datagrams, each from another
// address, as with forged senders. Prints the size of the heap after each tenth.
import { background, udpPeers } from "../../../mod.ts";
import process from "node:process";

const { gc } = globalThis as unknown as { gc: () => void };
const all = 1_000_000;
const heaps: number[] = [];
const over = Promise.withResolvers<void>();

// A socket that makes up its senders: a million real ones are too many.
let n = 0;
const conn = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});
conn.receive = async (buffer) => {
  if (n % (all / 10) === 0) {
    await new Promise((resolve) => setTimeout(resolve));
    gc();
    heaps.push(process.memoryUsage().heapUsed);
  }
  if (n === all) {
    over.resolve();
    return new Promise(() => {});
  }
  n++;
  const addr: Deno.NetAddr = {
    transport: "udp",
    hostname: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
    port: 1 + n % 60_000,
  };
  return [buffer!.slice(0, 16), addr];
};
const { listenDatagram } = Deno;
Deno.listenDatagram = (() => conn) as unknown as typeof listenDatagram;

const server = udpPeers(background(), { port: 0 }, async (_ctx, peer) => {
  for await (const _datagram of peer);
});
await over.promise;
console.log(JSON.stringify({ stats: server.stats, heaps }));
Deno.exit();
