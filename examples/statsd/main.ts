/**
 * A StatsD to Prometheus gateway: metrics come in over UDP, are added up, and
 * are scraped over HTTP. This file is the life of the service; see parse.ts,
 * aggregate.ts and expose.ts for what it does with a metric.
 *
 * @module
 */

import {
  cause,
  type Context,
  main,
  serveHttp,
  serveUdp,
  type UdpStats,
  withCancel,
} from "@curfew/context";
import { ConsoleHandler, getLogger, setup } from "@std/log";
import { Aggregate } from "./aggregate.ts";
import { CONTENT_TYPE, expose, type Family } from "./expose.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { parsePacket } from "./parse.ts";

/** Runs the service until `parent` is done, or somebody asks it to quit. */
async function serve(parent: Context, options: Options): Promise<void> {
  const log = getLogger();
  using ctx = withCancel(parent);
  const aggregate = new Aggregate({
    reserved: socketFamilies().map((family) => family.name),
  });

  await using udp = serveUdp(
    ctx,
    { ...options.udp, onError: (error) => log.error(`udp: ${error}`) },
    (_ctx, datagram) => parsePacket(datagram.data, aggregate),
  );
  const routes: Record<string, () => Response> = {
    "GET /metrics": () =>
      new Response(expose(socketFamilies(udp.stats), aggregate.families()), {
        headers: { "content-type": CONTENT_TYPE },
      }),
    "GET /-/healthy": () => new Response("healthy\n"),
    "GET /-/ready": () =>
      http.ready
        ? new Response("ready\n")
        : new Response("stopping\n", { status: 503 }),
    "POST /-/quit": () => {
      if (!options.lifecycle) {
        return new Response("start with --lifecycle\n", { status: 403 });
      }
      ctx.cancel("quit over HTTP");
      return new Response("stopping\n");
    },
  };
  await using http = serveHttp(
    ctx,
    {
      ...options.http,
      requestTimeout: 10_000,
      onError: (error) => log.error(`http: ${error}`),
    },
    (_ctx, { method, url }) => {
      const { pathname } = new URL(url);
      const verb = method === "HEAD" ? "GET" : method;
      const route = routes[`${verb} ${pathname}`];
      return route?.() ?? new Response("not found\n", { status: 404 });
    },
  );
  log.info(
    `listening on udp ${at(udp.addr)} and http://${at(http.addr)}/metrics`,
  );

  const [stats] = await Promise.all([udp.finished, http.finished]);
  const errors = [...aggregate.errors.values()].reduce((a, b) => a + b);
  log.info(
    `stopped (${cause(ctx)}): received ${stats.received} datagrams ` +
      `(${stats.bytes} bytes), handled ${stats.handled}, ` +
      `failed ${stats.failed}, dropped ${stats.dropped}; ` +
      `${aggregate.lines} lines, ${aggregate.samples} samples, ` +
      `${errors} errors, ${aggregate.size} series`,
  );
}

/** What the socket itself has to tell Prometheus. */
function socketFamilies(stats?: UdpStats): Family[] {
  const counter = (name: string, help: string, value = 0): Family => {
    return { name, help, type: "counter", samples: [{ value }] };
  };
  return [
    counter(
      "statsd_datagrams_received_total",
      "Datagrams read from the socket.",
      stats?.received,
    ),
    counter(
      "statsd_received_bytes_total",
      "Bytes of the datagrams read from the socket.",
      stats?.bytes,
    ),
    counter(
      "statsd_datagrams_dropped_total",
      "Datagrams read that found the backlog full.",
      stats?.dropped,
    ),
  ];
}

function at(addr: Deno.Addr): string {
  const { hostname, port } = addr as Deno.NetAddr;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

function optionsOrExit(): Options {
  try {
    const options = readOptions(Deno.args);
    if (!options.help) return options;
    console.log(USAGE);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`statsd: ${error.message}`);
    Deno.exit(2);
  }
}

if (import.meta.main) {
  const options = optionsOrExit();
  setup({
    handlers: {
      console: new ConsoleHandler("INFO", {
        useColors: false,
        formatter: ({ datetime, levelName, msg }) =>
          `${datetime.toISOString()} ${levelName} ${msg}`,
      }),
    },
    loggers: { default: { level: "INFO", handlers: ["console"] } },
  });
  await main((ctx) => serve(ctx, options));
}
