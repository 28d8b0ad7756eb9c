/**
 * Content negotiation: `Accept` and `Accept-Encoding`, with their weights.
 *
 * @module
 */

import type { Format } from "./expose.ts";

/** Media range or coding of a header. */
interface Range {
  /** Name in lower case. */
  readonly name: string;
  /** Parameters by name in lower case, including the weight. */
  readonly params: ReadonlyMap<string, string>;
  /** Weight from 0, not acceptable, to 1. */
  readonly weight: number;
}

/** Format of a response: a text format, or protobuf. */
export type ResponseFormat = Format | "protobuf";

/** Weight of OpenMetrics on this side, beside 1 of the text format. OpenMetrics has
 * no type for a counter unless its name ends in `_total`. Prometheus 2 weighs it twice
 * as high as the text format, Prometheus 3 two and a half times: both get the text
 * format, a client that prefers OpenMetrics more clearly gets that. */
const OPENMETRICS_WEIGHT = 0.3;

/**
 * Returns the format with the greatest weight for an `Accept` header; the text format
 * if weights are equal or nothing fits, since every scraper reads that.
 *
 * @param accept The header; null if there is none.
 * @param native True if there are native histograms, for which protobuf is offered.
 */
export function chooseFormat(
  accept: string | null,
  native = false,
): ResponseFormat {
  const ranges = readRanges(accept ?? "*/*");
  let best: ResponseFormat = "text";
  let most = mediaWeight(ranges, "text", "plain", "0.0.4");
  const offer = (format: ResponseFormat, weight: number) => {
    if (weight <= most) return;
    best = format;
    most = weight;
  };
  const open = ["application", "openmetrics-text", "1.0.0"] as const;
  offer("openmetrics", OPENMETRICS_WEIGHT * mediaWeight(ranges, ...open));
  if (native) offer("protobuf", protobufWeight(ranges));
  return best;
}

/** Returns the weight of delimited messages. No wildcard matches them: a client that
 * does not name them cannot read them. */
function protobufWeight(ranges: readonly Range[]): number {
  const range = ranges.find(({ name, params }) =>
    name === "application/vnd.google.protobuf" &&
    (params.get("proto") ?? MESSAGE) === MESSAGE &&
    (params.get("encoding") ?? "delimited") === "delimited"
  );
  return range?.weight ?? 0;
}

const MESSAGE = "io.prometheus.client.MetricFamily";

/** Tells whether an `Accept-Encoding` header accepts gzip, with at least the weight of
 * no compression. */
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

/** Returns the weight of the most specific range for a media type. */
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
