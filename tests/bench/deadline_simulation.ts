// Simulates a tree of services with a slow backend, with deadlines that are passed on
// and with deadlines that stop at the first socket. It runs in virtual time, so the
// result is the same on every machine.
//
//     deno task bench:deadlines     prints the table and writes docs/deadlines.svg

import {
  background,
  type Context,
  orDone,
  sleep,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { autoAdvance } from "@curfew/context/testing";
import { FakeTime } from "@std/testing/time";
import { Random } from "../context/random.ts";

/** Parameters, for both runs. */
export const model = {
  seed: 17,
  clients: 1_000,
  /** Time in ms during which the clients arrive. */
  arrivals: 10_000,
  /** Time in ms that a client waits. */
  patience: 2_000,
  /** Timeout in ms of a service that knows no deadline of its caller. */
  ownTimeout: 30_000,
  /** The tiers in order: number of requests at a time, mean work in ms. */
  tiers: [
    { name: "gateway", slots: 1_000, work: 5 },
    { name: "service", slots: 500, work: 20 },
    { name: "backend", slots: 40, work: 600 },
  ],
} as const;

/** A stretch of work in the backend. */
interface Work {
  /** Start and end in ms since the start of the run. */
  readonly from: number;
  readonly to: number;
  /** The time at which the client has gone. */
  readonly goneAt: number;
}

/** Outcome of one run. */
export interface Run {
  readonly propagates: boolean;
  /** Number of clients that got their answer in time. */
  readonly answered: number;
  /** Work of the backend in ms. */
  readonly busy: number;
  /** The part of it that was done for clients that had gone. */
  readonly wasted: number;
  /** Time in ms from the last client's end to the end of the last work. */
  readonly afterwards: number;
  readonly work: readonly Work[];
}

/** Slots that are given away in order of arrival. */
class Tier {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /** Waits for a slot, no longer than until ctx is done. */
  async enter(ctx: Context): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#queue.add(resolve);
    try {
      await orDone(ctx, promise, { late: () => this.leave() });
    } finally {
      this.#queue.delete(resolve);
    }
  }

  leave(): void {
    const [next] = this.#queue;
    if (next === undefined) this.#free++;
    else {
      this.#queue.delete(next);
      next();
    }
  }
}

/** Runs the model in virtual time. */
export async function simulate(propagates: boolean): Promise<Run> {
  const random = new Random(model.seed);
  using time = new FakeTime(0);
  using _clock = autoAdvance(time);
  const tiers = model.tiers.map(({ slots }) => new Tier(slots));
  const work: Work[] = [];
  let answered = 0;
  let lastGone = 0;

  /** Handles a request in tier `index` and those behind it. */
  async function handle(
    caller: Context,
    index: number,
    times: readonly number[],
    goneAt: number,
  ): Promise<void> {
    using ctx = propagates
      ? withTimeout(caller, model.ownTimeout)
      : withTimeout(withoutCancel(caller), model.ownTimeout);
    const tier = tiers[index]!;
    await tier.enter(ctx);
    const from = Date.now();
    try {
      await sleep(ctx, times[index]!);
      if (index + 1 < tiers.length) {
        await handle(ctx, index + 1, times, goneAt);
      }
    } finally {
      tier.leave();
      if (index === tiers.length - 1) {
        work.push({ from, to: Date.now(), goneAt });
      }
    }
  }

  async function client(arrival: number, times: number[]): Promise<void> {
    await sleep(background(), arrival);
    using ctx = withTimeout(background(), model.patience);
    const goneAt = Date.now() + model.patience;
    const request = handle(ctx, 0, times, goneAt);
    requests.push(request.catch(() => {}));
    try {
      await orDone(ctx, request);
      answered++;
    } catch {
      // It has gone without an answer.
    }
    lastGone = Math.max(lastGone, Date.now());
  }

  const requests: Promise<void>[] = [];
  const clients: Promise<void>[] = [];
  for (let i = 0; i < model.clients; i++) {
    const arrival = random.below(model.arrivals);
    // Exponentially distributed, as by a Poisson process.
    const times = model.tiers.map(({ work }) =>
      Math.ceil(-Math.log((1 + random.below(1e6)) / 1e6) * work)
    );
    clients.push(client(arrival, times));
  }
  await Promise.all(clients);
  await Promise.all(requests);
  const spent = (from: number, to: number) => Math.max(0, to - from);
  const sum = (of: (work: Work) => number) =>
    work.reduce((sum, each) => sum + of(each), 0);
  return {
    propagates,
    answered,
    busy: sum(({ from, to }) => spent(from, to)),
    wasted: sum(({ from, to, goneAt }) => spent(Math.max(from, goneAt), to)),
    afterwards: spent(lastGone, Math.max(...work.map(({ to }) => to))),
    work,
  };
}

/** The rows of the table in docs/deadlines.md. */
export function rows([without, by]: readonly [Run, Run]): string[][] {
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const share = ({ wasted, busy }: Run) =>
    `${seconds(wasted)} (${Math.round(100 * wasted / busy)} %)`;
  const columns: [string, (run: Run) => string][] = [
    ["clients answered in time", ({ answered }) => `${answered}`],
    ["work in the backend", ({ busy }) => seconds(busy)],
    ["of that, for clients that had gone", share],
    ["work after the last client had gone", (run) => seconds(run.afterwards)],
  ];
  return columns.map(([what, of]) => [what, of(without), of(by)]);
}

/** Step of the plot in ms. */
const step = 100;

/** Backend slots in use at `time`: for clients that wait, and for all. */
function inUse({ work }: Run, time: number): [waiting: number, all: number] {
  const now = work.filter(({ from, to }) => from <= time && time < to);
  return [now.filter(({ goneAt }) => time < goneAt).length, now.length];
}

/** Draws the slots of the backend over time, one panel for each run. */
export function plot(runs: readonly [Run, Run]): string {
  const [width, height, left, top, gap] = [640, 120, 44, 34, 54];
  const slots = model.tiers[2].slots;
  const end = Math.ceil(
    Math.max(...runs.flatMap(({ work }) => work.map(({ to }) => to))) / 1_000,
  ) * 1_000;
  const x = (time: number) => Math.round(left + time / end * width);
  const texts = ["deadlines stop at the socket", "deadlines are passed on"];
  const panels = runs.map((run, index) => {
    const base = top + height + index * (height + gap);
    const y = (count: number) => Math.round(base - count / slots * height);
    const times = Array.from({ length: end / step + 1 }, (_, i) => i * step);
    const area = (which: 0 | 1) => {
      const points = times.map((time) =>
        `${x(time)},${y(inUse(run, time)[which])}`
      );
      return [`${x(0)},${base}`, ...points, `${x(end)},${base}`].join(" ");
    };
    const ticks = Array.from({ length: end / 5_000 + 1 }, (_, i) => i * 5_000)
      .map((time) =>
        `<text x="${x(time)}" y="${base + 16}" text-anchor="middle">${
          time / 1_000
        } s</text>`
      );
    return [
      `<text x="${left}" y="${base - height - 10}">${texts[index]}</text>`,
      `<polygon points="${area(1)}" fill="#d1495b"/>`,
      `<polygon points="${area(0)}" fill="#30638e"/>`,
      `<text x="${left - 6}" y="${
        y(slots) + 5
      }" text-anchor="end">${slots}</text>`,
      `<path d="M${left} ${y(slots)}V${base}H${
        x(end)
      }" stroke="#888" fill="none"/>`,
      ...ticks,
    ].join("\n");
  });
  const total = top + 2 * height + gap + 54;
  const legend = total - 12;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
      left + width + 24
    } ${total}" font-family="sans-serif" font-size="13">`,
    `<title>Backend slots in use over time</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...panels,
    `<rect x="${left}" y="${
      legend - 10
    }" width="12" height="12" fill="#30638e"/>`,
    `<text x="${
      left + 18
    }" y="${legend}">slots busy for clients that wait</text>`,
    `<rect x="${left + 260}" y="${
      legend - 10
    }" width="12" height="12" fill="#d1495b"/>`,
    `<text x="${left + 278}" y="${legend}">for clients that have gone</text>`,
    `</svg>`,
    "",
  ].join("\n");
}

if (import.meta.main) {
  const runs = [await simulate(false), await simulate(true)] as const;
  for (const row of rows(runs)) console.log(row.join("  |  "));
  const file = new URL("../../docs/deadlines.svg", import.meta.url);
  await Deno.writeTextFile(file, plot(runs));
}
