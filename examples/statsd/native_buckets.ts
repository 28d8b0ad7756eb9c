/**
 * Buckets of a native histogram of Prometheus: their bounds are powers of a base, and
 * only buckets with observations exist.
 *
 * With schema `n` the base is `2 ** (2 ** -n)`, and bucket `i` holds the values above
 * `base ** (i - 1)` up to `base ** i`. A schema lower by one merges pairs of buckets.
 *
 * @module
 */

import type { Budget } from "./series.ts";

/** Native histogram, as it is exposed. */
export interface NativeHistogram {
  /** Resolution; see the module. */
  readonly schema: number;
  /** Largest absolute value that counts as zero. */
  readonly zeroThreshold: number;
  /** Number of observations that count as zero. */
  readonly zeroCount: number;
  /** Number of observations by bucket of their absolute value, in ascending order, for
   * values above zero. */
  readonly positive: readonly (readonly [index: number, count: number])[];
  /** The same for values below zero. */
  readonly negative: readonly (readonly [index: number, count: number])[];
}

/** First schema: a bucket is 9 % wide. */
const FIRST_SCHEMA = 3;
/** Lowest schema that Prometheus knows: a bucket spans 16 powers of two. */
const LAST_SCHEMA = -4;
/** Maximum number of buckets, as recommended by Prometheus. */
const MAX_BUCKETS = 160;
/** Threshold of Prometheus' own client libraries. */
const ZERO_THRESHOLD = 2 ** -128;

/** Counts of one native histogram. */
export class NativeBuckets {
  #schema = FIRST_SCHEMA;
  #zeroCount = 0;
  readonly #positive = new Map<number, number>();
  readonly #negative = new Map<number, number>();

  /** Number of buckets. */
  get size(): number {
    return this.#positive.size + this.#negative.size;
  }

  /**
   * Adds a value. If there are too many buckets, or the budget allows no further one,
   * the resolution is halved until the value fits.
   *
   * @returns False if it does not fit at the lowest resolution; nothing is added.
   */
  add(value: number, weight: number, budget: Budget): boolean {
    const size = Math.abs(value);
    if (size <= ZERO_THRESHOLD) {
      this.#zeroCount += weight;
      return true;
    }
    const counts = value > 0 ? this.#positive : this.#negative;
    let index = bucketOf(size, this.#schema);
    while (!counts.has(index) && !this.#hasRoom(budget)) {
      if (this.#schema === LAST_SCHEMA) return false;
      this.#halve(budget);
      index = bucketOf(size, this.#schema);
    }
    const count = counts.get(index);
    // The first bucket is free: a histogram always has one.
    if (count === undefined && this.size > 0) budget.observations--;
    counts.set(index, (count ?? 0) + weight);
    return true;
  }

  /** Returns the budget of the buckets. */
  release(budget: Budget): void {
    budget.observations += Math.max(0, this.size - 1);
  }

  /** Returns a copy for an exposition. */
  exposed(): NativeHistogram {
    return {
      schema: this.#schema,
      zeroThreshold: ZERO_THRESHOLD,
      zeroCount: this.#zeroCount,
      positive: sorted(this.#positive),
      negative: sorted(this.#negative),
    };
  }

  #hasRoom(budget: Budget): boolean {
    return this.size === 0 ||
      (this.size < MAX_BUCKETS && budget.observations > 0);
  }

  #halve(budget: Budget): void {
    this.release(budget);
    this.#schema--;
    for (const counts of [this.#positive, this.#negative]) {
      const before = [...counts];
      counts.clear();
      for (const [index, count] of before) {
        const merged = (index + 1) >> 1;
        counts.set(merged, (counts.get(merged) ?? 0) + count);
      }
    }
    budget.observations -= Math.max(0, this.size - 1);
  }
}

function sorted(counts: ReadonlyMap<number, number>): [number, number][] {
  return [...counts].sort(([a], [b]) => a - b);
}

/** Returns the bucket of a value above the zero threshold. */
function bucketOf(value: number, schema: number): number {
  // The logarithm is exact at a power of two, and may be so right above one.
  let exponent = Math.ceil(Math.log2(value));
  if (value > 2 ** exponent) exponent++;
  if (schema <= 0) {
    // Rounded up, as the upper bound belongs to its bucket.
    return (exponent + (1 << -schema) - 1) >> -schema;
  }
  // In (0.5, 1], between the bounds of one power of two. 2 ** 1024 is infinite.
  const fraction = value / 2 ** (exponent - 1) / 2;
  const bounds = BOUNDS[schema]!;
  let bucket = 0;
  while (bounds[bucket]! < fraction) bucket++;
  return bucket + 1 + (exponent - 1) * bounds.length;
}

/** Upper bounds of the buckets in (0.5, 1], by schema. */
const BOUNDS = Array.from({ length: FIRST_SCHEMA + 1 }, (_, schema) => {
  const count = 1 << schema;
  return Array.from(
    { length: count },
    (_, i) => 2 ** ((i + 1) / count - 1),
  );
});
