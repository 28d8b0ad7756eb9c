/**
 * A DNS forwarder over UDP and TCP. This file is the life of the service: what it
 * listens on, how much there may be of anything, and how it ends. See desk.ts for
 * what happens to a query, upstream.ts for where it is passed on to, zone.ts for
 * answers of its own, and wire.ts for messages.
 *
 * @module
 */

import {
  Canceled,
  cause,
  type Context,
  group,
  main,
  serveTcp,
  serveUdp,
  softDone,
  untilDone,
  withCancel,
} from "@curfew/context";
import { Desk, type Resolve } from "./desk.ts";
import { type Endpoint, type Options, readOptions, USAGE } from "./options.ts";
import { openBoth } from "./same_port.ts";
import { Upstream } from "./upstream.ts";
import { frame, messages } from "./wire.ts";
import { Zone } from "./zone.ts";

/** Queries over UDP at work at once, and as many again that wait. */
const UDP_QUERIES = 256;
const TCP_CONNECTIONS = 64;
/** Queries of one connection at work at once; the next is not read until then. */
const CONNECTION_QUERIES = 16;
/** The longest query over TCP, in bytes. */
const MAX_QUERY = 4_096;

/** Serves one connection: answers go out as they are ready (RFC 7766). */
async function converse(
  ctx: Context,
  conn: Deno.Conn<Deno.NetAddr>,
  desk: Desk,
): Promise<void> {
  const writer = conn.writable.getWriter();
  await using queries = group(ctx, { limit: CONNECTION_QUERIES });
  using reading = withCancel(queries.ctx);
  softDone(ctx).then(() => reading.cancel());
  for await (const message of untilDone(reading, messages(conn, MAX_QUERY))) {
    await queries.go((ctx) =>
      desk.handle(ctx, "tcp", message, (answer) => writer.write(frame(answer)))
    );
  }
  await queries.wait();
}

/** Runs the service until `ctx` is done. */
async function serve(
  ctx: Context,
  { listen, timeout, idle }: Options,
  resolve: Resolve,
): Promise<void> {
  const desk = new Desk(resolve, timeout);
  const { hostname } = listen;
  const grace = graceFor(timeout);
  const [udp, tcp] = await openBoth(
    listen.port,
    (port) =>
      serveUdp(ctx, {
        ...{ hostname, port, grace },
        concurrency: UDP_QUERIES,
        backlog: UDP_QUERIES,
        onError: (error) =>
          console.error(`dns: udp: ${error}`),
      }, (ctx, datagram) =>
        desk.handle(ctx, "udp", datagram.data, (data) =>
          datagram.reply(data))),
    (port) =>
      serveTcp(ctx, {
        ...{ hostname, port, grace },
        maxConnections: TCP_CONNECTIONS,
        idleTimeout: timeout + idle,
        allowHalfOpen: true,
        onError: (error) => console.error(`dns: tcp: ${error}`),
      }, (ctx, conn) => converse(ctx, conn, desk)),
  ).catch((error) => cannotListen(listen, error));
  console.log(`listening on ${hostPort(udp.addr)}, udp and tcp`);

  const [unread] = await Promise.all([udp.finished, tcp.finished]);
  const { counts } = desk;
  console.log(
    `stopped (${cause(ctx)}): ${counts.udp + unread.dropped} queries by udp, ` +
      `${counts.tcp} by tcp; answered ${counts.answered}, ` +
      `failed ${counts.failed}, dropped ${counts.dropped + unread.dropped}`,
  );
}

function cannotListen(listen: Endpoint, error: unknown): never {
  // A signal has come first.
  if (error instanceof Canceled) throw error;
  // The package says which of its functions it was, and where.
  const why = (error as Error).message
    .replace(/^serve\w+: (cannot listen on \S+: )?/, "");
  console.error(`dns: --listen ${hostPort(listen)}: ${why}`);
  Deno.exit(1);
}

function hostPort({ hostname, port }: Endpoint): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** In ms: what is at work may take its time, and then what waits for that. */
function graceFor(timeout: number): number {
  return 2 * timeout + 2_000;
}

/** Where the answers come from that the options ask for. */
function resolverFor({ upstream, records = "" }: Options): Resolve {
  if (upstream !== undefined) {
    assertAllowed(upstream);
    const server = new Upstream(upstream);
    return (ctx, query, transport) => server.ask(ctx, query, transport);
  }
  let text: string;
  try {
    text = Deno.readTextFileSync(records);
  } catch (error) {
    throw new RangeError(
      `--records must be a file that can be read: ${(error as Error).message}`,
    );
  }
  try {
    const zone = Zone.parse(text);
    return (_ctx, query) => zone.answer(query);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`${records}, ${error.message}`);
  }
}

/** Throws unless queries may be passed on: later each would fail for itself, and
 * nobody be told why. */
function assertAllowed(upstream: Endpoint): void {
  const hosts = [
    hostPort(upstream),
    // Where the sockets are opened that ask by UDP.
    upstream.hostname.includes(":") ? "[::]:0" : "0.0.0.0:0",
  ];
  for (const host of hosts) {
    const { state } = Deno.permissions.requestSync({ name: "net", host });
    if (state === "granted") continue;
    throw new RangeError(
      `--upstream takes net access to ${host}, run again with --allow-net`,
    );
  }
}

function setUpOrExit(): [Options, Resolve] {
  try {
    const options = readOptions(Deno.args);
    if (!options.help) return [options, resolverFor(options)];
    console.log(USAGE);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`dns: ${error.message}`);
    Deno.exit(2);
  }
}

if (import.meta.main) {
  const [options, resolve] = setUpOrExit();
  await main((ctx) => serve(ctx, options, resolve), {
    grace: graceFor(options.timeout) + 5_000,
  });
}
