/**
 * A StatsD to Prometheus gateway: metrics come in over UDP, TCP and Unix
 * datagrams, are added up, and are scraped over HTTP, where a page shows what
 * comes in. This file is the life of the service; see parse.ts, aggregate.ts and
 * expose.ts for what it does with a metric.
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
import { getLogger } from "@std/log";
import { Aggregate } from "./aggregate.ts";
import { expose, type Format, lineNames } from "./expose.ts";
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
import { finalReport, ownFamilies } from "./telemetry.ts";

/** How long, in ms, HTTP may take at the very end. */
const HTTP_GRACE = 2_000;
/** How often it is looked at a series until it is too old. */
const SWEEPS = 10;

/**
 * Runs the service until `parent` is done, or somebody asks it to quit. It has
 * three ends: `ctx` is done, and it is not ready any more; `open` is done a lame
 * duck later, and the sockets close once they are empty; HTTP ends last, so that
 * it can tell of all this.
 *
 * @throws {CannotListen} If there is something where it cannot listen.
 * @throws {SocketFailed} If a socket has failed; it has ended because of that.
 * @param onListen Told where HTTP is served, and where StatsD comes in.
 */
export async function serve(
  parent: Context,
  options: Options,
  onListen?: (
    url: string,
    intakes: { transport: string; at: string }[],
  ) => void,
): Promise<void> {
  const log = getLogger();
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
  await using sockets = new AsyncDisposableStack();
  const onError = (message: string) => log.error(message);
  const intakes = await openIntakes(open, options, aggregate, onError);
  for (const intake of intakes) {
    sockets.use(intake);
    // A service that has become deaf looks well: it ends, to be started anew.
    intake.finished.then(() => ctx.cancel(new SocketFailed(intake.transport)));
  }

  const monitor = new Monitor(ctx, open, aggregate, intakes);
  await using http = await listening(
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
    exposition: (format: Format) =>
      expose(format, ownFamilies(intakes), aggregate.families()),
    page: pageResponse,
    events: (ctx: Context) => monitor.events(ctx),
    quit: options.lifecycle ? () => ctx.cancel("quit over HTTP") : undefined,
  });

  await using chores = group(withoutCancel(ctx));
  chores.go((ctx) => monitor.watch(ctx));
  chores.go((ctx) => sweep(ctx, aggregate, options.ttl));
  chores.go((ctx) => warnOfRefused(ctx, aggregate));

  const url = `http://${hostPort(addr)}`;
  const ways = intakes.map(({ transport, at }) => `${transport} ${at}`);
  log.info(`listening on ${ways.join(", ")} and ${url}/metrics`);
  onListen?.(url, intakes);

  await Promise.all(intakes.map(({ finished }) => finished));
  await http.shutdown(cause(ctx));
  log.info(`stopped (${cause(ctx)}): ${finalReport(aggregate, intakes)}`);
  if (cause(ctx) instanceof SocketFailed) throw cause(ctx);
}

/** How long, in ms, the three ends may take together. */
export function graceOf({ lameDuck }: Options): number {
  return lameDuck + INTAKE_GRACE + HTTP_GRACE + 1_000;
}

/** A context that is done `ms` after `ctx`, for the same cause. */
function laterThan(ctx: Context, ms: number): CancelableContext {
  const later = withCancel(withoutCancel(ctx));
  afterFunc(ctx, async () => {
    // Rejects where `later` has been cancelled, which is all that is wanted.
    if (ms > 0) await sleep(later, ms).catch(() => {});
    later.cancel(cause(ctx));
  });
  return later;
}

/** Takes away, now and then, what nobody has written to for `ttl` ms. */
async function sweep(
  ctx: Context,
  aggregate: Aggregate,
  ttl: number,
): Promise<void> {
  if (ttl === Infinity) return;
  for await (const _ of every(ctx, ttl / SWEEPS)) aggregate.sweep();
}

/** Says that series are refused, at most once a minute. */
async function warnOfRefused(
  ctx: Context,
  aggregate: Aggregate,
): Promise<void> {
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
  setUpLog();
  await main(async (ctx) => {
    try {
      await serve(ctx, options);
    } catch (error) {
      if (!(error instanceof CannotListen)) throw error;
      console.error(`statsd: ${error.message}`);
      Deno.exit(1);
    }
  }, { grace: graceOf(options) });
}
