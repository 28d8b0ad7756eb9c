/**
 * StatsD traffic. As a process of its own it reads `port packets rate lines` from
 * its input, line by line: so many packets, so many a second, each of so many
 * lines. It writes a line when they have been sent.
 *
 * @module
 */

const SERIES = 1_000;
const PACKETS = 500;

/** Packets of the usual lines, of 1,000 series. */
export function packets(lines: number): Uint8Array<ArrayBuffer>[] {
  const encoder = new TextEncoder();
  return Array.from({ length: PACKETS }, (_, packet) => {
    const text = Array.from({ length: lines }, (_, i) => {
      const n = (packet * lines + i) % SERIES;
      switch (n % 4) {
        case 0:
          return `app.requests.route${n}:1|c`;
        case 1:
          return `app.latency.route${n}:${n}.5|ms`;
        case 2:
          return `app.queue.route${n}:${n}|g`;
        default:
          return `app.hits.route${n}:1|c|@0.5`;
      }
    });
    return encoder.encode(text.join("\n"));
  });
}

/** Sends them round and round, as many as are due each millisecond. */
async function send(
  port: number,
  count: number,
  rate: number,
  lines: number,
): Promise<void> {
  const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
  const ready = packets(lines);
  const start = performance.now();
  let sent = 0;
  while (sent < count) {
    const elapsed = performance.now() - start;
    const due = Math.min(count, Math.ceil(elapsed * rate / 1000));
    if (sent >= due) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      continue;
    }
    // A few at a time: one would wait for the loop each time.
    const batch: Promise<number>[] = [];
    for (; sent < due && batch.length < 16; sent++) {
      batch.push(conn.send(ready[sent % PACKETS]!, to));
    }
    await Promise.all(batch);
  }
}

const conn = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});

if (import.meta.main) {
  const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const line of input) {
    const [port, count, rate, lines] = line.split(" ").map(Number);
    await send(port!, count!, rate!, lines!);
    console.log("sent");
  }
}
