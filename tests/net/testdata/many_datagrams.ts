// Run with --v8-flags=--expose-gc. Receives datagrams from a socket that always has
// one, in ten parts. Arguments: the way to receive them, and their number. Prints for
// each part the growth of the heap before a collection, and the size of heap and
// buffers after it.
import { background, serveUdp } from "../../../mod.ts";
import process from "node:process";

const { gc } = globalThis as unknown as { gc: () => void };
const [way, count] = Deno.args;
const part = Number(count) / 10;
const grown: number[] = [];
const held: number[] = [];
const over = Promise.withResolvers<void>();

const conn = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});
const addr = conn.addr;
let n = 0;
let start = 0;
conn.receive = async (buffer) => {
  if (n % part === 0) {
    if (n > 0) grown.push(process.memoryUsage().heapUsed - start);
    await new Promise((resolve) => setTimeout(resolve, 5));
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
    gc();
    const { heapUsed, external } = process.memoryUsage();
    start = heapUsed;
    if (n > 0) held.push(heapUsed + external);
    if (n === 10 * part) over.resolve();
    if (n === 10 * part) return new Promise(() => {});
  }
  n++;
  return [buffer!.subarray(0, 64) as Uint8Array<ArrayBuffer>, addr];
};
const { listenDatagram } = Deno;
Deno.listenDatagram = (() => conn) as unknown as typeof listenDatagram;

let sum = 0;
if (way === "bare") {
  const buffer = new Uint8Array(65_507);
  (async () => {
    for (;;) {
      const [data] = await conn.receive(buffer);
      sum += data[0]!;
    }
  })();
} else if (way === "at once") {
  serveUdp(background(), { port: 0 }, (_ctx, { data }) => {
    sum += data[0]!;
  });
} else {
  // Slower than they arrive, so that most of them find the backlog full.
  serveUdp(
    background(),
    { port: 0, concurrency: 4 },
    async (_ctx, { data }) => {
      await new Promise((resolve) => setTimeout(resolve));
      sum += data[0]!;
    },
  );
}
await over.promise;
console.log(JSON.stringify({ sum, grown, held }));
Deno.exit();
