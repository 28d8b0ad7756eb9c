/**
 * The service with traffic of its own, for ten seconds or the number of seconds in its
 * argument. At the end it explains the last line of the log.
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
import type { Totals } from "./telemetry.ts";

const seconds = Number(Deno.args[0] ?? 10);
if (!(seconds > 0) || Deno.args.length > 1) {
  console.error("demo: the one argument must be a number of seconds above 0");
  Deno.exit(2);
}

/** Time in ms between two reports of the worker, and two bursts of requests. */
const PAUSE = 20;
/** Number of lines in a datagram. */
const LINES = 10;
/** Number of reports of the worker until a malformed one. */
const MALFORMED = 25;

const ROUTES = ["/", "/search", "/cart", "/checkout", "/login"];

/** Numbers of what the demo has sent. */
const sent = { datagrams: 0, reports: 0, malformed: 0 };

const options = readOptions([
  ...["--udp", "0", "--tcp", "0", "--http", "0", "--lame-duck", "1"],
  ...["--buckets", "0.01,0.05,0.1,0.5,1"],
]);

setUpLog();
await main(async (parent) => {
  using ctx = withTimeout(parent, seconds * 1_000);
  await using traffic = group(ctx);
  const totals = await serve(ctx, options, (url, [udp, tcp]) => {
    console.log(`\nOpen ${url}/ now: the demo ends in ${seconds} s.\n`);
    traffic.go((ctx) => sendRequests(ctx, portOf(udp!.at)));
    traffic.go((ctx) => sendReports(ctx, portOf(tcp!.at)));
  });
  console.log(explanation(totals));
}, { grace: graceOf(options) });

function portOf(at: string): number {
  return Number(at.slice(at.lastIndexOf(":") + 1));
}

/** Sends requests of a shop over UDP. */
async function sendRequests(ctx: Context, port: number): Promise<void> {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
  for await (const tick of every(ctx, PAUSE)) {
    const packets = 6 + 5 * Math.sin(tick / 40);
    for (let i = 0; i < packets; i++, sent.datagrams++) {
      await socket.send(requests(LINES), to);
    }
  }
  socket.close();
}

/** Sends reports of a worker over TCP: two lines each, sometimes two bad ones more. */
async function sendReports(ctx: Context, port: number): Promise<void> {
  using conn = await dialTcp(ctx, { hostname: "127.0.0.1", port });
  const writer = conn.writable.getWriter();
  for await (const tick of every(ctx, PAUSE)) {
    const queue = Math.round(50 + 40 * Math.cos(tick / 60));
    const malformed = tick % MALFORMED === 0;
    await writer.write(bytes(
      `worker.queue:${queue}|g\nworker.jobs:1:2|d|#kind:mail\n` +
        (malformed ? "worker.queue:many|g\nworker\n" : ""),
    ));
    sent.reports++;
    if (malformed) sent.malformed++;
  }
}

function requests(count: number): Uint8Array<ArrayBuffer> {
  return bytes(
    Array.from({ length: count }, () => {
      // The first routes are the most popular.
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

/** Explains the totals by what was sent. */
function explanation(
  { lines, samples, errors, series, sockets }: Totals,
): string {
  const [udp, tcp] = sockets;
  const overUdp = LINES * sent.datagrams;
  const overTcp = 2 * (sent.reports + sent.malformed);
  const lost = overUdp + overTcp - lines;
  const unhandled = udp!.failed + udp!.dropped + tcp!.failed + tcp!.dropped;
  const n = (number: number) => number.toLocaleString("en");
  const times = sent.malformed === 1 ? "once" : `${n(sent.malformed)} times`;
  const rows = [
    [
      n(lines),
      `lines: the demo sent ${n(overUdp)} over UDP and ${n(overTcp)} over TCP`,
    ],
    [
      "",
      lost === 0 ? "and none was lost" : `and the kernel dropped ${n(lost)}`,
    ],
    [n(samples), "samples: one per line, except that each of the"],
    ["", `${n(sent.reports)} lines worker.jobs:1:2|d carries two`],
    ["", `and each of the ${n(errors)} malformed lines none`],
    [n(errors), `errors: ${times} worker.queue:many|g, whose value`],
    ["", `is no number, and ${times} worker, which is no line`],
    [n(series), "series: http_requests by route and status, http_duration"],
    ["", "and http_bytes by route, http_users, worker_queue"],
    ["", "and worker_jobs"],
    [
      n(udp!.received),
      `datagrams of ${LINES} lines over udp, in ${n(udp!.bytes)} bytes`,
    ],
    [
      n(tcp!.received),
      `connection over tcp, which carried ${n(tcp!.bytes)} bytes`,
    ],
    [n(unhandled), "failed or dropped after they had arrived"],
  ];
  return "\nThe service stopped because the time of the demo was over. " +
    "Its numbers:\n\n" +
    rows.map(([number, text]) => `${number!.padStart(9)}  ${text}`).join("\n");
}
