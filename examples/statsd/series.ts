/**
 * What the samples of one series come to: a sum, a value, a number of members,
 * or quantiles or buckets of what was observed.
 *
 * @module
 */

import type { Exposed } from "./expose.ts";

/** What a series is made for. Timings, histograms and distributions are all the
 * same to Prometheus: something observed. */
export type SeriesKind = "counter" | "gauge" | "observer" | "set";

/** What all series together may still take of memory. */
export interface Budget {
  /** Members of sets. */
  members: number;
  /** Observations kept for quantiles, and weights of them. */
  observations: number;
  /** Characters of names, labels and members. */
  text: number;
}

/** What every series knows of itself. */
abstract class Written {
  /** Labels, as the exposition writes them. */
  readonly labels: string;
  /** Samples taken since the start. */
  writes = 0;
  /** What {@link writes} was when the busiest series were last asked for. */
  writesSeen = 0;
  /** What it was at the last sweep. */
  writesSwept = 0;
  /** Sweeps in a row that found nothing written. */
  idleSweeps = 0;
  /** Whether a sweep has taken it. */
  gone = false;

  constructor(labels: string) {
    this.labels = labels;
  }

  /** Gives back what it has taken of the budget. */
  release(_budget: Budget): void {}
}

/** A sum of floats that is rounded once, not with each addition (Neumaier's
 * way), so that ten tenths make one. It stops at the largest number there is: from
 * infinity it would never come back. */
class Total {
  #sum = 0;
  #lost = 0;

  get value(): number {
    return this.#sum + this.#lost;
  }

  add(value: number): void {
    const sum = this.#sum + value;
    if (!Number.isFinite(sum)) return this.set(Math.sign(sum) * MOST);
    this.#lost += Math.abs(this.#sum) >= Math.abs(value)
      ? (this.#sum - sum) + value
      : (value - sum) + this.#sum;
    this.#sum = sum;
  }

  set(value: number): void {
    this.#sum = value;
    this.#lost = 0;
  }
}

const MOST = Number.MAX_VALUE;

/** Something that only grows. */
export class CounterSeries extends Written {
  readonly kind = "counter";
  readonly total: Total = new Total();

  /** Its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.total.value };
  }
}

/** Something that goes up and down. */
export class GaugeSeries extends Written {
  readonly kind = "gauge";
  readonly total: Total = new Total();

  /** Its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.total.value };
  }
}

/** The number of distinct members. */
export class SetSeries extends Written {
  readonly kind = "set";
  readonly members: Set<string> = new Set();

  /** Its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.members.size };
  }

  override release(budget: Budget): void {
    budget.members += this.members.size;
    for (const member of this.members) budget.text += member.length;
  }
}

/** The sum of what was observed, and how often. */
abstract class Observer extends Written {
  readonly kind = "observer";
  /** Milliseconds are added up as they came, since a sum of thousandths would
   * not be exact. */
  readonly #millis = new Total();
  readonly #plain = new Total();
  #count = 0;

  protected count(value: number, inMillis: boolean, weight: number): void {
    (inMillis ? this.#millis : this.#plain).add(value * weight);
    this.#count += weight;
  }

  protected *sumAndCount(): Generator<Exposed> {
    const { labels } = this;
    const sum = this.#millis.value / 1000 + this.#plain.value;
    yield { suffix: "_sum", labels, value: sum };
    yield { suffix: "_count", labels, value: this.#count };
  }
}

const QUANTILES = [0.5, 0.9, 0.99];

/** Observations after which one kept is forgotten, on average. Until then each
 * one since the start is as likely to be kept as any other. */
const HORIZON = 65_536;

/** Quantiles, of a random choice of the recent observations. */
export class SummarySeries extends Observer {
  #chosenFrom = 0;
  readonly #values: number[] = [];
  /** Weights of the values, once one of them is not 1. */
  #weights: number[] | undefined;

  /** Observes a value, of which at most `limit` are kept. */
  observe(
    value: number,
    inMillis: boolean,
    weight: number,
    limit: number,
    budget: Budget,
    random: () => number,
  ): void {
    this.count(value, inMillis, weight);
    if (this.#chosenFrom < HORIZON) this.#chosenFrom++;
    let slot = this.#values.length;
    let kept = false;
    // One is always kept: a series without any has no quantiles.
    if (slot >= limit || (slot > 0 && budget.observations <= 0)) {
      const choices = Math.max(this.#chosenFrom, slot);
      const choice = Math.floor(random() * choices);
      if (choice >= slot) return;
      slot = choice;
    } else {
      kept = true;
      budget.observations--;
    }
    this.#values[slot] = inMillis ? value / 1000 : value;
    if (weight !== 1 && this.#weights === undefined) {
      this.#weights = this.#values.map(() => 1);
      budget.observations -= this.#weights.length;
    } else if (kept && this.#weights !== undefined) {
      budget.observations--;
    }
    if (this.#weights !== undefined) this.#weights[slot] = weight;
  }

  /** Its lines. */
  *exposed(): Generator<Exposed> {
    const { labels } = this;
    const quantiles = this.#quantiles();
    for (const [i, quantile] of QUANTILES.entries()) {
      yield { labels, quantile, value: quantiles[i] ?? NaN };
    }
    yield* this.sumAndCount();
  }

  override release(budget: Budget): void {
    budget.observations += this.#values.length + (this.#weights?.length ?? 0);
  }

  /** The smallest value, for each quantile, with that share of the weight at
   * or below it. */
  #quantiles(): (number | undefined)[] {
    const values = this.#values;
    const weights = this.#weights;
    if (weights === undefined) {
      const sorted = Float64Array.from(values).sort();
      return QUANTILES.map((q) => sorted[Math.ceil(q * sorted.length) - 1]);
    }
    const sorted = values.map((_, i) => i)
      .sort((a, b) => values[a]! - values[b]!);
    const weight = weights.reduce((sum, weight) => sum + weight, 0);
    return QUANTILES.map((q) => {
      let below = 0;
      const slot = sorted.find((i) => (below += weights[i]!) >= q * weight);
      return values[slot ?? -1];
    });
  }
}

/** How many observations were at most as large as each bound. */
export class HistogramSeries extends Observer {
  readonly #bounds: readonly number[];
  /** One for each bound, and one for what is above them all. */
  readonly #counts: Float64Array;

  constructor(labels: string, bounds: readonly number[]) {
    super(labels);
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Observes a value. */
  observe(value: number, inMillis: boolean, weight: number): void {
    this.count(value, inMillis, weight);
    const scaled = inMillis ? value / 1000 : value;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && scaled > bounds[bucket]!) bucket++;
    this.#counts[bucket]! += weight;
  }

  /** Its lines. */
  *exposed(): Generator<Exposed> {
    const { labels } = this;
    let value = 0;
    for (const [i, le] of [...this.#bounds, Infinity].entries()) {
      value += this.#counts[i] ?? 0;
      yield { suffix: "_bucket", labels, le, value };
    }
    yield* this.sumAndCount();
  }
}

/** What a sample goes into. */
export type Series =
  | CounterSeries
  | GaugeSeries
  | SetSeries
  | SummarySeries
  | HistogramSeries;

/** Makes a series without any sample; with bounds an observer is a histogram,
 * without a summary. */
export function newSeries(
  kind: SeriesKind,
  labels: string,
  bounds: readonly number[] | undefined,
): Series {
  switch (kind) {
    case "counter":
      return new CounterSeries(labels);
    case "gauge":
      return new GaugeSeries(labels);
    case "set":
      return new SetSeries(labels);
    case "observer":
      return bounds === undefined
        ? new SummarySeries(labels)
        : new HistogramSeries(labels, bounds);
  }
}
