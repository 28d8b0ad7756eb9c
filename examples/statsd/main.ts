/**
 * A StatsD to Prometheus gateway: metrics come in over UDP, TCP and Unix datagrams,
 * are added up, and are scraped over HTTP, which also serves a page that shows what
 * comes in. This file is the life of the service; see parse.ts, aggregate.ts and
 * expose.ts for the metrics.
 *
 * @module
 */

import {
  afterFunc,
  type CancelableContext,
  cause,
  type Context,
  every,
  group,
  main,
  serveHttp,
  sleep,
  withCancel,
  withoutCancel,
} from "@curfew/context";
import { inspect, inspectRoutes } from "@curfew/context/inspect";
import { getLogger, LogLevels } from "@std/log";
import config from "../../deno.json" with { type: "json" };
import { Aggregate } from "./aggregate.ts";
import { expose, type Format, lineNames } from "./expose.ts";
import { exposeProtobuf } from "./expose_protobuf.ts";
import {
  CannotListen,
  hostPort,
  INTAKE_GRACE,
  listening,
  openIntakes,
  SocketFailed,
} from "./intake.ts";
import { setUpLog } from "./log.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { Monitor, pageResponse } from "./page.ts";
import { routesOf } from "./routes.ts";
import { ownFamilies, reportOf, type Totals, totalsOf } from "./telemetry.ts";

/** Grace period of HTTP, in ms. */
const HTTP_GRACE = 2_000;
/** Number of sweeps during the time to live of a series. */
const SWEEPS = 10;
/** Maximum number of refusals logged per second. */
const LOGGED = 10;

/**
 * Runs the service until `parent` is done or a client asks it to quit. It ends in
 * three steps:
 *
 * 1. `ctx` is done: the service is not ready anymore, but takes everything.
 * 2. `open` is done after the lame duck: the sockets drain and close.
 * 3. HTTP shuts down last, so that a scrape can still read the final counters.
 *
 * @throws {CannotListen} If an address cannot be listened on.
 * @throws {SocketFailed} If a socket failed, which ended the service.
 * @param onListen Called with the URL of HTTP and the sockets.
 * @returns The totals, once everything is closed.
 */
export async function serve(
  parent: Context,
  options: Options,
  onListen?: (
    url: string,
    intakes: { transport: string; at: string }[],
  ) => void,
): Promise<Totals> {
  const log = getLogger();
  // First, so that it knows all contexts.
  using inspector = options.inspect && inspect();
  using ctx = withCancel(parent);
  using open = laterThan(ctx, options.lameDuck);

  const aggregate = new Aggregate({
    maxSeries: options.maxSeries,
    buckets: options.buckets,
    idleSweeps: SWEEPS,
    reserved: [...ownFamilies([])].flatMap(({ name, type }) =>
      lineNames(name, type)
    ),
  });
  const onError = (message: string) => log.error(message);
  const intakes = openIntakes(open, options, aggregate, onError);
  for (const intake of intakes) {
    // A deaf service would look healthy: it ends, so that it is restarted.
    intake.finished.catch((error) => {
      ctx.cancel(new SocketFailed(intake.transport, error));
    });
  }

  await using inspection = inspector && listening(
    "--inspect",
    hostPort(options.inspect!),
    () =>
      serveHttp(
        withoutCancel(ctx),
        { ...options.inspect, grace: HTTP_GRACE },
        inspectRoutes(inspector),
      ),
  );
  const inspectorUrl = inspection &&
    `http://${hostPort(inspection.addr as Deno.NetAddr)}`;
  if (inspectorUrl !== undefined) log.info(`inspector on ${inspectorUrl}/`);

  const monitor = new Monitor(ctx, open, aggregate, intakes);
  await using http = listening(
    "--http",
    hostPort(options.http),
    () =>
      serveHttp(withoutCancel(ctx), {
        ...options.http,
        grace: HTTP_GRACE,
        maxBodyBytes: 1_000,
        onError: (error) => log.error(`http: ${error}`),
      }, (ctx, request) => routes(ctx, request)),
  );
  const addr = http.addr as Deno.NetAddr;
  const routes = routesOf({
    hostname: addr.hostname,
    isReady: () => ctx.err === undefined,
    native: options.buckets === "native",
    exposition: (format: Format) =>
      expose(format, ownFamilies(intakes), aggregate.families()),
    messages: () => exposeProtobuf(ownFamilies(intakes), aggregate.families()),
    page: () => pageResponse(inspectorUrl),
    events: (ctx: Context) => monitor.events(ctx),
    quit: options.lifecycle ? () => ctx.cancel("quit over HTTP") : undefined,
  });

  await using chores = group(withoutCancel(ctx));
  chores.go((ctx) => monitor.watch(ctx));
  chores.go((ctx) => sweep(ctx, aggregate, options.ttl));
  chores.go((ctx) => warnOfLimit(ctx, aggregate));
  chores.go((ctx) => logRefusals(ctx, aggregate));

  const url = `http://${hostPort(addr)}`;
  const ways = intakes.map(({ transport, at }) => `${transport} ${at}`);
  log.info(`listening on ${ways.join(", ")} and ${url}/metrics`);
  onListen?.(url, intakes);

  await Promise.allSettled(intakes.map(({ finished }) => finished));
  await http.shutdown({ cause: cause(ctx) });
  await chores[Symbol.asyncDispose]();
  const totals = totalsOf(aggregate, intakes);
  log.info(`stopped (${cause(ctx)}): ${reportOf(totals)}`);
  if (cause(ctx) instanceof SocketFailed) throw cause(ctx);
  return totals;
}

/** Returns the maximum time in ms that the three steps take together. */
export function graceOf({ lameDuck }: Options): number {
  return lameDuck + INTAKE_GRACE + HTTP_GRACE + 1_000;
}

/** Returns a context that is done `ms` after `ctx`, for the same cause. */
function laterThan(ctx: Context, ms: number): CancelableContext {
  const later = withCancel(withoutCancel(ctx));
  afterFunc(ctx, async () => {
    // Rejects if `later` has been canceled, which needs no wait.
    if (ms > 0) await sleep(later, ms).catch(() => {});
    later.cancel(cause(ctx));
  });
  return later;
}

/** Removes series that got no sample for `ttl` ms. */
async function sweep(
  ctx: Context,
  aggregate: Aggregate,
  ttl: number,
): Promise<void> {
  if (ttl === Infinity) return;
  for await (const _ of every(ctx, ttl / SWEEPS)) aggregate.sweep();
}

/** Warns that new series are refused, at most once a minute. */
async function warnOfLimit(ctx: Context, aggregate: Aggregate): Promise<void> {
  let before = 0;
  for await (const _ of every(ctx, 1_000)) {
    const refused = aggregate.errors.series_limit;
    if (refused === before) continue;
    getLogger().warn(
      `refused ${refused - before} samples of new series: there are ` +
        `${aggregate.size}, and --max-series or their text allows no more`,
    );
    before = refused;
    await sleep(ctx, 59_000);
  }
}

/** Logs refusals by name, at most {@link LOGGED} of them per second. */
async function logRefusals(ctx: Context, aggregate: Aggregate): Promise<void> {
  const log = getLogger();
  if (log.level > LogLevels.DEBUG) return;
  const logNews = () => {
    const { entries, others } = aggregate.refusals.news(LOGGED);
    for (const { name, reason, detail, count, line } of entries.reverse()) {
      const why = detail === "" ? reason : `${reason}: ${detail}`;
      const times = count === 1 ? "" : `, ${count} times`;
      log.debug(`refused ${name} (${why})${times}: ${line}`);
    }
    if (others > 0) log.debug(`refused ${others} others`);
  };
  for await (const _ of every(ctx, 1_000)) logNews();
  // Those since the last second.
  logNews();
}

function optionsOrExit(): Options {
  try {
    const options = readOptions(Deno.args);
    if (!options.help && !options.version) return options;
    console.log(options.help ? USAGE : `statsd ${config.version}`);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`statsd: ${error.message}`);
    Deno.exit(2);
  }
}

if (import.meta.main) {
  const options = optionsOrExit();
  setUpLog(options.logLevel);
  await main(async (ctx) => {
    try {
      await serve(ctx, options);
      return 0;
    } catch (error) {
      if (!(error instanceof CannotListen)) throw error;
      console.error(`statsd: ${error.message}`);
      return 1;
    }
  }, { grace: graceOf(options) });
}
