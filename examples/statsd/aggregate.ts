/**
 * Adds samples up to metrics, in memory that is bounded by its options.
 *
 * - `c` is a counter, exposed with `_total` at the end of its name.
 * - `g` is a gauge, set or moved.
 * - `ms`, `h` and `d` are a summary with the quantiles 0.5, 0.9 and 0.99, a
 *   sum and a count, `ms` in seconds. Sums and counts are of all there was;
 *   the quantiles are of a random choice of the recent observations.
 * - `s` is a gauge: the number of distinct members since the start. StatsD
 *   empties its sets with each flush; here nothing is flushed, for a scrape
 *   that emptied them would take the members away from the next scraper.
 *
 * A sampled counter adds `value / rate`. A sampled observation is kept as one,
 * with the weight of the whole number nearest to `1 / rate`.
 *
 * @module
 */

import type { Kind, Reason, Sample, Sink, Skipped } from "./parse.ts";
import { parseTags, REASONS } from "./parse.ts";
import type { Exposed, Family } from "./expose.ts";
import { labelText, legalLabel, legalName, lineNames } from "./expose.ts";

/** Every reason {@link Aggregate} gives for a sample that it does not take. */
export const REFUSALS = [
  "illegal_negative_counter",
  "kind_conflict",
  "too_many_tags",
  "series_limit",
  "member_limit",
] as const;

/** Why a well-formed sample was not taken. */
export type Refusal = typeof REFUSALS[number];

/** Bounds of an {@link Aggregate}, and what it must leave to others. */
export interface AggregateOptions {
  /** Most series; 100,000 by default. */
  readonly maxSeries?: number;
  /** Most members of all sets together; 1,000,000 by default. */
  readonly maxMembers?: number;
  /** Most observations kept for the quantiles of a series; 1,024 by default. */
  readonly maxObservations?: number;
  /** Names of metrics that the samples must not write to. */
  readonly reserved?: Iterable<string>;
  /** Chooses the observations to keep, in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
}

/** Most tags of one line. */
export const MAX_TAG_COUNT = 64;

const QUANTILES = [0.5, 0.9, 0.99];

/** Observations after which one kept is forgotten, on average. Until then each
 * one since the start is as likely to be kept as any other. */
const HORIZON = 65_536;

/** Kinds of a family. Timings, histograms and distributions are all the same
 * to Prometheus: something observed. */
type FamilyKind = "counter" | "gauge" | "summary" | "set";

const FAMILY_KIND: Readonly<Record<Kind, FamilyKind>> = {
  counter: "counter",
  gauge: "gauge",
  timing: "summary",
  histogram: "summary",
  distribution: "summary",
  set: "set",
};

/** Families, series and what was counted on the way; the {@link Sink} that
 * `parsePacket` writes to. */
export class Aggregate implements Sink {
  readonly #maxSeries: number;
  readonly #maxMembers: number;
  readonly #maxObservations: number;
  readonly #random: () => number;

  /** By the name they are exposed under. */
  readonly #families = new Map<string, SampledFamily>();
  /** What each legal name was first seen as. */
  readonly #kinds = new Map<string, FamilyKind>();
  /** Names on the lines of the exposition, of all families and reserved. */
  readonly #taken = new Set<string>();
  /** Series by name and tags as sent, which spares most samples the way over
   * legal names. Several spellings may lead to one series. */
  readonly #spellings = new Map<string, Map<string, Series>>();
  #spellingCount = 0;
  #size = 0;
  #members = 0;

  #lines = 0;
  #samples = 0;
  #tagErrors = 0;
  readonly #skipped = new Map<Skipped, number>([
    ["event", 0],
    ["service_check", 0],
  ]);
  readonly #events = new Map<FamilyKind, number>([
    ["counter", 0],
    ["gauge", 0],
    ["summary", 0],
    ["set", 0],
  ]);
  readonly #errors = new Map<Reason | Refusal, number>(
    [...REASONS, ...REFUSALS].map((reason) => [reason, 0]),
  );

  /** An aggregate without any series. */
  constructor(options: AggregateOptions = {}) {
    this.#maxSeries = options.maxSeries ?? 100_000;
    this.#maxMembers = options.maxMembers ?? 1_000_000;
    this.#maxObservations = options.maxObservations ?? 1_024;
    this.#random = options.random ?? Math.random;
    for (const family of this.#ownFamilies()) this.#taken.add(family.name);
    for (const name of options.reserved ?? []) this.#taken.add(name);
  }

  /** Number of series. */
  get size(): number {
    return this.#size;
  }

  /** Number of lines that were not empty. */
  get lines(): number {
    return this.#lines;
  }

  /** Number of well-formed samples, those refused among them. */
  get samples(): number {
    return this.#samples;
  }

  /** Number of tags without a key, a colon or a value. Their samples are taken
   * without them. */
  get tagErrors(): number {
    return this.#tagErrors;
  }

  /** Number of samples, or whole lines, not taken, by reason. */
  get errors(): ReadonlyMap<Reason | Refusal, number> {
    return this.#errors;
  }

  /** Number of samples taken, by what they went into. */
  get events(): ReadonlyMap<"counter" | "gauge" | "summary" | "set", number> {
    return this.#events;
  }

  /** Number of lines that are no metric, by what they are. */
  get skipped(): ReadonlyMap<Skipped, number> {
    return this.#skipped;
  }

  /** Counts a line. */
  line(): void {
    this.#lines++;
  }

  /** Counts a line that is no metric. */
  skip(what: Skipped): void {
    increment(this.#skipped, what);
  }

  /** Counts an error. */
  error(reason: Reason | Refusal): void {
    increment(this.#errors, reason);
  }

  /** Adds a sample to its series, or counts why not. */
  sample(sample: Sample): void {
    this.#samples++;
    const kind = FAMILY_KIND[sample.kind];
    if (kind === "counter" && sample.value < 0) {
      return this.error("illegal_negative_counter");
    }
    const series = this.#spellings.get(sample.name)?.get(sample.tags) ??
      this.#resolve(sample, kind);
    if (series === undefined) return;
    if (series.kind !== kind) return this.error("kind_conflict");

    switch (series.kind) {
      case "counter":
        series.total.add(sample.value / sample.rate);
        break;
      case "gauge":
        if (sample.relative) series.total.add(sample.value);
        else series.total.set(sample.value);
        break;
      case "summary":
        series.observe(
          sample.value,
          sample.kind === "timing",
          Math.round(1 / sample.rate),
          this.#maxObservations,
          this.#random,
        );
        break;
      case "set":
        if (!this.#addMember(series, sample.member)) {
          return this.error("member_limit");
        }
    }
    increment(this.#events, kind);
  }

  /** Everything there is to expose: the metrics sent, and this object's own,
   * whose names begin with `statsd_`. Read it before the next sample. */
  *families(): Generator<Family> {
    yield* this.#ownFamilies();
    for (const family of this.#families.values()) {
      yield {
        name: family.name,
        help: family.help,
        type: exposedType(family.kind),
        samples: family.exposed(),
      };
    }
  }

  #addMember(series: SetSeries, member: string): boolean {
    if (series.members.has(member)) return true;
    if (this.#members >= this.#maxMembers) return false;
    series.members.add(detach(member));
    this.#members++;
    return true;
  }

  /** Finds or makes the series of a sample in a spelling not known yet. */
  #resolve(sample: Sample, kind: FamilyKind): Series | undefined {
    const { labels, errors } = parseTags(sample.tags);
    this.#tagErrors += errors;
    if (labels.size + errors > MAX_TAG_COUNT) {
      this.error("too_many_tags");
      return undefined;
    }
    const legal = new Map<string, string>();
    for (const [name, value] of labels) legal.set(legalLabel(name), value);
    const key = labelText([...legal].sort(([a], [b]) => a < b ? -1 : 1));

    const name = legalName(sample.name);
    const exposed = kind === "counter" && !name.endsWith("_total")
      ? `${name}_total`
      : name;
    let family = this.#families.get(exposed);
    if (
      (this.#kinds.get(name) ?? kind) !== kind ||
      (family?.kind ?? kind) !== kind
    ) {
      this.error("kind_conflict");
      return undefined;
    }
    let series = family?.series.get(key);
    if (series === undefined) {
      if (this.#size >= this.#maxSeries) {
        this.error("series_limit");
        return undefined;
      }
      family ??= this.#addFamily(exposed, kind, sample.name);
      if (family === undefined) return undefined;
      series = newSeries(kind);
      family.series.set(detach(key), series);
      this.#size++;
    }
    this.#kinds.set(name, kind);
    // A spelling with faulty tags is resolved anew each time, to count them.
    if (errors === 0) this.#remember(sample, series);
    return series;
  }

  #addFamily(
    name: string,
    kind: FamilyKind,
    sent: string,
  ): SampledFamily | undefined {
    const names = lineNames(name, exposedType(kind));
    if (names.some((name) => this.#taken.has(name))) {
      this.error("kind_conflict");
      return undefined;
    }
    for (const name of names) this.#taken.add(name);
    const help = detach(`StatsD ${kind} ${sent}.`);
    const family = new SampledFamily(name, kind, help);
    this.#families.set(name, family);
    return family;
  }

  #remember(sample: Sample, series: Series): void {
    // There is no end to the spellings of one series, so they are bounded too.
    if (this.#spellingCount >= 2 * this.#maxSeries) {
      this.#spellings.clear();
      this.#spellingCount = 0;
    }
    let byTags = this.#spellings.get(sample.name);
    if (byTags === undefined) {
      byTags = new Map();
      this.#spellings.set(detach(sample.name), byTags);
    }
    byTags.set(detach(sample.tags), series);
    this.#spellingCount++;
  }

  *#ownFamilies(): Generator<Family> {
    yield {
      name: "statsd_lines_total",
      help: "Lines received that were not empty.",
      type: "counter",
      samples: [{ value: this.#lines }],
    };
    yield {
      name: "statsd_samples_total",
      help: "Well-formed samples received.",
      type: "counter",
      samples: [{ value: this.#samples }],
    };
    yield {
      name: "statsd_events_total",
      help: "Samples taken into a metric, by type of metric.",
      type: "counter",
      samples: exposeCounts("type", this.#events),
    };
    yield {
      name: "statsd_sample_errors_total",
      help: "Samples, or whole lines, not taken, by reason.",
      type: "counter",
      samples: exposeCounts("reason", this.#errors),
    };
    yield {
      name: "statsd_tag_errors_total",
      help:
        "Tags without a key, a colon or a value, dropped from their sample.",
      type: "counter",
      samples: [{ value: this.#tagErrors }],
    };
    yield {
      name: "statsd_skipped_lines_total",
      help: "Lines received that are no metric, by type.",
      type: "counter",
      samples: exposeCounts("type", this.#skipped),
    };
    yield {
      name: "statsd_series",
      help: "Series held, without those about this service.",
      type: "gauge",
      samples: [{ value: this.#size }],
    };
  }
}

/** A sum of floats that is rounded once, not with each addition (Neumaier's
 * way), so that ten tenths make one. */
class Total {
  #sum = 0;
  #lost = 0;

  get value(): number {
    // Once the sum has overflowed, what was lost is no number any more.
    return Number.isFinite(this.#sum) ? this.#sum + this.#lost : this.#sum;
  }

  add(value: number): void {
    const sum = this.#sum + value;
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

class CounterSeries {
  readonly kind = "counter";
  readonly total = new Total();

  *exposed(labels: string): Generator<Exposed> {
    yield { labels, value: this.total.value };
  }
}

class GaugeSeries {
  readonly kind = "gauge";
  readonly total = new Total();

  *exposed(labels: string): Generator<Exposed> {
    yield { labels, value: this.total.value };
  }
}

class SetSeries {
  readonly kind = "set";
  readonly members = new Set<string>();

  *exposed(labels: string): Generator<Exposed> {
    yield { labels, value: this.members.size };
  }
}

class SummarySeries {
  readonly kind = "summary";
  /** Milliseconds are added up as they came, since a sum of thousandths would
   * not be exact. */
  readonly #millis = new Total();
  readonly #plain = new Total();
  #count = 0;
  #chosenFrom = 0;
  readonly #values: number[] = [];
  /** Weights of the values, once one of them is not 1. */
  #weights: number[] | undefined;

  observe(
    value: number,
    inMillis: boolean,
    weight: number,
    limit: number,
    random: () => number,
  ): void {
    (inMillis ? this.#millis : this.#plain).add(value * weight);
    this.#count += weight;

    if (this.#chosenFrom < HORIZON) this.#chosenFrom++;
    let slot = this.#values.length;
    if (slot >= limit) {
      slot = Math.floor(random() * Math.max(this.#chosenFrom, limit));
      if (slot >= limit) return;
    }
    if (weight !== 1) this.#weights ??= this.#values.map(() => 1);
    if (this.#weights !== undefined) this.#weights[slot] = weight;
    this.#values[slot] = inMillis ? value / 1000 : value;
  }

  *exposed(labels: string): Generator<Exposed> {
    const before = labels === "" ? "" : `${labels},`;
    const quantiles = this.#quantiles();
    for (const [i, quantile] of QUANTILES.entries()) {
      yield {
        labels: `${before}quantile="${quantile}"`,
        value: quantiles[i] ?? NaN,
      };
    }
    const sum = this.#millis.value / 1000 + this.#plain.value;
    yield { suffix: "_sum", labels, value: sum };
    yield { suffix: "_count", labels, value: this.#count };
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
    const sorted = values
      .map((value, i) => ({ value, weight: weights[i] ?? 1 }))
      .sort((a, b) => a.value - b.value);
    const weight = sorted.reduce((sum, { weight }) => sum + weight, 0);
    return QUANTILES.map((q) => {
      let below = 0;
      return sorted.find((entry) => (below += entry.weight) >= q * weight)
        ?.value;
    });
  }
}

type Series = CounterSeries | GaugeSeries | SetSeries | SummarySeries;

function newSeries(kind: FamilyKind): Series {
  switch (kind) {
    case "counter":
      return new CounterSeries();
    case "gauge":
      return new GaugeSeries();
    case "summary":
      return new SummarySeries();
    case "set":
      return new SetSeries();
  }
}

class SampledFamily {
  readonly name: string;
  readonly kind: FamilyKind;
  readonly help: string;
  /** By their labels, as the exposition writes them. */
  readonly series = new Map<string, Series>();

  constructor(name: string, kind: FamilyKind, help: string) {
    this.name = name;
    this.kind = kind;
    this.help = help;
  }

  *exposed(): Generator<Exposed> {
    for (const [labels, series] of this.series) yield* series.exposed(labels);
  }
}

function exposedType(kind: FamilyKind): Family["type"] {
  return kind === "set" ? "gauge" : kind;
}

function exposeCounts(
  label: string,
  counts: ReadonlyMap<string, number>,
): Exposed[] {
  return Array.from(counts, ([name, value]) => ({
    labels: labelText([[label, name]]),
    value,
  }));
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Copies a string that is to be kept. A slice of a packet would keep all of
 * the packet in memory; joining it to something makes a string of its own. */
function detach(text: string): string {
  return ` ${text}`.slice(1);
}
