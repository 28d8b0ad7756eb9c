/**
 * The page of the service, and the events that keep it up to date.
 *
 * Names of series are whatever somebody has sent. They leave here as JSON only,
 * the page shows them as text, and its policy runs no script but its own.
 *
 * @module
 */

import { afterFunc, type Context, every, softDone } from "@curfew/context";
import type { Aggregate } from "./aggregate.ts";
import type { Intake, IntakeStats } from "./intake.ts";
import page from "./page.html" with { type: "text" };

/** Where the service is in its life. */
export type Phase = "serving" | "lame duck" | "draining" | "gone";

/** What the page shows, at one moment. */
export interface State {
  /** Where the service is in its life. */
  readonly phase: Phase;
  /** In s, since the process has started. */
  readonly uptime: number;
  /** Lines a second, for each of the last seconds, the latest last. */
  readonly rates: readonly number[];
  /** Lines since the start. */
  readonly lines: number;
  /** Series held. */
  readonly series: number;
  /** In bytes. */
  readonly memory: number;
  /** Samples or lines not taken, by reason; only those that there are. */
  readonly errors: Readonly<Record<string, number>>;
  /** What was written to most of late. */
  readonly busiest: readonly BusyState[];
  /** The sockets. */
  readonly intakes: readonly IntakeState[];
}

/** A series that is much written to. */
export interface BusyState {
  /** Name and labels, as on the lines of the exposition. */
  readonly name: string;
  /** What its samples go into. */
  readonly kind: string;
  /** Samples a second. */
  readonly rate: number;
}

/** A socket, at one moment. */
export interface IntakeState extends IntakeStats {
  /** How StatsD comes in. */
  readonly transport: string;
  /** Where. */
  readonly at: string;
  /** Whether it is closed, and everything handled. */
  readonly closed: boolean;
}

/** How many seconds the chart goes back. */
const HISTORY = 60;
/** How many series are shown. */
const BUSIEST = 10;
/** How many pages may be open: they must not keep a scrape from being answered. */
export const MAX_VIEWERS = 20;
/** How many events may wait for a page that does not read them. */
const WAITING = 4;

/** The page; no store may keep it, no other page frame it. */
export function pageResponse(): Response {
  const nonce = crypto.randomUUID();
  return new Response(page.replaceAll("{{nonce}}", nonce), {
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

/** Looks at the service once a second, and tells the pages that are open. */
export class Monitor {
  readonly #ctx: Context;
  readonly #open: Context;
  readonly #aggregate: Aggregate;
  readonly #intakes: readonly Intake[];
  readonly #viewers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #rates: number[] = [];
  readonly #encoder = new TextEncoder();
  #linesBefore = 0;
  #busiest: BusyState[] = [];
  #busiestAt = performance.now();

  /**
   * @param ctx Done when the service has been asked to end.
   * @param open Done when it takes nothing in any more.
   * @param aggregate What to look at.
   * @param intakes The sockets.
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
    afterFunc(ctx, () => this.#tell());
    afterFunc(open, () => this.#tell());
    for (const { finished } of intakes) finished.then(() => this.#tell());
  }

  /** Looks until `ctx` is done. */
  async watch(ctx: Context): Promise<void> {
    for await (const _ of every(ctx, 1_000)) {
      const { lines } = this.#aggregate;
      this.#rates.push(lines - this.#linesBefore);
      if (this.#rates.length > HISTORY) this.#rates.shift();
      this.#linesBefore = lines;
      // To look at every series is for somebody who watches.
      if (this.#viewers.size === 0) continue;
      this.#lookAtSeries();
      this.#tell();
    }
  }

  /** A stream of events, until the server of `ctx` says that it is to end. */
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
        await softDone(ctx);
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

  /** What there is to see now. */
  state(): State {
    const { errors, lines, size } = this.#aggregate;
    return {
      phase: this.#phase(),
      uptime: performance.now() / 1000,
      rates: this.#rates,
      lines,
      series: size,
      memory: Deno.memoryUsage().rss,
      errors: Object.fromEntries(
        Object.entries(errors).filter(([, count]) => count > 0),
      ),
      busiest: this.#busiest,
      intakes: this.#intakes.map((intake) => ({
        ...intake.stats,
        transport: intake.transport,
        at: intake.at,
        closed: intake.closed,
      })),
    };
  }

  #lookAtSeries(): void {
    const now = performance.now();
    const seconds = (now - this.#busiestAt) / 1000;
    this.#busiestAt = now;
    this.#busiest = this.#aggregate.busiest(BUSIEST).map(
      ({ name, kind, samples }) => ({ name, kind, rate: samples / seconds }),
    );
  }

  #phase(): Phase {
    if (this.#ctx.err === undefined) return "serving";
    return this.#open.err === undefined ? "lame duck" : "draining";
  }

  #tell(): void {
    if (this.#viewers.size === 0) return;
    const event = this.#event(this.state());
    for (const viewer of this.#viewers) {
      // A page that does not read misses something; nothing piles up for it.
      if ((viewer.desiredSize ?? 0) > 0) viewer.enqueue(event);
    }
  }

  #event(state: State): Uint8Array<ArrayBuffer> {
    return this.#encoder.encode(`data: ${JSON.stringify(state)}\n\n`);
  }
}
