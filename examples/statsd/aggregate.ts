/**
 * Adds samples up to metrics, in memory that is bounded by its options.
 *
 * - `c` is a counter, exposed with `_total` at the end of its name.
 * - `g` is a gauge, set or moved.
 * - `ms`, `h` and `d` are observed, `ms` in seconds: a histogram where there are
 *   bounds for its buckets, and else a summary with the quantiles 0.5, 0.9 and
 *   0.99. Sums and counts are of all there was; the quantiles are of a random
 *   choice of the recent observations.
 * - `s` is a gauge: the number of distinct members since the start. StatsD
 *   empties its sets with each flush; here nothing is flushed, for a scrape
 *   that emptied them would take the members away from the next scraper.
 *
 * A sampled counter adds `value / rate`. A sampled observation is kept as one,
 * with the weight of the whole number nearest to `1 / rate`.
 *
 * @module
 */

import type { Exposed, Family } from "./expose.ts";
import { labelText, legalLabel, legalName, lineNames } from "./expose.ts";
import type { Reason, Sample, Sink, Skipped } from "./parse.ts";
import { parseTags, REASONS } from "./parse.ts";
import type { Budget, Series, SeriesKind, SetSeries } from "./series.ts";
import { newSeries } from "./series.ts";
import { SpellingTable } from "./spellings.ts";

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
  /** Most members of all sets together; 5 a series by default, and no less than
   * 100,000. */
  readonly maxMembers?: number;
  /** Most observations kept for the quantiles of a series; 1,024 by default. */
  readonly maxObservations?: number;
  /** Most of all of them, beyond the first of each series, one with a weight
   * counting twice; 10 a series by default, and no less than 1,000,000. */
  readonly maxAllObservations?: number;
  /** Most characters of names, labels and members, a name counting as often as it
   * is kept; 384 a series by default, and no less than 4,000,000. As many again
   * may be kept of spellings. */
  readonly maxText?: number;
  /** Upper bounds of the buckets of histograms, ascending, in the unit that is
   * exposed; summaries by default. */
  readonly buckets?: readonly number[] | undefined;
  /** After how many sweeps in a row without a sample a series goes; it stays
   * for ever by default. */
  readonly idleSweeps?: number;
  /** Names of metrics that the samples must not write to. */
  readonly reserved?: Iterable<string>;
  /** Chooses the observations to keep, in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
}

/** Most tags of one line. */
export const MAX_TAG_COUNT = 64;

/** A series that is much written to. */
export interface Busy {
  /** Name and labels, as on the lines of the exposition. */
  readonly name: string;
  /** What its samples go into. */
  readonly kind: SeriesKind;
  /** Samples since the busiest were last asked for. */
  readonly samples: number;
}

/** Families, series and what was counted on the way; the {@link Sink} that
 * `parsePacket` writes to. */
export class Aggregate implements Sink {
  readonly #maxSeries: number;
  readonly #maxObservations: number;
  readonly #maxText: number;
  readonly #buckets: readonly number[] | undefined;
  readonly #idleSweeps: number;
  readonly #random: () => number;
  readonly #budget: Budget;

  /** By the name they are exposed under. */
  readonly #families = new Map<string, SampledFamily>();
  /** What each legal name was first seen as. */
  readonly #kinds = new Map<string, SeriesKind>();
  /** Names on the lines of the exposition, of all families and reserved. */
  readonly #taken = new Set<string>();
  /** What was found before, which spares most samples the way over legal names. */
  readonly #spellings = new SpellingTable<Series>();
  #size = 0;

  #lines = 0;
  #samples = 0;
  #tagErrors = 0;
  #swept = 0;
  readonly #skipped: Record<Skipped, number> = { event: 0, service_check: 0 };
  readonly #events: Record<SeriesKind, number> = {
    counter: 0,
    gauge: 0,
    observer: 0,
    set: 0,
  };
  readonly #errors = Object.fromEntries(
    [...REASONS, ...REFUSALS].map((reason) => [reason, 0]),
  ) as Record<Reason | Refusal, number>;

  /** An aggregate without any series. */
  constructor(options: AggregateOptions = {}) {
    this.#maxSeries = options.maxSeries ?? 100_000;
    this.#maxObservations = options.maxObservations ?? 1_024;
    // So much at least that a few series may be large.
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
      for (const line of lineNames(name, type)) this.#taken.add(line);
    }
    for (const name of options.reserved ?? []) this.#taken.add(name);
  }

  /** Number of series. */
  get size(): number {
    return this.#size;
  }

  /** Number of spellings of series that are known. */
  get spellings(): number {
    return this.#spellings.size;
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
  get errors(): Readonly<Record<Reason | Refusal, number>> {
    return this.#errors;
  }

  /** Number of samples taken, by what they went into. */
  get events(): Readonly<Record<SeriesKind, number>> {
    return this.#events;
  }

  /** Number of lines that are no metric, by what they are. */
  get skipped(): Readonly<Record<Skipped, number>> {
    return this.#skipped;
  }

  /** Counts a line. */
  line(): void {
    this.#lines++;
  }

  /** Counts a line that is no metric. */
  skip(what: Skipped): void {
    this.#skipped[what]++;
  }

  /** Counts an error. */
  error(reason: Reason | Refusal): void {
    this.#errors[reason]++;
  }

  /** Adds a sample to its series, or counts why not. */
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
        if (series.kind !== "counter") return this.error("kind_conflict");
        series.total.add(rate === 1 ? value : value / rate);
        this.#events.counter++;
        break;
      case "gauge":
        if (series.kind !== "gauge") return this.error("kind_conflict");
        if (sample.relative) series.total.add(value);
        else series.total.set(value);
        this.#events.gauge++;
        break;
      case "set":
        if (series.kind !== "set") return this.error("kind_conflict");
        if (!this.#addMember(series, sample.member)) {
          return this.error("member_limit");
        }
        this.#events.set++;
        break;
      default:
        if (series.kind !== "observer") return this.error("kind_conflict");
        series.observe(
          value,
          kind === "timing",
          rate === 1 ? 1 : Math.round(1 / rate),
          this.#maxObservations,
          this.#budget,
          this.#random,
        );
        this.#events.observer++;
    }
    series.writes++;
  }

  /** Takes away the series that nobody has written to for as many sweeps as
   * {@link AggregateOptions.idleSweeps} says, and answers how many. */
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

  /** The series with the most samples since this was last called, at most
   * `count` of them, the busiest first. */
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

  /** Everything there is to expose: the metrics sent, and this object's own,
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

  /** Finds or makes the series of a sample in a spelling not known yet. */
  #resolve(sample: Sample): Series | undefined {
    const { labels, errors } = parseTags(sample.tags);
    this.#tagErrors += errors;
    if (labels.size + errors > MAX_TAG_COUNT) {
      this.error("too_many_tags");
      return undefined;
    }
    const legal = new Map<string, string>();
    for (const [name, value] of labels) legal.set(legalLabel(name), value);
    const key = labelText([...legal].sort(([a], [b]) => a < b ? -1 : 1));

    const kind = seriesKind(sample);
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
      if (this.#size >= this.#maxSeries || this.#budget.text < key.length) {
        this.error("series_limit");
        return undefined;
      }
      family ??= this.#addFamily(exposed, kind, sample.name, key.length);
      if (family === undefined) return undefined;
      series = newSeries(kind, key, this.#buckets);
      family.series.set(key, series);
      this.#budget.text -= key.length;
      this.#size++;
    }
    if (!family?.legalNames.includes(name)) family?.legalNames.push(name);
    this.#kinds.set(name, kind);
    // A spelling with faulty tags is resolved anew each time, to count them.
    if (errors === 0) this.#remember(sample, series);
    return series;
  }

  /** Makes a family whose first series has labels of that length, or counts why
   * there can be none. */
  #addFamily(
    name: string,
    kind: SeriesKind,
    sent: string,
    labels: number,
  ): SampledFamily | undefined {
    const family = new SampledFamily(
      name,
      kind,
      exposedType(kind, this.#buckets),
      sent,
    );
    const names = lineNames(name, family.type);
    if (names.some((name) => this.#taken.has(name))) {
      this.error("kind_conflict");
      return undefined;
    }
    if (this.#budget.text < family.text + labels) {
      this.error("series_limit");
      return undefined;
    }
    for (const name of names) this.#taken.add(name);
    this.#families.set(name, family);
    this.#budget.text -= family.text;
    return family;
  }

  #remember(sample: Sample, series: Series): void {
    // There is no end to the spellings of one series, so they are bounded too.
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
      this.#taken.delete(name);
    }
    for (const name of family.legalNames) this.#kinds.delete(name);
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
    yield {
      name: "statsd_series_limit",
      help: "Most series that are held.",
      type: "gauge",
      samples: [{ value: this.#maxSeries }],
    };
    yield {
      name: "statsd_series_swept_total",
      help: "Series taken away because nobody wrote to them.",
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
  /** The legal names that lead here; a counter may have two. */
  readonly legalNames: string[] = [];
  readonly #sent: string;

  constructor(
    name: string,
    kind: SeriesKind,
    type: Family["type"],
    sent: string,
  ) {
    this.name = name;
    this.kind = kind;
    this.type = type;
    this.#sent = sent;
  }

  get help(): string {
    return `StatsD ${this.kind} ${this.#sent}.`;
  }

  /** How many characters are kept of its name: as it was sent, as the legal names
   * that lead here, and on the lines of the exposition. */
  get text(): number {
    const lines = lineNames(this.name, this.type);
    return this.#sent.length + 2 * this.name.length + lines.join("").length;
  }

  get samples(): Iterable<Exposed> {
    return this.#exposed();
  }

  *#exposed(): Generator<Exposed> {
    // Those that there are now: one that is swept and comes back while somebody
    // reads would be the last as well, and stand there twice.
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
      return "observer";
  }
}

function exposedType(
  kind: SeriesKind,
  buckets: readonly number[] | undefined,
): Family["type"] {
  switch (kind) {
    case "counter":
      return "counter";
    case "observer":
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
