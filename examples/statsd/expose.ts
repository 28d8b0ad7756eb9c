/**
 * Writes metrics in the Prometheus text format, version 0.0.4, and makes names
 * and labels legal for it.
 *
 * @module
 */

/** `Content-Type` of what {@link expose} returns. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One line of a family. */
export interface Exposed {
  /** What the line adds to the name of its family; nothing by default. */
  readonly suffix?: "_sum" | "_count";
  /** Labels as {@link labelText} writes them; none by default. */
  readonly labels?: string;
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
  readonly type: "counter" | "gauge" | "summary";
  /** The lines, each with labels of its own. */
  readonly samples: Iterable<Exposed>;
}

/**
 * Writes the families of all `sources` as one exposition, sorted by name.
 *
 * A name is written once: a family whose lines would bear a name of a family
 * written for an earlier source, or earlier in the same one, is left out, for
 * a scrape with a name in it twice would be refused as a whole.
 */
export function expose(...sources: Iterable<Family>[]): string {
  const taken = new Set<string>();
  const families: Family[] = [];
  for (const source of sources) {
    for (const family of source) {
      const names = lineNames(family.name, family.type);
      if (names.some((name) => taken.has(name))) continue;
      for (const name of names) taken.add(name);
      families.push(family);
    }
  }
  families.sort((a, b) => a.name < b.name ? -1 : 1);

  let text = "";
  for (const { name, help, type, samples } of families) {
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const { suffix = "", labels = "", value } of samples) {
      const braced = labels === "" ? "" : `{${labels}}`;
      text += `${name}${suffix}${braced} ${formatValue(value)}\n`;
    }
  }
  return text;
}

/** Every name that stands on a line of a family of this name and type. */
export function lineNames(name: string, type: Family["type"]): string[] {
  return type === "summary" ? [name, `${name}_sum`, `${name}_count`] : [name];
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
  return escapeHelp(value).replaceAll('"', '\\"');
}

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function formatValue(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
