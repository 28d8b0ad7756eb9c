/**
 * Reads what a client says it takes: `Accept` and `Accept-Encoding`, with their
 * weights.
 *
 * @module
 */

import type { Format } from "./expose.ts";

/** One of the things a header lists. */
interface Range {
  /** In lower case. */
  readonly name: string;
  /** Parameters by name in lower case, without the weight. */
  readonly params: ReadonlyMap<string, string>;
  /** From 0, not at all, to 1. */
  readonly weight: number;
}

/**
 * The format that an `Accept` header likes best. Where it likes both the same, or
 * none, it is the text format: every scraper reads that.
 */
export function chooseFormat(accept: string | null): Format {
  const ranges = readRanges(accept ?? "*/*");
  const open = mediaWeight(
    ranges,
    "application",
    "openmetrics-text",
    "1.0.0",
  );
  return open > mediaWeight(ranges, "text", "plain", "0.0.4")
    ? "openmetrics"
    : "text";
}

/** Whether an `Accept-Encoding` header takes gzip, and likes it no less than
 * what is not compressed. */
export function acceptsGzip(encodings: string | null): boolean {
  const ranges = readRanges(encodings ?? "");
  const weightOf = (...names: string[]) =>
    ranges.find(({ name }) => names.includes(name))?.weight;
  const gzip = weightOf("gzip", "x-gzip") ?? weightOf("*") ?? 0;
  return gzip > 0 && gzip >= (weightOf("identity") ?? 0);
}

function readRanges(header: string): Range[] {
  return header.split(",").map((part) => {
    const [name = "", ...rest] = part.split(";");
    const params = new Map(rest.map((param) => {
      const [key = "", value = ""] = param.split("=");
      return [key.trim().toLowerCase(), unquote(value.trim())] as const;
    }));
    const weight = Number(params.get("q") ?? 1);
    params.delete("q");
    return {
      name: name.trim().toLowerCase(),
      params,
      weight: weight >= 0 && weight <= 1 ? weight : 0,
    };
  });
}

function unquote(text: string): string {
  return text.replace(/^"(.*)"$/, "$1");
}

/** The weight that the most specific of the ranges gives to a media type. */
function mediaWeight(
  ranges: readonly Range[],
  type: string,
  subtype: string,
  version: string,
): number {
  const named = ranges.filter(({ name }) => name === `${type}/${subtype}`);
  const range = named.find(({ params }) => params.get("version") === version) ??
    named.find(({ params }) => !params.has("version")) ??
    ranges.find(({ name }) => name === `${type}/*`) ??
    ranges.find(({ name }) => name === "*/*");
  return range?.weight ?? 0;
}
