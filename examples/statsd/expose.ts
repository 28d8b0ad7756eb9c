/**
 * Writes metrics in the Prometheus text format, version 0.0.4, or in that of
 * OpenMetrics, version 1.0.0, and makes names and labels legal for both.
 *
 * OpenMetrics wants no sum or quantile below 0, and no sum beside a bucket below 0.
 * They are written all the same: Prometheus reads them, and they were observed.
 *
 * @module
 */

/** How an exposition is written. */
export type Format = "text" | "openmetrics";

/** `Content-Type` of what {@link expose} returns. */
export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** One line of a family. */
export interface Exposed {
  /** What the line adds to the name of its family; nothing by default. */
  readonly suffix?: "_sum" | "_count" | "_bucket";
  /** Labels as {@link labelText} writes them; none by default. */
  readonly labels?: string;
  /** Which quantile of a summary the value is. */
  readonly quantile?: number;
  /** The upper bound of the bucket whose count the value is. */
  readonly le?: number;
  /** Any float, in the unit that the name of the family tells. */
  readonly value: number;
}

/** A metric with all its series. */
export interface Family {
  /** Name, legal already; see {@link legalName}. */
  readonly name: string;
  /** What the metric tells, in one sentence. */
  readonly help: string;
  /** How Prometheus is to read the lines. */
  readonly type: "counter" | "gauge" | "summary" | "histogram";
  /** The lines, each with labels of its own. */
  readonly samples: Iterable<Exposed>;
}

/** About how many characters are written at once. */
const CHUNK = 32_768;

/**
 * Writes the families of all `sources`, in their order, as one exposition. No
 * name may stand on the lines of two families.
 *
 * It is written a piece at a time, as it is read: of a hundred thousand series the
 * whole text would take more memory than they do. What is added meanwhile may be
 * in it or not, but the lines of one series belong together.
 */
export function* expose(
  format: Format,
  ...sources: Iterable<Family>[]
): Generator<string> {
  const open = format === "openmetrics";
  const families = sources.flatMap((source) => [...source]);
  const names = new Set(open ? families.map(({ name }) => name) : []);
  let text = "";
  for (const family of families) {
    text += head(family, open ? openMetricsTitle(family, names) : family, open);
    for (const sample of family.samples) {
      const { suffix = "", value } = sample;
      text += `${family.name}${suffix}${braced(sample, open)} ` +
        `${floatText(value)}\n`;
      // Whoever reads slowly must not see half a series of then and half of now.
      if (text.length < CHUNK || !isLast(sample)) continue;
      yield text;
      text = "";
    }
  }
  yield open ? `${text}# EOF\n` : text;
}

/** Whether a line is the last one of its series. */
function isLast({ suffix, quantile }: Exposed): boolean {
  return suffix === "_count" ||
    (suffix === undefined && quantile === undefined);
}

/** How an exposition calls a family. */
interface Title {
  readonly name: string;
  readonly type: Family["type"] | "unknown";
}

function head({ help }: Family, { name, type }: Title, open: boolean): string {
  const escaped = open ? escapeValue(help) : escapeBreaks(help);
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`;
}

/** What OpenMetrics calls a family: a counter without the end of its name, as
 * long as no line of another family is called so. */
function openMetricsTitle(
  { name, type }: Family,
  names: ReadonlySet<string>,
): Title {
  if (type !== "counter") return { name, type };
  const base = name.replace(/_total$/, "");
  const taken = names.has(base) ||
    names.has(base.replace(/_(sum|count|bucket|created)$/, ""));
  return base === name || base === "" || taken
    ? { name, type: "unknown" }
    : { name: base, type };
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

/** OpenMetrics wants a float that stands in a label to look like one. */
function labelFloat(value: number, open: boolean): string {
  const text = floatText(value);
  return open && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Every name that lines of a family of this name and type bear, or may. */
export function lineNames(name: string, type: Family["type"]): string[] {
  switch (type) {
    case "counter":
      return [name, `${name.replace(/_total$/, "")}_created`];
    case "gauge":
      return [name];
    case "summary":
      return [name, `${name}_sum`, `${name}_count`, `${name}_created`];
    case "histogram":
      return [
        ...[name, `${name}_bucket`],
        ...[`${name}_sum`, `${name}_count`, `${name}_created`],
      ];
  }
}

/**
 * Makes a metric name or a label name out of any text, as statsd_exporter
 * does: what is no ASCII letter, digit or underscore becomes an underscore, a
 * run of dashes becomes one, and a digit in front gets one before it.
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
 * Makes a label name out of any text. Names that Prometheus keeps for itself
 * are moved away: `__name__` would rename the metric, and `quantile` and `le`
 * would stand twice on a line.
 */
export function legalLabel(text: string): string {
  const name = legalName(text);
  if (name === "quantile" || name === "le") return `exported_${name}`;
  let underscores = 0;
  while (name[underscores] === "_") underscores++;
  return underscores > 1 ? name.slice(underscores - 1) : name;
}

/** Writes labels, whose names are legal already, in the order given, as they
 * stand between the braces. */
export function labelText(
  labels: Iterable<readonly [name: string, value: string]>,
): string {
  let text = "";
  for (const [name, value] of labels) {
    text += `${text === "" ? "" : ","}${name}="${escapeValue(value)}"`;
  }
  return text;
}

function escapeValue(value: string): string {
  return escapeBreaks(value).replaceAll('"', '\\"');
}

function escapeBreaks(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function floatText(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
