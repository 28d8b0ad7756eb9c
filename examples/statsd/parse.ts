/**
 * Reads StatsD packets: the lines of etsy's StatsD, the additions of
 * DogStatsD, and the three ways of writing tags into the name that
 * statsd_exporter knows.
 *
 * ```text
 * packet  = line *( LF line )            ; CR before LF allowed, empty ignored
 * line    = name ":" group *( ":" group )
 *         / "_e{" text                   ; DogStatsD event, counted, skipped
 *         / "_sc|" text                  ; DogStatsD service check, likewise
 * name    = text                         ; any text without ":"
 *         / text ( "," / "#" ) pairs     ; InfluxDB, Librato
 *         / text "[" pairs "]" text      ; SignalFx
 * pairs   = key "=" value *( "," key "=" value )
 * group   = value *( ":" value ) "|" type *( "|" section )
 * type    = "c" / "g" / "ms" / "h" / "d" / "s"
 * section = "@" number                   ; sample rate
 *         / "#" tag *( "," tag )         ; tag = [ "#" ] key ":" value
 *         / "T" digits                   ; time of the sample, ignored
 *         / ( "c:" / "e:" / "card:" ) text ; origin of the sample, ignored
 * value   = number                       ; a member (any text) where type is s
 * number  = [ "+" / "-" ] decimal        ; 1, 1.5, .5, 1e3; no hex, inf or nan
 * ```
 *
 * Several values in one group are for `ms`, `h` and `d` only, and a colon in
 * the value of an `s` belongs to the member. A line that has a `|#` section
 * holds one group, because a colon may stand in a tag.
 *
 * Errors carry the reasons of statsd_exporter, and cost the sample they are
 * in; where the line cannot be taken apart, the line. Work is linear in the
 * length of the packet, and nothing here throws.
 *
 * @module
 */

/** What a sample does to its metric: the type of the line, spelled out. */
export type Kind =
  | "counter"
  | "gauge"
  | "timing"
  | "histogram"
  | "distribution"
  | "set";

/** One sample of a line. It is lent to {@link Sink.sample} for the call only:
 * the parser writes the next one into the same object. */
export interface Sample {
  /** Name as sent, without the tags some styles put into it. */
  name: string;
  /** What the sample does to its metric. */
  kind: Kind;
  /** Number as sent: milliseconds for `timing`, 0 for `set`. */
  value: number;
  /** Member of a `set`, and empty for every other kind. */
  member: string;
  /** Whether a `gauge` is to be moved by `value`, not set to it. */
  relative: boolean;
  /** Share of the events the client sent, between {@link MIN_RATE} and 1. */
  rate: number;
  /** Tags as text, `key:value,key:value`, for {@link parseTags}. It stays
   * text because a series is mostly known by it already. */
  tags: string;
}

/** Every reason the parser gives for an error. */
export const REASONS = [
  "malformed_line",
  "line_too_long",
  "field_too_long",
  "mixed_tagging_styles",
  "not_enough_parts_after_colon",
  "invalid_extended_aggregate_type",
  "malformed_component",
  "malformed_value",
  "invalid_sample_factor",
  "malformed_container_id",
  "malformed_timestamp",
  "illegal_event",
] as const;

/** Why a line, or one sample of it, was not taken. */
export type Reason = typeof REASONS[number];

/** What DogStatsD sends that is no metric. */
export type Skipped = "event" | "service_check";

/** Takes what {@link parsePacket} finds, in the order of the packet. */
export interface Sink {
  /** Called once for each line that is not empty, before anything else. */
  line(): void;
  /** Called once for each good sample, which is lent for the call. */
  sample(sample: Sample): void;
  /** Called once for each bad line, or bad sample of a line. */
  error(reason: Reason): void;
  /** Called once for each line that is no metric and no error. */
  skip(what: Skipped): void;
}

/** Longest line that is read, in UTF-16 code units. */
export const MAX_LINE = 65_536;
/** Longest name, and longest member of a set, in UTF-16 code units. */
export const MAX_NAME = 1_024;
/** Longest text of all the tags of a line, in UTF-16 code units. */
export const MAX_TAGS = 8_192;
/** Smallest sample rate; a smaller one is read as this one, so that a sample
 * stands for a million events at most. */
export const MIN_RATE = 1e-6;

/** Most parts of a group, its value and type among them. */
const MAX_PARTS = 8;

const RETURN = 0x0d;
const HASH = 0x23;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const AT = 0x40;
const UPPER_T = 0x54;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const UNDERSCORE = 0x5f;
const LOWER_C = 0x63;
const LOWER_D = 0x64;
const LOWER_E = 0x65;
const LOWER_G = 0x67;
const LOWER_H = 0x68;
const LOWER_M = 0x6d;
const LOWER_S = 0x73;
const BAR = 0x7c;

const REPLACEMENT = "\ufffd";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads the lines of one packet and hands what they hold to `sink`. */
export function parsePacket(data: Uint8Array, sink: Sink): void {
  if (data.length === 0) return;
  const text = utf8.decode(data);
  // The decoder puts U+FFFD where the bytes were no UTF-8. A client that sent
  // one itself gets the same answer: its text was lost before it came here.
  const damaged = text.includes(REPLACEMENT);
  let from = 0;
  while (from < text.length) {
    let to = text.indexOf("\n", from);
    if (to === -1) to = text.length;
    const end = to > from && text.charCodeAt(to - 1) === RETURN ? to - 1 : to;
    if (end > from) {
      sink.line();
      if (end - from > MAX_LINE) {
        sink.error("line_too_long");
      } else if (damaged && text.slice(from, end).includes(REPLACEMENT)) {
        sink.error("malformed_line");
      } else {
        parseLine(text, from, end, sink);
      }
    }
    from = to + 1;
  }
}

/** Reads the line between `from` and `end`. This and what it calls work on the
 * text of the packet, not on a slice of it, for slices are slow to index; and
 * they search with loops, for `indexOf` would not stop at `end`. */
function parseLine(text: string, from: number, end: number, sink: Sink): void {
  if (text.charCodeAt(from) === UNDERSCORE) {
    if (text.startsWith("_e{", from)) return sink.skip("event");
    if (text.startsWith("_sc|", from)) return sink.skip("service_check");
  }

  let colon = from;
  let styled = false;
  for (; colon < end; colon++) {
    const code = text.charCodeAt(colon);
    if (code === COLON) break;
    if (code === HASH || code === COMMA || code === OPEN || code === CLOSE) {
      styled = true;
    }
  }
  if (colon === from || colon === end) return sink.error("malformed_line");

  let bars = 0;
  let tagged = false;
  for (let at = colon + 1; at < end && !tagged; at++) {
    if (text.charCodeAt(at) !== BAR) continue;
    bars++;
    tagged = at + 1 < end && text.charCodeAt(at + 1) === HASH;
  }

  const sample: Sample = {
    name: text.slice(from, colon),
    kind: "counter",
    value: 0,
    member: "",
    relative: false,
    rate: 1,
    tags: "",
  };
  if (styled) {
    takeNameTags(sample);
    if (sample.name === "") return sink.error("malformed_line");
    if (tagged && sample.tags !== "") {
      return sink.error("mixed_tagging_styles");
    }
  }
  if (sample.name.length > MAX_NAME || sample.tags.length > MAX_TAGS) {
    return sink.error("field_too_long");
  }
  if (bars === 0) return sink.error("not_enough_parts_after_colon");

  let at = colon + 1;
  do at = parseGroup(text, at, end, tagged, sample, sink); while (at !== -1);
}

/** Reads the group that starts at `from`, and answers where the next one of
 * the line starts, or -1. */
function parseGroup(
  text: string,
  from: number,
  end: number,
  tagged: boolean,
  sample: Sample,
  sink: Sink,
): number {
  const bar = endOfPart(text, from, end, false);
  if (bar === end) {
    sink.error("malformed_component");
    return -1;
  }

  const typeEnd = endOfPart(text, bar + 1, end, !tagged);
  const kind = kindOf(text, bar + 1, typeEnd);
  let reason: Reason | undefined;
  let parts = 2;
  let at = typeEnd;
  sample.rate = 1;
  while (at < end && text.charCodeAt(at) === BAR) {
    const start = at + 1;
    const colons = !tagged && originLength(text, start) === 0;
    at = endOfPart(text, start, end, colons);
    parts++;
    const fault = parts > MAX_PARTS || at === start
      ? "malformed_component"
      : readSection(text, start, at, sample);
    reason ??= fault;
  }
  const next = at < end ? at + 1 : -1;

  const valueEnd = endOfPart(text, from, bar, true);
  const packed = valueEnd < bar;
  if (kind === undefined) {
    if (packed) sink.error("invalid_extended_aggregate_type");
    else if (Number.isNaN(readNumber(text, from, bar))) {
      sink.error("malformed_value");
    } else sink.error(reason ?? "illegal_event");
    return next;
  }
  sample.kind = kind;
  sample.member = "";
  sample.relative = false;
  if (!packed || kind === "set") {
    deliver(text, from, bar, reason, sample, sink);
  } else if (kind === "counter" || kind === "gauge") {
    sink.error("invalid_extended_aggregate_type");
  } else {
    for (let start = from; start <= bar;) {
      const to = endOfPart(text, start, bar, true);
      deliver(text, start, to, reason, sample, sink);
      start = to + 1;
    }
  }
  return next;
}

/** Reads the value between `from` and `to`, and hands the sample on unless its
 * value or its sections are at fault. */
function deliver(
  text: string,
  from: number,
  to: number,
  reason: Reason | undefined,
  sample: Sample,
  sink: Sink,
): void {
  if (sample.kind === "set") {
    if (to === from) return sink.error("malformed_value");
    if (to - from > MAX_NAME) return sink.error("field_too_long");
    sample.member = text.slice(from, to);
    sample.value = 0;
  } else {
    const value = readNumber(text, from, to);
    if (Number.isNaN(value)) return sink.error("malformed_value");
    sample.value = value;
    if (sample.kind === "gauge") {
      const sign = text.charCodeAt(from);
      sample.relative = sign === PLUS || sign === MINUS;
    }
  }
  if (reason !== undefined) return sink.error(reason);
  sink.sample(sample);
}

function readSection(
  text: string,
  from: number,
  to: number,
  sample: Sample,
): Reason | undefined {
  switch (text.charCodeAt(from)) {
    case AT: {
      const rate = readNumber(text, from + 1, to);
      if (!(rate >= 0)) return "invalid_sample_factor";
      // Clients that do not sample send 0 as well as 1.
      sample.rate = rate === 0 ? 1 : Math.min(Math.max(rate, MIN_RATE), 1);
      return undefined;
    }
    case HASH: {
      const tags = text.slice(from + 1, to);
      sample.tags = sample.tags === "" ? tags : `${sample.tags},${tags}`;
      return sample.tags.length > MAX_TAGS ? "field_too_long" : undefined;
    }
    case UPPER_T: {
      let at = from + 1;
      const sign = text.charCodeAt(at);
      if (at < to && (sign === PLUS || sign === MINUS)) at++;
      if (at === to) return "malformed_timestamp";
      return skipDigits(text, at, to) === to
        ? undefined
        : "malformed_timestamp";
    }
    case LOWER_C:
    case LOWER_E: {
      const length = originLength(text, from);
      if (length > 0 && from + length < to) return undefined;
      return text.charCodeAt(from) === LOWER_C
        ? "malformed_container_id"
        : "invalid_sample_factor";
    }
    default:
      return "invalid_sample_factor";
  }
}

/** Length of the key of an origin section at `from`, or 0. */
function originLength(text: string, from: number): number {
  const code = text.charCodeAt(from);
  if (code !== LOWER_C && code !== LOWER_E) return 0;
  if (text.charCodeAt(from + 1) === COLON) return 2;
  return text.startsWith("card:", from) ? 5 : 0;
}

function kindOf(text: string, from: number, to: number): Kind | undefined {
  const code = text.charCodeAt(from);
  if (to - from === 1) {
    switch (code) {
      case LOWER_C:
        return "counter";
      case LOWER_G:
        return "gauge";
      case LOWER_H:
        return "histogram";
      case LOWER_D:
        return "distribution";
      case LOWER_S:
        return "set";
    }
  } else if (
    to - from === 2 && code === LOWER_M && text.charCodeAt(from + 1) === LOWER_S
  ) {
    return "timing";
  }
  return undefined;
}

/** Where the part that starts at `from` ends: at the next bar, at the next
 * colon where `colons` says that one ends it, or at `end`. */
function endOfPart(
  text: string,
  from: number,
  end: number,
  colons: boolean,
): number {
  let at = from;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === BAR || (colons && code === COLON)) break;
  }
  return at;
}

/** Reads a finite decimal number, or answers NaN. */
function readNumber(text: string, from: number, to: number): number {
  const sign = text.charCodeAt(from);
  const signed = sign === PLUS || sign === MINUS;
  const start = signed ? from + 1 : from;
  let whole = 0;
  let at = start;
  for (; at < to; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) break;
    whole = whole * 10 + digit;
  }
  const digits = at - start;
  // Fifteen digits are the most that this sum always holds exactly.
  if (at === to && digits > 0 && digits <= 15) {
    return sign === MINUS ? -whole : whole;
  }

  let decimals = 0;
  if (at < to && text.charCodeAt(at) === DOT) {
    const point = at + 1;
    at = skipDigits(text, point, to);
    decimals = at - point;
  }
  if (digits + decimals === 0) return NaN;
  if (at < to && (text.charCodeAt(at) | 0x20) === LOWER_E) {
    at++;
    const expSign = text.charCodeAt(at);
    if (at < to && (expSign === PLUS || expSign === MINUS)) at++;
    const exponent = at;
    at = skipDigits(text, exponent, to);
    if (at === exponent) return NaN;
  }
  if (at !== to) return NaN;
  const value = Number(text.slice(from, to));
  return Number.isFinite(value) ? value : NaN;
}

function skipDigits(text: string, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) break;
    at++;
  }
  return at;
}

/** Moves the tags that stand in the name of `sample` to its tags. */
function takeNameTags(sample: Sample): void {
  const { name } = sample;
  const open = name.indexOf("[");
  const close = name.indexOf("]");
  if (open !== -1 && close > open) {
    sample.name = name.slice(0, open) + name.slice(close + 1);
    sample.tags = colonTags(name.slice(open + 1, close));
    return;
  }
  // One bracket alone makes the whole name a plain one, as in statsd_exporter.
  if (open !== -1 || close !== -1) return;
  const start = name.search(/[#,]/);
  sample.name = name.slice(0, start);
  sample.tags = colonTags(name.slice(start + 1));
}

/** Writes `key=value` pairs as DogStatsD does. Nothing is lost by that: no
 * colon can stand in the name of a line. */
function colonTags(pairs: string): string {
  return pairs.split(",").map((pair) => pair.replace("=", ":")).join(",");
}

/** Tags of a line, and how many of them could not be read. */
export interface Tags {
  /** Value by key, both as sent. Of a key sent twice the last value counts. */
  labels: Map<string, string>;
  /** Tags without a key, a colon or a value. */
  errors: number;
}

/** Takes the text of {@link Sample.tags} apart. An empty tag is an error,
 * except one at the very end. */
export function parseTags(text: string): Tags {
  const labels = new Map<string, string>();
  let errors = 0;
  let from = 0;
  while (from < text.length) {
    let to = text.indexOf(",", from);
    if (to === -1) to = text.length;
    const start = text.charCodeAt(from) === HASH ? from + 1 : from;
    const tag = text.slice(start, to);
    const colon = tag.indexOf(":");
    if (colon > 0 && colon < tag.length - 1) {
      labels.set(tag.slice(0, colon), tag.slice(colon + 1));
    } else {
      errors++;
    }
    from = to + 1;
  }
  return { labels, errors };
}
