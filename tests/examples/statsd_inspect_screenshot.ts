/**
 * Takes the screenshot of the inspector's page for the README of examples/statsd:
 * the service has traffic and three stalled scrapes, and has been asked to end.
 *
 *     deno run -A tests/examples/statsd_inspect_screenshot.ts
 *
 * @module
 */

import { delay } from "@std/async";
import { Program } from "./program.ts";
import { Browser } from "./statsd_browser.ts";

await using service = new Program([
  ...["run", "--unstable-no-legacy-abort", "-A", "examples/statsd/main.ts"],
  ...["--udp", "0", "--tcp", "0", "--http", "0", "--inspect", "0"],
  ...["--lame-duck", "20"],
]);
const [, inspector] = await service.prints(/inspector on (http:\S+)\n/);
const [, udp, tcp, http] = await service.prints(
  /udp \S+:(\d+), tcp \S+:(\d+) and (http:\S+)\/metrics\n/,
);
const hostname = "127.0.0.1";
const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
/** Enough series for a scrape that fills the buffers of a socket. */
const lines = Array.from(
  { length: 60_000 },
  (_, i) => `orders.of.customers.${i}:1|c`,
);
const client = await Deno.connect({ hostname, port: Number(tcp) });
const writer = client.writable.getWriter();
await writer.write(new TextEncoder().encode(lines.join("\n") + "\n"));
await socket.send(
  new TextEncoder().encode("a:1|c"),
  { transport: "udp", hostname, port: Number(udp) },
);
await delay(1_000);
// Scrapers that do not read.
const stalled = await Promise.all([1, 2, 3].map(async () => {
  const { port } = new URL(http!);
  const conn = await Deno.connect({ hostname, port: Number(port) });
  await conn.write(
    new TextEncoder().encode(
      `GET /metrics HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`,
    ),
  );
  return conn;
}));
await delay(3_000);
{
  await using browser = await Browser.open(inspector!, {
    width: 1_000,
    height: 800,
  });
  service.kill("SIGTERM");
  await browser.until(
    `document.getElementById("top").textContent.includes("SIGTERM")`,
  );
  await delay(1_500);
  const path = "../../examples/statsd/inspect.png";
  await Deno.writeFile(
    new URL(path, import.meta.url),
    await browser.screenshot(),
  );
}
for (const conn of stalled) conn.close();
client.close();
socket.close();
