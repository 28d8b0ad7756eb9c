/**
 * A DNS forwarder over UDP and TCP. This file is the life of the service: where it
 * listens, its limits, and how it ends. See desk.ts for the way of a query,
 * failover.ts and upstream.ts for forwarding, zone.ts for answers from a file, and
 * wire.ts for messages.
 *
 * @module
 */

import {
  Canceled,
  cause,
  type Context,
  group,
  type HttpServer,
  main,
  serveHttp,
  serveTcp,
  serveUdp,
  withoutCancel,
} from "@curfew/context";
import { getLogger } from "@std/log";
import { converse } from "./conversation.ts";
import { Desk } from "./desk.ts";
import { Forwarder } from "./forwarder.ts";
import { setUpLog } from "./log.ts";
import { CONTENT_TYPE, exposition } from "./metrics.ts";
import {
  type Endpoint,
  hostPort,
  type Options,
  readOptions,
  USAGE,
} from "./options.ts";
import { openBoth } from "./same_port.ts";
import { Zone } from "./zone.ts";

/** UDP queries in flight at once, and as many more that wait. */
const UDP_QUERIES = 256;
const TCP_CONNECTIONS = 64;
/** Time in ms that HTTP may take at the very end. */
const HTTP_GRACE = 1_000;

/** Runs the service until `ctx` is done. */
async function serve(
  ctx: Context,
  options: Options,
  zone: Zone | undefined,
): Promise<void> {
  const { listen, timeout, idle } = options;
  await using checks = group(ctx);
  const forwarder = new Forwarder(options.upstreams, timeout, checks);
  const desk = new Desk({
    timeout,
    recursive: zone === undefined,
    resolve: zone === undefined
      ? (ctx, query, transport) => forwarder.resolve(ctx, query, transport)
      : (_ctx, query) => ({ message: zone.answer(query), from: "records" }),
  });
  const log = getLogger();
  const { hostname } = listen;
  const grace = graceFor(timeout);
  const [udp, tcp] = await openBoth(
    listen.port,
    (port) =>
      serveUdp(ctx, {
        ...{ hostname, port, grace },
        concurrency: UDP_QUERIES,
        backlog: UDP_QUERIES,
        onError: (error) => log.error(`udp: ${error}`),
      }, (ctx, datagram) =>
        desk.handle(ctx, {
          transport: "udp",
          client: datagram.addr,
          message: datagram.data,
          send: (reply) => datagram.reply(reply),
        })),
    (port) =>
      serveTcp(ctx, {
        ...{ hostname, port, grace },
        maxConnections: TCP_CONNECTIONS,
        idleTimeout: timeout + idle,
        allowHalfOpen: true,
        onError: (error) => log.error(`tcp: ${error}`),
      }, (ctx, conn) => converse(ctx, conn, desk, timeout + idle)),
  ).catch((error) => cannotListen("listen", listen, error));

  const metrics = () =>
    exposition({ desk, forwarder, overflow: udp.stats.dropped });
  // HTTP ends last, so that a scrape sees the final queries.
  await using http = serveMetrics(withoutCancel(ctx), options, metrics);
  const at = http &&
    ` and http://${hostPort(http.addr as Deno.NetAddr)}/metrics`;
  log.info(`listening on ${hostPort(udp.addr)}, udp and tcp${at ?? ""}`);

  const [unread] = await Promise.all([udp.finished, tcp.finished]);
  const { counts } = desk;
  log.info(
    `stopped (${cause(ctx)}): ${counts.udp + unread.dropped} queries by udp, ` +
      `${counts.tcp} by tcp; answered ${counts.answered}, ` +
      `failed ${counts.failed}, dropped ${counts.dropped + unread.dropped}`,
  );
}

function serveMetrics(
  ctx: Context,
  { metrics }: Options,
  render: () => string,
): HttpServer | undefined {
  if (metrics === undefined) return undefined;
  const headers = { "content-type": CONTENT_TYPE };
  try {
    return serveHttp(ctx, {
      ...metrics,
      grace: HTTP_GRACE,
      onError: (error) => getLogger().error(`http: ${error}`),
    }, (_ctx, { method, url }) => {
      if (new URL(url).pathname !== "/metrics") {
        return new Response("not found\n", { status: 404 });
      }
      return method === "GET" || method === "HEAD"
        ? new Response(render(), { headers })
        : new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
    });
  } catch (error) {
    return cannotListen("metrics", metrics, error);
  }
}

/** Tells the user which flag names an address that cannot be used, and why. */
class CannotListen extends Error {}

function cannotListen(flag: string, at: Endpoint, error: unknown): never {
  // A signal came first.
  if (error instanceof Canceled) throw error;
  // The message begins with the function and the address, which the flag replaces.
  const why = (error as Error).message
    .replace(/^serve\w+: (cannot listen on \S+: )?/, "");
  throw new CannotListen(`--${flag} ${hostPort(at)}: ${why}`);
}

/** Time in ms for the queries in flight, then for those that wait for a turn. */
function graceFor(timeout: number): number {
  return 2 * timeout + 2_000;
}

/** The records to answer from, if the options name a file. */
function readZone(records: string | undefined): Zone | undefined {
  if (records === undefined) return undefined;
  let text: string;
  try {
    text = Deno.readTextFileSync(records);
  } catch (error) {
    throw new RangeError(
      `--records must be a file that can be read: ${(error as Error).message}`,
    );
  }
  try {
    return Zone.parse(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`${records}, ${error.message}`);
  }
}

/** Throws without permission to forward: a missing one would only fail queries. */
function assertAllowed(upstream: Endpoint): void {
  const hosts = [
    hostPort(upstream),
    // The address of the sockets that ask over UDP.
    upstream.hostname.includes(":") ? "[::]:0" : "0.0.0.0:0",
  ];
  for (const host of hosts) {
    const { state } = Deno.permissions.requestSync({ name: "net", host });
    if (state === "granted") continue;
    throw new RangeError(
      `--upstream needs net access to ${host}, run again with --allow-net`,
    );
  }
}

function setUpOrExit(): [Options, Zone | undefined] {
  try {
    const options = readOptions(Deno.args);
    if (!options.help) {
      options.upstreams.forEach(assertAllowed);
      return [options, readZone(options.records)];
    }
    console.log(USAGE);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`dns: ${error.message}`);
    Deno.exit(2);
  }
}

if (import.meta.main) {
  const [options, zone] = setUpOrExit();
  setUpLog(options.logLevel);
  await main(async (ctx) => {
    try {
      await serve(ctx, options, zone);
      return 0;
    } catch (error) {
      if (!(error instanceof CannotListen)) throw error;
      console.error(`dns: ${error.message}`);
      return 1;
    }
  }, { grace: graceFor(options.timeout) + HTTP_GRACE + 5_000 });
}
