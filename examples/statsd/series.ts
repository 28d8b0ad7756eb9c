/**
 * The state of one series: a sum, a value, a set of members, or quantiles or
 * buckets of observations.
 *
 * @module
 */

import type { Exposed } from "./expose.ts";
import { NativeBuckets } from "./native_buckets.ts";

/** Kind of a series. Timings, histograms and distributions of StatsD are one kind:
 * to Prometheus, all of them are observations. */
export type SeriesKind = "counter" | "gauge" | "timing" | "set";

/** Memory that all series together may still take. */
export interface Budget {
  /** Members of sets. */
  members: number;
  /** Observations kept for quantiles, weights of them, and native buckets. */
  observations: number;
  /** Characters of names, labels and members. */
  text: number;
}

/** State that every series has. */
abstract class Written {
  /** Labels, as the exposition writes them. */
  readonly labels: string;
  /** Number of samples taken. */
  writes = 0;
  /** Value of {@link writes} when the busiest series were last asked for. */
  writesSeen = 0;
  /** Value of {@link writes} at the last sweep. */
  writesSwept = 0;
  /** Number of sweeps in a row without a sample in between. */
  idleSweeps = 0;
  /** True once a sweep has removed the series. */
  gone = false;

  constructor(labels: string) {
    this.labels = labels;
  }

  /** Returns its share of the budget. */
  release(_budget: Budget): void {}
}

/** Sum of floats that is rounded once, not with each addition (Neumaier's method),
 * so that ten tenths make one. It stops at the largest finite number, because it
 * would never recover from infinity. */
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

/** Sum that only grows. */
export class CounterSeries extends Written {
  readonly kind = "counter";
  readonly total: Total = new Total();

  /** Yields its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.total.value };
  }
}

/** Value that goes up and down. */
export class GaugeSeries extends Written {
  readonly kind = "gauge";
  readonly total: Total = new Total();

  /** Yields its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.total.value };
  }
}

/** Number of distinct members. */
export class SetSeries extends Written {
  readonly kind = "set";
  readonly members: Set<string> = new Set();

  /** Yields its line. */
  *exposed(): Generator<Exposed> {
    yield { labels: this.labels, value: this.members.size };
  }

  override release(budget: Budget): void {
    budget.members += this.members.size;
    for (const member of this.members) budget.text += member.length;
  }
}

/** Sum and number of observations. */
abstract class Timing extends Written {
  readonly kind = "timing";
  /** Sum of what came in milliseconds, unscaled: a sum of thousandths would not be
   * exact. */
  readonly #millis = new Total();
  readonly #plain = new Total();
  #count = 0;

  /**
   * Observes a value.
   *
   * @param value The value as sent.
   * @param inMillis True if it is in milliseconds and exposed in seconds.
   * @param weight Number of observations that it stands for.
   * @param budget Memory of all series, which a kept value takes.
   * @param limit Maximum number of values that a summary keeps.
   * @param random Source of randomness for a summary, in [0, 1).
   * @returns False if there is no room for it; nothing is counted then.
   */
  abstract observe(
    value: number,
    inMillis: boolean,
    weight: number,
    budget: Budget,
    limit: number,
    random: () => number,
  ): boolean;

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

/** Mean number of observations after which a kept one is replaced. Before that many,
 * each observation since the start is equally likely to be kept. */
const HORIZON = 65_536;

/** Quantiles of a random sample of the recent observations. */
export class SummarySeries extends Timing {
  #chosenFrom = 0;
  readonly #values: number[] = [];
  /** Weights of the values, once one of them is not 1. */
  #weights: number[] | undefined;

  override observe(
    value: number,
    inMillis: boolean,
    weight: number,
    budget: Budget,
    limit: number,
    random: () => number,
  ): boolean {
    this.count(value, inMillis, weight);
    if (this.#chosenFrom < HORIZON) this.#chosenFrom++;
    let slot = this.#values.length;
    let kept = false;
    // The first is always kept: a series without any has no quantiles.
    if (slot >= limit || (slot > 0 && budget.observations <= 0)) {
      const choices = Math.max(this.#chosenFrom, slot);
      const choice = Math.floor(random() * choices);
      if (choice >= slot) return true;
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
    return true;
  }

  /** Yields its lines. */
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

  /** Returns, for each quantile, the smallest value with at least that share of the
   * weight at or below it. */
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

/** Number of observations up to each bound. */
export class HistogramSeries extends Timing {
  readonly #bounds: readonly number[];
  /** One count per bound, and one for values above all bounds. */
  readonly #counts: Float64Array;

  constructor(labels: string, bounds: readonly number[]) {
    super(labels);
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  override observe(value: number, inMillis: boolean, weight: number): boolean {
    this.count(value, inMillis, weight);
    const scaled = inMillis ? value / 1000 : value;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && scaled > bounds[bucket]!) bucket++;
    this.#counts[bucket]! += weight;
    return true;
  }

  /** Yields its lines. */
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

/** Number of observations by native bucket. */
export class NativeHistogramSeries extends Timing {
  readonly #buckets = new NativeBuckets();

  override observe(
    value: number,
    inMillis: boolean,
    weight: number,
    budget: Budget,
  ): boolean {
    const scaled = inMillis ? value / 1000 : value;
    if (!this.#buckets.add(scaled, weight, budget)) return false;
    this.count(value, inMillis, weight);
    return true;
  }

  /** Yields its lines; only the protobuf format has native buckets. */
  *exposed(): Generator<Exposed> {
    const { labels } = this;
    const [sum, count] = [...this.sumAndCount()];
    const native = this.#buckets.exposed();
    const { value } = count!;
    yield { suffix: "_bucket", labels, le: Infinity, native, value };
    yield sum!;
    yield count!;
  }

  override release(budget: Budget): void {
    this.#buckets.release(budget);
  }
}

/** Bounds of the buckets of timings: upper bounds in ascending order, those of native
 * histograms, or none for summaries. */
export type Buckets = readonly number[] | "native" | undefined;

/** Series of any kind. */
export type Series =
  | CounterSeries
  | GaugeSeries
  | SetSeries
  | SummarySeries
  | HistogramSeries
  | NativeHistogramSeries;

/** Creates a series without samples. A timing with buckets is a histogram, without
 * buckets a summary. */
export function newSeries(
  kind: SeriesKind,
  labels: string,
  buckets: Buckets,
): Series {
  switch (kind) {
    case "counter":
      return new CounterSeries(labels);
    case "gauge":
      return new GaugeSeries(labels);
    case "set":
      return new SetSeries(labels);
    case "timing":
      if (buckets === undefined) return new SummarySeries(labels);
      return buckets === "native"
        ? new NativeHistogramSeries(labels)
        : new HistogramSeries(labels, buckets);
  }
}
