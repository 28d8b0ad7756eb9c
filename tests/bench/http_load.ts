/**
 * A plain load of HTTP requests over connections that are kept open. As a process
 * of its own it reads `port requests` from its input, line by line, and writes a
 * line when those have been answered.
 *
 * @module
 */

const connections = 32;
const request = new TextEncoder().encode(
  "GET / HTTP/1.1\r\nHost: bench\r\n\r\n",
);

/**
 * Sends that many requests, each connection its next one when the last one has
 * been answered. The answers must be of one size, and at most 4 KiB.
 */
export async function load(port: number, requests: number): Promise<void> {
  let left = requests;
  const drive = async (): Promise<void> => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const buffer = new Uint8Array(4096);
    let size: number | undefined;
    while (left-- > 0) {
      await conn.write(request);
      let got = 0;
      while (got === 0 || got < (size ?? 0)) {
        const n = await conn.read(got === 0 ? buffer : buffer.subarray(got));
        if (n === null) throw new Error("the server has closed a connection");
        got += n;
        size ??= sizeOf(buffer.subarray(0, got));
      }
      if (got !== size) throw new Error(`${got} bytes instead of ${size}`);
    }
  };
  await Promise.all(Array.from({ length: connections }, drive));
}

/** Size of the whole answer in bytes, once its head has arrived. */
function sizeOf(head: Uint8Array): number | undefined {
  const text = new TextDecoder().decode(head);
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(text);
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  if (length === undefined) throw new Error(`no length: ${text}`);
  return end + 4 + Number(length);
}

if (import.meta.main) {
  const lines = Deno.stdin.readable
    .pipeThrough(new TextDecoderStream());
  for await (const line of lines) {
    const [port, requests] = line.split(" ");
    await load(Number(port), Number(requests));
    console.log("answered");
  }
}
