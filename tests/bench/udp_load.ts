/**
 * A flood of datagrams. As a process of its own it reads `port size datagrams`
 * from its input, line by line, and writes a line when that many have been sent,
 * as fast as they can be.
 *
 * @module
 */

const conn = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});

/** Sends that many, a few at a time: one would wait for the loop each time. */
async function flood(port: number, size: number, left: number): Promise<void> {
  const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
  const data = new Uint8Array(size).fill(1);
  const drive = async () => {
    while (left-- > 0) await conn.send(data, to);
  };
  await Promise.all(Array.from({ length: 4 }, drive));
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const line of lines) {
  const [port, size, datagrams] = line.split(" ").map(Number);
  await flood(port!, size!, datagrams!);
  console.log("sent");
}
