/**
 * The service with traffic of its own making, to look at: for ten seconds, or as
 * many as its argument says.
 *
 * @module
 */

import {
  type Context,
  dialTcp,
  every,
  group,
  main,
  withTimeout,
} from "@curfew/context";
import { setUpLog } from "./log.ts";
import { graceOf, serve } from "./main.ts";
import { readOptions } from "./options.ts";

const seconds = Number(Deno.args[0] ?? 10);
if (!(seconds > 0) || Deno.args.length > 1) {
  console.error("demo: the one argument must be a number of seconds above 0");
  Deno.exit(2);
}

/** In ms. */
const PAUSE = 20;
const ROUTES = ["/", "/search", "/cart", "/checkout", "/login"];

const options = readOptions([
  ...["--udp", "0", "--tcp", "0", "--http", "0", "--lame-duck", "1"],
  ...["--buckets", "0.01,0.05,0.1,0.5,1"],
]);

setUpLog();
await main(async (parent) => {
  using ctx = withTimeout(parent, seconds * 1_000);
  await using traffic = group(ctx);
  await serve(ctx, options, (url, [udp, tcp]) => {
    console.log(`\nOpen ${url}/ now: it ends in ${seconds} s.\n`);
    traffic.go((ctx) => overUdp(ctx, portOf(udp!.at)));
    traffic.go((ctx) => overTcp(ctx, portOf(tcp!.at)));
  });
}, { grace: graceOf(options) });

function portOf(at: string): number {
  return Number(at.slice(at.lastIndexOf(":") + 1));
}

/** Requests of a shop, ten lines a packet. */
async function overUdp(ctx: Context, port: number): Promise<void> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
  for await (const tick of every(ctx, PAUSE)) {
    const packets = 6 + 5 * Math.sin(tick / 40);
    for (let i = 0; i < packets; i++) await socket.send(requests(10), to);
  }
  socket.close();
}

/** A worker that reports its queue, and now and then something malformed. */
async function overTcp(ctx: Context, port: number): Promise<void> {
  using conn = await dialTcp(ctx, { hostname: "127.0.0.1", port });
  const writer = conn.writable.getWriter();
  for await (const tick of every(ctx, PAUSE)) {
    const queue = Math.round(50 + 40 * Math.cos(tick / 60));
    const bad = tick % 25 === 0 ? "worker.queue:many|g\nworker\n" : "";
    await writer.write(
      bytes(`worker.queue:${queue}|g\nworker.jobs:1:2|d|#kind:mail\n${bad}`),
    );
  }
}

function requests(count: number): Uint8Array<ArrayBuffer> {
  return bytes(
    Array.from({ length: count }, () => {
      // The first routes are asked for most.
      const route = ROUTES[Math.floor(ROUTES.length * Math.random() ** 2)];
      const took = Math.round(400 * Math.random() ** 4);
      switch (Math.floor(6 * Math.random())) {
        case 0:
          return `http.duration:${took}|ms|#route:${route}`;
        case 1:
          return `http.users:${Math.floor(500 * Math.random())}|s`;
        case 2:
          return `http.bytes:${took * 30}|c|@0.5|#route:${route}`;
        default:
          return `http.requests:1|c|#route:${route},status:${
            took > 350 ? 500 : 200
          }`;
      }
    }).join("\n"),
  );
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
