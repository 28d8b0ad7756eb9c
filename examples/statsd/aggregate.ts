/**
 * Adds up samples to metrics, in memory bounded by its options.
 *
 * - `c` is a counter.
 * - `g` is a gauge, set or moved.
 * - `ms`, `h` and `d` are timings, `ms` in seconds: summaries with the quantiles
 *   0.5, 0.9 and 0.99, or histograms if there are bucket bounds. Sums and counts
 *   cover all observations, quantiles a random sample of the recent ones.
 * - `s` is a gauge: the number of distinct members since the start. StatsD empties
 *   its sets with each flush. This aggregate never flushes: a scrape that emptied
 *   them would take the members away from the next scraper.
 *
 * A sampled counter adds `value / rate`. A sampled observation is kept as one, with
 * a weight of `1 / rate`, rounded.
 *
 * Names follow four rules:
 *
 * 1. A metric has the name that was sent, with illegal characters replaced
 *    ({@link legalName}), as in statsd_exporter. It gets no suffix, so two names
 *    that differ stay two metrics, and `jobs` and `jobs.total` never meet.
 * 2. A name is taken only by the lines that are exposed ({@link lineNames}): no
 *    sample is refused for a suffix such as `_created` that nobody sees.
 * 3. The name of a metric depends on nothing but the name that was sent: neither on
 *    other metrics nor on their order, so several gateways agree on it.
 * 4. If two metrics would write the same line (a counter and a gauge `a`, or a timing
 *    `a` and a gauge `a.count`), the metric that exists stays and the samples of the
 *    other are refused, counted and named. Replacing the metric instead would let
 *    one stray sample erase it.
 *
 * @module
 */

import type { Exposed, Family } from "./expose.ts";
import { labelText, legalLabel, legalName, lineNames } from "./expose.ts";
import type { Reason, Sample, Sink, Skipped } from "./parse.ts";
import { parseTags, REASONS } from "./parse.ts";
import { RefusalLog } from "./refusals.ts";
import type {
  Buckets,
  Budget,
  Series,
  SeriesKind,
  SetSeries,
} from "./series.ts";
import { newSeries } from "./series.ts";
import { SpellingTable } from "./spellings.ts";

/** Every reason that {@link Aggregate} gives for refusing a sample. */
export const REFUSALS = [
  "illegal_negative_counter",
  "kind_conflict",
  "too_many_tags",
  "series_limit",
  "member_limit",
  "bucket_limit",
] as const;

/** Reason for refusing a well-formed sample. */
export type Refusal = typeof REFUSALS[number];

/** Bounds of an {@link Aggregate}, and names reserved for others. */
export interface AggregateOptions {
  /** Maximum number of series; 100,000 by default. */
  readonly maxSeries?: number;
  /** Maximum number of members of all sets together; 5 per series by default, and
   * at least 100,000. */
  readonly maxMembers?: number;
  /** Maximum number of observations kept for the quantiles of one series; 1,024 by
   * default. */
  readonly maxObservations?: number;
  /** Maximum number of observations, or native buckets, of all series together,
   * beyond the first of each; an observation with a weight counts twice. 10 per
   * series by default, and at least 1,000,000. */
  readonly maxAllObservations?: number;
  /** Maximum number of characters of names, labels and members; a name counts as
   * often as it is kept. 384 per series by default, and at least 4,000,000.
   * Spellings may take as many again. */
  readonly maxText?: number;
  /** Buckets of timings, with bounds in the unit that is exposed; summaries by
   * default. */
  readonly buckets?: Buckets;
  /** Number of sweeps in a row without a sample after which a series is removed;
   * Infinity by default. */
  readonly idleSweeps?: number;
  /** Names of metrics that samples must not write to. */
  readonly reserved?: Iterable<string>;
  /** Chooses the observations to keep, in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
}

/** Maximum number of tags on one line. */
export const MAX_TAG_COUNT = 64;

/** A series with many samples. */
export interface Busy {
  /** Name and labels, as on the lines of the exposition. */
  readonly name: string;
  /** Kind of the series. */
  readonly kind: SeriesKind;
  /** Number of samples since {@link Aggregate.busiest} was last called. */
  readonly samples: number;
}

/** Families, series and counters about them; a {@link Sink} for `parsePacket`. */
export class Aggregate implements Sink {
  readonly #maxSeries: number;
  readonly #maxObservations: number;
  readonly #maxText: number;
  readonly #buckets: Buckets;
  readonly #idleSweeps: number;
  readonly #random: () => number;
  readonly #budget: Budget;

  /** By name. */
  readonly #families = new Map<string, SampledFamily>();
  /** Owner of each name on the lines of the exposition; null if it is reserved. */
  readonly #owners = new Map<string, SampledFamily | null>();
  /** Known spellings, which spare most samples the way through legal names. */
  readonly #spellings = new SpellingTable<Series>();
  #size = 0;

  /** The current line, lent by the parser, for {@link refusals}. */
  #data: Uint8Array = new Uint8Array(0);
  #from = 0;
  #to = 0;

  #lines = 0;
  #samples = 0;
  #tagErrors = 0;
  #swept = 0;
  readonly #skipped: Record<Skipped, number> = { event: 0, service_check: 0 };
  readonly #events: Record<SeriesKind, number> = {
    counter: 0,
    gauge: 0,
    timing: 0,
    set: 0,
  };
  readonly #errors = Object.fromEntries(
    [...REASONS, ...REFUSALS].map((reason) => [reason, 0]),
  ) as Record<Reason | Refusal, number>;

  /** The latest lines, samples and tags that were not taken. */
  readonly refusals: RefusalLog = new RefusalLog();

  /** Creates an aggregate without any series. */
  constructor(options: AggregateOptions = {}) {
    this.#maxSeries = options.maxSeries ?? 100_000;
    this.#maxObservations = options.maxObservations ?? 1_024;
    // At least so much that a few series may be large.
    const scaled = (perSeries: number, least: number) =>
      Math.max(perSeries * this.#maxSeries, least);
    this.#maxText = options.maxText ?? scaled(384, 4_000_000);
    this.#buckets = options.buckets;
    this.#idleSweeps = options.idleSweeps ?? Infinity;
    this.#random = options.random ?? Math.random;
    this.#budget = {
      members: options.maxMembers ?? scaled(5, 100_000),
      observations: options.maxAllObservations ?? scaled(10, 1_000_000),
      text: this.#maxText,
    };
    for (const { name, type } of this.#ownFamilies()) {
      for (const line of lineNames(name, type)) this.#owners.set(line, null);
    }
    for (const name of options.reserved ?? []) this.#owners.set(name, null);
  }

  /** Maximum number of series. */
  get maxSeries(): number {
    return this.#maxSeries;
  }

  /** Number of series. */
  get size(): number {
    return this.#size;
  }

  /** Number of known spellings of series. */
  get spellings(): number {
    return this.#spellings.size;
  }

  /** Number of lines that were not empty. */
  get lines(): number {
    return this.#lines;
  }

  /** Number of well-formed samples, including refused ones. */
  get samples(): number {
    return this.#samples;
  }

  /** Number of tags without a key, a colon or a value. Samples are taken without
   * these tags. */
  get tagErrors(): number {
    return this.#tagErrors;
  }

  /** Number of samples, or whole lines, not taken, by reason. */
  get errors(): Readonly<Record<Reason | Refusal, number>> {
    return this.#errors;
  }

  /** Number of samples taken, by kind of series. */
  get events(): Readonly<Record<SeriesKind, number>> {
    return this.#events;
  }

  /** Number of lines that are not metrics, by type. */
  get skipped(): Readonly<Record<Skipped, number>> {
    return this.#skipped;
  }

  /** Counts a line. */
  line(data: Uint8Array, from: number, to: number): void {
    this.#lines++;
    this.#data = data;
    this.#from = from;
    this.#to = to;
  }

  /** Counts a line that is not a metric. */
  skip(what: Skipped): void {
    this.#skipped[what]++;
  }

  /** Counts an error in the current line and remembers the line. */
  error(reason: Reason | Refusal, detail?: string): void {
    this.#errors[reason]++;
    this.refusals.add(reason, this.#data, this.#from, this.#to, detail);
  }

  /** Adds a sample to its series, or counts the reason for refusing it. */
  sample(sample: Sample): void {
    this.#samples++;
    const { kind, value, rate } = sample;
    if (kind === "counter" && value < 0) {
      return this.error("illegal_negative_counter");
    }
    const series = this.#spellings.find(sample) ?? this.#resolve(sample);
    if (series === undefined) return;

    switch (kind) {
      case "counter":
        if (series.kind !== "counter") {
          return this.#conflict(sample, series.kind);
        }
        series.total.add(rate === 1 ? value : value / rate);
        this.#events.counter++;
        break;
      case "gauge":
        if (series.kind !== "gauge") return this.#conflict(sample, series.kind);
        if (sample.relative) series.total.add(value);
        else series.total.set(value);
        this.#events.gauge++;
        break;
      case "set":
        if (series.kind !== "set") return this.#conflict(sample, series.kind);
        if (!this.#addMember(series, sample.member)) {
          return this.error("member_limit");
        }
        this.#events.set++;
        break;
      default: {
        if (series.kind !== "timing") {
          return this.#conflict(sample, series.kind);
        }
        const taken = series.observe(
          value,
          kind === "timing",
          rate === 1 ? 1 : Math.round(1 / rate),
          this.#budget,
          this.#maxObservations,
          this.#random,
        );
        if (!taken) return this.error("bucket_limit");
        this.#events.timing++;
      }
    }
    series.writes++;
  }

  /** Removes the series that got no sample during the last
   * {@link AggregateOptions.idleSweeps} sweeps, and returns their number. */
  sweep(): number {
    const before = this.#size;
    for (const family of this.#families.values()) {
      for (const series of family.series.values()) {
        const idle = series.writes === series.writesSwept;
        series.writesSwept = series.writes;
        series.idleSweeps = idle ? series.idleSweeps + 1 : 0;
        if (series.idleSweeps >= this.#idleSweeps) this.#remove(family, series);
      }
    }
    const swept = before - this.#size;
    if (swept > 0) this.#spellings.retain((series) => !series.gone);
    this.#swept += swept;
    return swept;
  }

  /** Returns the series with the most samples since the last call, at most `count`
   * of them, the busiest first. */
  busiest(count: number): Busy[] {
    const found: [family: SampledFamily, series: Series, samples: number][] =
      [];
    for (const family of this.#families.values()) {
      for (const series of family.series.values()) {
        const samples = series.writes - series.writesSeen;
        series.writesSeen = series.writes;
        if (samples === 0) continue;
        if (found.length === count && samples <= found.at(-1)![2]) continue;
        const at = found.findIndex((entry) => entry[2] < samples);
        found.splice(at === -1 ? found.length : at, 0, [
          family,
          series,
          samples,
        ]);
        if (found.length > count) found.pop();
      }
    }
    return found.map(([{ name }, { kind, labels }, samples]) => ({
      name: labels === "" ? name : `${name}{${labels}}`,
      kind,
      samples,
    }));
  }

  /** Yields everything to expose: the metrics that were sent, and this object's own,
   * whose names begin with `statsd_`. */
  *families(): Generator<Family> {
    yield* this.#ownFamilies();
    yield* this.#families.values();
  }

  #addMember(series: SetSeries, member: string): boolean {
    const budget = this.#budget;
    if (series.members.has(member)) return true;
    if (budget.members === 0 || budget.text < member.length) return false;
    series.members.add(member);
    budget.members--;
    budget.text -= member.length;
    return true;
  }

  /** Refuses a sample because its name belongs to a series of another kind. */
  #conflict(sample: Sample, kind: SeriesKind): void {
    this.error("kind_conflict", `${legalName(sample.name)} is a ${kind}`);
  }

  /** Finds or creates the series of a sample in an unknown spelling. */
  #resolve(sample: Sample): Series | undefined {
    const { labels, errors, firstError } = parseTags(sample.tags);
    if (errors > 0) {
      this.#tagErrors += errors;
      const { refusals } = this;
      const detail = `not KEY:VALUE: "${firstError}"`;
      refusals.add("tag_error", this.#data, this.#from, this.#to, detail);
    }
    if (labels.size + errors > MAX_TAG_COUNT) {
      this.error("too_many_tags", `more than ${MAX_TAG_COUNT} tags`);
      return undefined;
    }
    const legal = new Map<string, string>();
    for (const [name, value] of labels) legal.set(legalLabel(name), value);
    const key = labelText([...legal].sort(([a], [b]) => a < b ? -1 : 1));

    const kind = seriesKind(sample);
    const sent = sample.name;
    const name = legalName(sent);
    let family = this.#families.get(name);
    if (family !== undefined && family.kind !== kind) {
      this.#conflict(sample, family.kind);
      return undefined;
    }
    let series = family?.series.get(key);
    if (series === undefined) {
      if (this.#size >= this.#maxSeries || this.#budget.text < key.length) {
        this.#errorOfLimit();
        return undefined;
      }
      family ??= this.#addFamily(name, kind, sent, key.length);
      if (family === undefined) return undefined;
      series = newSeries(kind, key, this.#buckets);
      family.series.set(key, series);
      this.#budget.text -= key.length;
      this.#size++;
    }
    if (sent < family!.sent) {
      this.#budget.text += family!.sent.length - sent.length;
      family!.sent = sent;
    }
    // A spelling with faulty tags is resolved again each time, to count them.
    if (errors === 0) this.#remember(sample, series);
    return series;
  }

  /** Creates a family whose first series has labels of that length, or counts the
   * reason for refusing it. */
  #addFamily(
    name: string,
    kind: SeriesKind,
    sent: string,
    labels: number,
  ): SampledFamily | undefined {
    const type = exposedType(kind, this.#buckets);
    const family = new SampledFamily(name, kind, type, sent);
    const names = lineNames(name, type);
    const taken = names.find((name) => this.#owners.has(name));
    if (taken !== undefined) {
      const owner = this.#owners.get(taken);
      const whose = owner ? `the ${owner.kind} ${owner.name}` : "this service";
      this.error("kind_conflict", `${taken} is a line of ${whose}`);
      return undefined;
    }
    if (this.#budget.text < family.text + labels) {
      this.#errorOfLimit();
      return undefined;
    }
    for (const name of names) this.#owners.set(name, family);
    this.#families.set(name, family);
    this.#budget.text -= family.text;
    return family;
  }

  #errorOfLimit(): void {
    this.error("series_limit", "--max-series or their text allows no more");
  }

  #remember(sample: Sample, series: Series): void {
    // One series may have any number of spellings, so they are bounded too.
    if (
      this.#spellings.size >= 2 * this.#maxSeries ||
      this.#spellings.text >= this.#maxText
    ) this.#spellings.retain(() => false);
    this.#spellings.add(sample, series);
  }

  #remove(family: SampledFamily, series: Series): void {
    series.gone = true;
    series.release(this.#budget);
    this.#budget.text += series.labels.length;
    this.#size--;
    family.series.delete(series.labels);
    if (family.series.size > 0) return;
    this.#families.delete(family.name);
    this.#budget.text += family.text;
    for (const name of lineNames(family.name, family.type)) {
      this.#owners.delete(name);
    }
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
      help: "Lines received that are not metrics, by type.",
      type: "counter",
      samples: exposeCounts("type", this.#skipped),
    };
    yield {
      name: "statsd_series",
      help: "Series held, without those about this service.",
      type: "gauge",
      samples: [{ value: this.#size }],
    };
    yield {
      name: "statsd_series_limit",
      help: "Maximum number of series.",
      type: "gauge",
      samples: [{ value: this.#maxSeries }],
    };
    yield {
      name: "statsd_series_swept_total",
      help: "Series removed after --ttl without a sample.",
      type: "counter",
      samples: [{ value: this.#swept }],
    };
  }
}

class SampledFamily implements Family {
  readonly name: string;
  readonly kind: SeriesKind;
  readonly type: Family["type"];
  /** By their labels, as the exposition writes them. */
  readonly series = new Map<string, Series>();
  /** Name as sent; the first in the alphabet if several names become `name`, so that
   * the help does not depend on their order. */
  sent: string;

  constructor(
    name: string,
    kind: SeriesKind,
    type: Family["type"],
    sent: string,
  ) {
    this.name = name;
    this.kind = kind;
    this.type = type;
    this.sent = sent;
  }

  get help(): string {
    return `StatsD ${this.kind} ${this.sent}.`;
  }

  /** Number of characters kept for its name: as sent, as two keys, and on the lines
   * of the exposition. */
  get text(): number {
    const lines = lineNames(this.name, this.type);
    return this.sent.length + 2 * this.name.length + lines.join("").length;
  }

  get samples(): Iterable<Exposed> {
    return this.#exposed();
  }

  *#exposed(): Generator<Exposed> {
    // A copy: a series that is swept and comes back during a scrape would otherwise
    // be written twice.
    for (const series of [...this.series.values()]) yield* series.exposed();
  }
}

function seriesKind({ kind }: Sample): SeriesKind {
  switch (kind) {
    case "counter":
    case "gauge":
    case "set":
      return kind;
    default:
      return "timing";
  }
}

function exposedType(
  kind: SeriesKind,
  buckets: Buckets,
): Family["type"] {
  switch (kind) {
    case "counter":
      return "counter";
    case "timing":
      return buckets === undefined ? "summary" : "histogram";
    default:
      return "gauge";
  }
}

function exposeCounts(
  label: string,
  counts: Readonly<Record<string, number>>,
): Exposed[] {
  return Object.entries(counts).map(([name, value]) => ({
    labels: labelText([[label, name]]),
    value,
  }));
}
