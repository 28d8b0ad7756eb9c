/**
 * Writes metrics in the Prometheus text format, version 0.0.4, or in OpenMetrics,
 * version 1.0.0, and makes names and labels legal for both.
 *
 * The lines of a metric have the same names in both formats. OpenMetrics has more
 * rules about names, which change the types only ({@link openMetricsParts}):
 *
 * 1. A counter is of type `counter` if its name ends in `_total`, else `unknown`.
 * 2. A type reserves names: `a_total` reserves `a` and `a_created`, a summary or
 *    histogram `a` reserves `a_created`. If another metric has such a name, each name
 *    on the lines of the first becomes a metric of type `unknown`.
 *
 * OpenMetrics forbids sums and quantiles below 0, and a sum beside a bucket below 0.
 * They are written all the same: Prometheus reads them, and they were observed.
 *
 * @module
 */

import type { NativeHistogram } from "./native_buckets.ts";
import { visible } from "./visible.ts";

/** Format of an exposition. */
export type Format = "text" | "openmetrics";

/** `Content-Type` of each format. */
export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** One line of a family. */
export interface Exposed {
  /** Suffix of the name of its family; none by default. */
  readonly suffix?: Suffix;
  /** Labels as {@link labelText} writes them; none by default. */
  readonly labels?: string;
  /** Quantile of a summary that the value is, from 0 to 1. */
  readonly quantile?: number;
  /** Upper bound of the bucket whose count the value is. */
  readonly le?: number;
  /** Buckets of a native histogram, on the line of its bucket up to infinity. */
  readonly native?: NativeHistogram;
  /** Any float, in the unit that the name of the family tells. */
  readonly value: number;
}

/** Suffix of a line of a summary or histogram. */
type Suffix = "_sum" | "_count" | "_bucket";

/** Metric with all its series. */
export interface Family {
  /** Legal name; see {@link legalName}. */
  readonly name: string;
  /** Meaning of the metric, in one sentence. */
  readonly help: string;
  /** Type of the metric for Prometheus. */
  readonly type: "counter" | "gauge" | "summary" | "histogram";
  /** Lines; those of one series follow each other. */
  readonly samples: Iterable<Exposed>;
}

/** Approximate number of characters per piece. */
const CHUNK = 32_768;

/**
 * Writes the families of all `sources`, in their order, as one exposition. No two
 * families may share a name on their lines ({@link lineNames}).
 *
 * Yields the text in pieces while it is read: the whole text of 100,000 series would
 * take more memory than the series. Changes made meanwhile may or may not be
 * included, but the lines of one series always belong together, unless OpenMetrics
 * splits its family.
 */
export function* expose(
  format: Format,
  ...sources: Iterable<Family>[]
): Generator<string> {
  const open = format === "openmetrics";
  const families = sources.flatMap((source) => [...source]);
  const names = new Set(
    open ? families.flatMap(({ name, type }) => lineNames(name, type)) : [],
  );
  let text = "";
  for (const family of families) {
    const parts = open ? openMetricsParts(family, names) : [family];
    for (const part of parts) {
      text += head(family, part, open);
      for (const sample of part.samples) {
        const { suffix = "", value } = sample;
        text += `${family.name}${suffix}${braced(sample, open)} ` +
          `${floatText(value)}\n`;
        // A slow reader must not get half a series of then and half of now.
        if (text.length < CHUNK || !isLast(sample)) continue;
        yield text;
        text = "";
      }
    }
  }
  yield open ? `${text}# EOF\n` : text;
}

/** Tells whether a line is the last one of its series. */
export function isLast({ suffix, quantile }: Exposed): boolean {
  return suffix === "_count" ||
    (suffix === undefined && quantile === undefined);
}

/** Part of a family under a title of its own. */
interface Part {
  readonly name: string;
  readonly type: Family["type"] | "unknown";
  readonly samples: Iterable<Exposed>;
}

function head({ help }: Family, { name, type }: Part, open: boolean): string {
  const escaped = open ? escapeValue(help) : escapeBreaks(help);
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`;
}

/** Returns the parts as which OpenMetrics can have a family beside families whose
 * lines have these names. */
function openMetricsParts(
  family: Family,
  names: ReadonlySet<string>,
): Part[] {
  const { name, type, samples } = family;
  if (type === "gauge") return [family];
  const created = `${name}_created`;
  if (type !== "counter") {
    return names.has(created) ? partPerName(family) : [family];
  }
  const title = name.replace(/_total$/, "");
  const unknown = title === name || title === "" ||
    // The title of `a_created_total` is a name that `a_total` may reserve.
    title.endsWith("_created") || names.has(title) ||
    names.has(`${title}_created`);
  return unknown
    ? [{ name, type: "unknown", samples }]
    : [{ name: title, type, samples }];
}

/** Splits a family by the names on its lines. */
function partPerName(family: Family): Part[] {
  const { name, type } = family;
  return lineNames(name, type)
    .filter((line) => type === "summary" || line !== name)
    .map((line) => ({
      name: line,
      type: "unknown",
      samples: samplesOf(family, line.slice(name.length)),
    }));
}

function* samplesOf(family: Family, suffix: string): Generator<Exposed> {
  // Read again for each part: an iterable may be good for one reading only.
  for (const sample of family.samples) {
    if ((sample.suffix ?? "") === suffix) yield sample;
  }
}

function braced({ labels = "", le, quantile }: Exposed, open: boolean): string {
  let own = "";
  if (le !== undefined) own = `le="${labelFloat(le, open)}"`;
  if (quantile !== undefined) {
    own = `quantile="${labelFloat(quantile, open)}"`;
  }
  const comma = own === "" || labels === "" ? "" : ",";
  return own === "" && labels === "" ? "" : `{${labels}${comma}${own}}`;
}

/** Writes a number in a label; OpenMetrics requires a decimal point. */
function labelFloat(value: number, open: boolean): string {
  const text = floatText(value);
  return open && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Returns the name of a family of this type, and the names on its lines. */
export function lineNames(name: string, type: Family["type"]): string[] {
  switch (type) {
    case "counter":
    case "gauge":
      return [name];
    case "summary":
      return [name, `${name}_sum`, `${name}_count`];
    case "histogram":
      return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
  }
}

/**
 * Makes a metric or label name of any text, as statsd_exporter does: every
 * character other than ASCII letters, digits and underscores becomes an underscore,
 * a run of dashes becomes one, and a leading digit gets one before it.
 */
export function legalName(text: string): string {
  let name = "";
  let before = "";
  for (const char of text) {
    if (isNameChar(char.charCodeAt(0))) name += char;
    else if (char !== "-" || before !== "-") name += "_";
    before = char;
  }
  const first = name.charCodeAt(0);
  return first >= 0x30 && first <= 0x39 ? `_${name}` : name;
}

function isNameChar(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) || code === 0x5f;
}

/**
 * Makes a label name of any text. Names that Prometheus reserves are changed:
 * `__name__` would rename the metric, and `quantile` and `le` could occur twice on a
 * line.
 */
export function legalLabel(text: string): string {
  const name = legalName(text);
  if (name === "quantile" || name === "le") return `exported_${name}`;
  let underscores = 0;
  while (name[underscores] === "_") underscores++;
  return underscores > 1 ? name.slice(underscores - 1) : name;
}

/** Writes labels with legal names, in the given order, without the braces. Control
 * characters in values become visible; see {@link visible}. */
export function labelText(
  labels: Iterable<readonly [name: string, value: string]>,
): string {
  let text = "";
  for (const [name, value] of labels) {
    text += `${text === "" ? "" : ","}${name}="${escapeValue(value)}"`;
  }
  return text;
}

/** Parses the text that {@link labelText} writes. */
export function parseLabels(text: string): [name: string, value: string][] {
  return text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g).map(
    ([, name, value]): [string, string] => [
      name!,
      value!.replace(/\\(.)/g, (_, char) => char === "n" ? "\n" : char),
    ],
  ).toArray();
}

function escapeValue(value: string): string {
  return escapeBreaks(value).replaceAll('"', '\\"');
}

function escapeBreaks(text: string): string {
  return text.split("\n")
    .map((line) => visible(line).replaceAll("\\", "\\\\"))
    .join("\\n");
}

function floatText(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
