/**
 * The page of the service, and the events that keep it up to date.
 *
 * Names of series come from clients and may contain anything. They leave here as JSON
 * only, the page shows them as text, and its policy runs no script but its own.
 *
 * @module
 */

import { afterFunc, type Context, draining, every } from "@curfew/context";
import type { Aggregate } from "./aggregate.ts";
import type { Intake, IntakeStats } from "./intake.ts";
import page from "./page.html" with { type: "text" };
import type { Refused } from "./refusals.ts";

/** Phase of the service's life. */
export type Phase = "serving" | "lame duck" | "draining" | "gone";

/** State of the service at one moment, as the page shows it. */
export interface State {
  /** Phase of the service's life. */
  readonly phase: Phase;
  /** Time in s since the process started. */
  readonly uptime: number;
  /** Lines per second, for each of the last seconds, the latest last; empty during
   * the first second. */
  readonly rates: readonly number[];
  /** Number of lines since the start. */
  readonly lines: number;
  /** Number of series. */
  readonly series: number;
  /** Maximum number of series. */
  readonly seriesLimit: number;
  /** Memory of the process, in bytes. */
  readonly memory: number;
  /** Number of samples or lines not taken, by reason, without zeros. */
  readonly errors: Readonly<Record<string, number>>;
  /** Number of tags that could not be read. */
  readonly tagErrors: number;
  /** Number of lines that are not metrics, by type. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Latest lines, samples and tags that were not taken, the newest first. */
  readonly refused: readonly Refused[];
  /** Series with the most samples in the last second; null until a page has been
   * open for a whole second. */
  readonly busiest: readonly BusyState[] | null;
  /** Sockets that take StatsD. */
  readonly intakes: readonly IntakeState[];
}

/** A series with many samples. */
export interface BusyState {
  /** Name and labels, as on the lines of the exposition. */
  readonly name: string;
  /** Kind of the series. */
  readonly kind: string;
  /** Samples per second. */
  readonly rate: number;
}

/** State of a socket at one moment. */
export interface IntakeState extends IntakeStats {
  /** Transport of the socket. */
  readonly transport: string;
  /** Address of the socket. */
  readonly at: string;
  /** True once it is closed and everything is handled. */
  readonly closed: boolean;
  /** Reason why {@link IntakeStats.kernelDropped} is unknown, if it is. */
  readonly kernelDropsUnknown: string | undefined;
}

/** Length of the chart, in s. */
const HISTORY = 60;
/** Number of series shown. */
const BUSIEST = 10;
/** Number of refusals shown. */
const REFUSED = 10;
/** Maximum number of open pages, so that they cannot keep out scrapes. */
export const MAX_VIEWERS = 20;
/** Maximum number of events that wait for a page that does not read them. */
const WAITING = 4;

/**
 * Returns the page, which no cache may store and no other page may frame.
 *
 * @param inspector URL of the inspector's page, if there is one.
 */
export function pageResponse(inspector?: string): Response {
  const nonce = crypto.randomUUID();
  const link = inspector === undefined
    ? ""
    : ` <a href="${inspector}/">contexts</a>`;
  const html = page.replaceAll("{{nonce}}", nonce).replace(
    "<!-- link -->",
    link,
  );
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; connect-src 'self'; ` +
        `script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; ` +
        `base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    },
  });
}

/** Looks at the service once a second and sends events to the open pages. */
export class Monitor {
  readonly #ctx: Context;
  readonly #open: Context;
  readonly #aggregate: Aggregate;
  readonly #intakes: readonly Intake[];
  readonly #viewers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #rates: number[] = [];
  readonly #encoder = new TextEncoder();
  #linesBefore = 0;
  #busiest: BusyState[] | null = null;
  /** Time of the last look at the series; undefined if nobody watched then. */
  #lookedAt: number | undefined;

  /**
   * @param ctx Done when the service has been asked to end.
   * @param open Done when the sockets stop taking StatsD.
   * @param aggregate Aggregate to show.
   * @param intakes Sockets to show.
   */
  constructor(
    ctx: Context,
    open: Context,
    aggregate: Aggregate,
    intakes: readonly Intake[],
  ) {
    this.#ctx = ctx;
    this.#open = open;
    this.#aggregate = aggregate;
    this.#intakes = intakes;
    afterFunc(ctx, () => this.#send());
    afterFunc(open, () => this.#send());
    const closed = () => this.#send();
    for (const { finished } of intakes) finished.then(closed, closed);
  }

  /** Looks once a second until `ctx` is done. */
  async watch(ctx: Context): Promise<void> {
    for await (const _ of every(ctx, 1_000)) {
      const { lines } = this.#aggregate;
      this.#rates.push(lines - this.#linesBefore);
      if (this.#rates.length > HISTORY) this.#rates.shift();
      this.#linesBefore = lines;
      this.#lookAtSeries();
      this.#send();
    }
  }

  /** Returns a stream of events that ends when the server of `ctx` drains. */
  events(ctx: Context): Response {
    if (this.#viewers.size >= MAX_VIEWERS) {
      return new Response("too many pages are open\n", { status: 503 });
    }
    let viewer: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: async (controller) => {
        viewer = controller;
        this.#viewers.add(viewer);
        viewer.enqueue(this.#event(this.state()));
        await draining(ctx).done;
        if (!this.#viewers.delete(viewer)) return;
        viewer.enqueue(this.#event({ ...this.state(), phase: "gone" }));
        viewer.close();
      },
      cancel: () => {
        this.#viewers.delete(viewer);
      },
    }, { highWaterMark: WAITING });
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      },
    });
  }

  /** Returns the current state. */
  state(): State {
    const { errors, lines, size, maxSeries, tagErrors, skipped, refusals } =
      this.#aggregate;
    return {
      phase: this.#phase(),
      uptime: performance.now() / 1000,
      rates: this.#rates,
      lines,
      series: size,
      seriesLimit: maxSeries,
      memory: Deno.memoryUsage().rss,
      errors: Object.fromEntries(
        Object.entries(errors).filter(([, count]) => count > 0),
      ),
      tagErrors,
      skipped,
      refused: refusals.latest(REFUSED),
      busiest: this.#busiest,
      intakes: this.#intakes.map((intake) => ({
        ...intake.stats,
        transport: intake.transport,
        at: intake.at,
        closed: intake.closed,
        kernelDropsUnknown: intake.kernelDropsUnknown,
      })),
    };
  }

  /** Measures the busiest series since the last look. Looking at every series costs
   * too much without a viewer; the first look with one only starts the measurement. */
  #lookAtSeries(): void {
    const before = this.#lookedAt;
    this.#busiest = null;
    this.#lookedAt = undefined;
    if (this.#viewers.size === 0) return;
    const now = this.#lookedAt = performance.now();
    const busiest = this.#aggregate.busiest(BUSIEST);
    if (before === undefined) return;
    const seconds = (now - before) / 1000;
    this.#busiest = busiest.map(
      ({ name, kind, samples }) => ({ name, kind, rate: samples / seconds }),
    );
  }

  #phase(): Phase {
    if (this.#ctx.err === undefined) return "serving";
    return this.#open.err === undefined ? "lame duck" : "draining";
  }

  #send(): void {
    if (this.#viewers.size === 0) return;
    const event = this.#event(this.state());
    for (const viewer of this.#viewers) {
      // A page that does not read misses events; none pile up for it.
      if ((viewer.desiredSize ?? 0) > 0) viewer.enqueue(event);
    }
  }

  #event(state: State): Uint8Array<ArrayBuffer> {
    return this.#encoder.encode(`data: ${JSON.stringify(state)}\n\n`);
  }
}
