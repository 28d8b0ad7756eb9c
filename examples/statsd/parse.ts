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
 *         / "T" [ "+" / "-" ] digits     ; time of the sample, ignored
 *         / ( "c:" / "e:" / "card:" ) text ; origin of the sample, ignored
 * value   = number                       ; a member (any text) where type is s
 * number  = [ "+" / "-" ] decimal        ; 1, 1.5, .5, 1e3; no hex, inf or nan
 * ```
 *
 * Several values in one group are for `ms`, `h` and `d` only, and a colon in
 * the value of an `s` belongs to the member. A line whose first group has more
 * than one value, or that has a `|#` section, holds that group alone, because a
 * colon may stand in a tag.
 *
 * Errors carry the reasons of statsd_exporter, and cost the sample they are
 * in; where the line cannot be taken apart, the line. A rate that is no number
 * is counted and costs nothing: the sample is taken as one that was not sampled.
 * Work is linear in the length of the packet, and nothing here throws.
 *
 * What is not as in statsd_exporter:
 *
 * - Sets, events and service checks, the origins `e:` and `card:`, and `c:` without
 *   tags, are refused there; the `c:` that it takes becomes a label.
 * - Numbers may be hexadecimal, infinite or nan there, rates negative, and names
 *   empty; a smaller rate costs more there.
 * - Here lines, names, members and tags have a longest length, and a weighted
 *   value must be finite.
 * - Here tags are read of samples that are otherwise good, and counted when they
 *   are faulty, once for each of those; a `#` before a key goes in every style.
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

/** How a series is spelled on a line: bytes of a packet, lent with it. A known
 * series is found by them, and no string has to be made of them. */
export class Spelling {
  /** The packet. */
  data: Uint8Array = new Uint8Array(0);
  /** Where the name starts, with the tags that some styles put into it. */
  nameFrom = 0;
  /** Where the name ends. */
  nameTo = 0;
  /** Where the first section of tags starts, behind its `#`. */
  tagsFrom = 0;
  /** Where the last section of tags ends; {@link tagsFrom} where there is none. */
  tagsTo = 0;
  /** A number made of the bytes of the name, for a hash table. */
  nameHash = 0;
}

/** One sample of a line. It is lent to {@link Sink.sample} for the call only:
 * the next one is written over it. */
export class Sample extends Spelling {
  /** What the sample does to its metric. */
  kind: Kind = "counter";
  /** Number as sent: milliseconds for `timing`, 0 for `set`. */
  value = 0;
  /** Whether a `gauge` is to be moved by `value`, not set to it. */
  relative = false;
  /** Share of the events the client sent, between {@link MIN_RATE} and 1. */
  rate = 1;
  /** Whether the name may hold tags. */
  styled = false;
  /** Where the member of a `set` starts. */
  memberFrom = 0;
  /** Where it ends. */
  memberTo = 0;

  /** Name as sent, without the tags some styles put into it. */
  get name(): string {
    const name = decode(this.data, this.nameFrom, this.nameTo);
    return this.styled ? splitName(name).name : name;
  }

  /** Tags as text, `key:value,key:value`, for {@link parseTags}. */
  get tags(): string {
    const tags = this.tagsTo > this.tagsFrom
      ? joinSections(decode(this.data, this.tagsFrom, this.tagsTo))
      : "";
    if (!this.styled) return tags;
    // Those in the name, should there be both, are faulty, and counted as such.
    const named = splitName(decode(this.data, this.nameFrom, this.nameTo)).tags;
    return tags === "" || named === ""
      ? named + tags
      : `${named.replace(/,$/, "")},${tags}`;
  }

  /** Member of a `set`, and empty for every other kind. */
  get member(): string {
    return this.kind === "set"
      ? decode(this.data, this.memberFrom, this.memberTo)
      : "";
  }
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

/** Longest line that is read, in bytes. */
export const MAX_LINE = 65_536;
/** Longest name, and longest member of a set, in bytes. */
export const MAX_NAME = 1_024;
/** Longest text of all the tags of a line, in bytes. */
export const MAX_TAGS = 8_192;
/** Smallest sample rate; a smaller one is read as this one, so that a sample
 * stands for a million events at most. */
export const MIN_RATE = 1e-6;

/** Most parts of a group, its value and type among them. */
const MAX_PARTS = 8;

const FEED = 0x0a;
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

const [EVENT, SERVICE_CHECK, CARD] = ["_e{", "_sc|", "card:"]
  .map((text) => new TextEncoder().encode(text)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];

/** 1, 10, 100 and so on, as many as are exact and used. */
const POWERS = Array.from({ length: 16 }, (_, i) => 10 ** i);

/** Another one in each process: nobody outside knows which names meet. */
const HASH_SEED = crypto.getRandomValues(new Int32Array(1))[0]!;

/** The prime of FNV-1a, whose bits spread well for short texts. */
export const HASH_PRIME = 0x0100_0193;

/** Reads the lines of one packet and hands what they hold to `sink`. */
export function parsePacket(data: Uint8Array, sink: Sink): void {
  let from = 0;
  while (from < data.length) {
    let to = from;
    let bits = 0;
    for (; to < data.length; to++) {
      const byte = data[to]!;
      if (byte === FEED) break;
      bits |= byte;
    }
    const end = to > from && data[to - 1] === RETURN ? to - 1 : to;
    if (end > from) {
      sink.line();
      if (end - from > MAX_LINE) {
        sink.error("line_too_long");
      } else if (bits >= 0x80 && isDamaged(data, from, end)) {
        sink.error("malformed_line");
      } else {
        parseLine(data, from, end, sink);
      }
    }
    from = to + 1;
  }
}

/** Whether bytes are no UTF-8. A client that sent U+FFFD itself gets the same
 * answer: its text was lost before it came here. */
function isDamaged(data: Uint8Array, from: number, to: number): boolean {
  return decode(data, from, to).includes(REPLACEMENT);
}

function decode(data: Uint8Array, from: number, to: number): string {
  return utf8.decode(data.subarray(from, to));
}

/** The one sample there is: to make one for each line would cost a tenth more. */
const sample = new Sample();

/** Reads the line between `from` and `end`. This and what it calls work on the
 * bytes of the packet: to make strings of them costs more than all the rest. */
function parseLine(
  data: Uint8Array,
  from: number,
  end: number,
  sink: Sink,
): void {
  if (data[from] === UNDERSCORE) {
    if (startsWith(data, from, end, EVENT)) return sink.skip("event");
    if (startsWith(data, from, end, SERVICE_CHECK)) {
      return sink.skip("service_check");
    }
  }

  let colon = from;
  let styled = false;
  let hash = HASH_SEED;
  for (; colon < end; colon++) {
    const byte = data[colon]!;
    if (byte === COLON) break;
    if (byte === HASH || byte === COMMA || byte === OPEN || byte === CLOSE) {
      styled = true;
    }
    hash = Math.imul(hash ^ byte, HASH_PRIME);
  }
  if (colon === from || colon === end) return sink.error("malformed_line");

  let bars = 0;
  let tagged = false;
  for (let at = colon + 1; at < end && !tagged; at++) {
    if (data[at] !== BAR) continue;
    bars++;
    tagged = at + 1 < end && data[at + 1] === HASH;
  }

  sample.data = data;
  sample.nameFrom = from;
  sample.nameTo = colon;
  sample.nameHash = hash;
  sample.styled = styled;
  sample.tagsFrom = sample.tagsTo = 0;
  if (styled) {
    const { name, tags } = splitName(decode(data, from, colon));
    if (name === "") return sink.error("malformed_line");
    if (tagged && parseTags(tags).labels.size > 0) {
      return sink.error("mixed_tagging_styles");
    }
    if (name.length > MAX_NAME || tags.length > MAX_TAGS) {
      return sink.error("field_too_long");
    }
  } else if (colon - from > MAX_NAME) {
    return sink.error("field_too_long");
  }
  if (bars === 0) return sink.error("not_enough_parts_after_colon");

  const bar = endOfPart(data, colon + 1, end, false);
  const packed = endOfPart(data, colon + 1, bar, true) < bar;
  const alone = tagged || packed;
  let at = parseGroup(data, colon + 1, bar, end, alone, sink);
  while (at !== -1) {
    const bar = endOfPart(data, at, end, true);
    at = parseGroup(data, at, bar, end, false, sink);
  }
}

/** Reads the group that starts at `from`, whose value ends at `bar`, and answers
 * where the next one of the line starts, or -1. One that is alone goes on to the
 * end of the line, whatever colons there are. */
function parseGroup(
  data: Uint8Array,
  from: number,
  bar: number,
  end: number,
  alone: boolean,
  sink: Sink,
): number {
  if (bar === end || data[bar] !== BAR) {
    sink.error("malformed_component");
    return bar === end ? -1 : bar + 1;
  }

  const typeEnd = endOfPart(data, bar + 1, end, !alone);
  const kind = kindOf(data, bar + 1, typeEnd);
  faults.reason = undefined;
  faults.rates = 0;
  let empty = false;
  let parts = 2;
  let at = typeEnd;
  sample.rate = 1;
  while (at < end && data[at]! === BAR) {
    const start = at + 1;
    const colons = !alone && originLength(data, start) === 0;
    at = endOfPart(data, start, end, colons);
    parts++;
    empty ||= at === start;
    if (faults.reason === undefined && !empty) readSection(data, start, at);
  }
  if (empty) {
    faults.reason = "malformed_component";
    faults.rates = 0;
  }
  faults.crowded = parts > MAX_PARTS;
  const next = at < end ? at + 1 : -1;

  const packed = endOfPart(data, from, bar, true) < bar;
  if (packed && kind !== "set" && !isObserved(kind)) {
    sink.error("invalid_extended_aggregate_type");
    return next;
  }
  sample.relative = false;
  for (let start = from; start <= bar;) {
    const to = kind === "set" ? bar : endOfPart(data, start, bar, true);
    deliver(data, start, to, kind, sink);
    start = to + 1;
  }
  return next;
}

function isObserved(kind: Kind | undefined): boolean {
  return kind === "timing" || kind === "histogram" || kind === "distribution";
}

/** What is wrong with the sections of a group. */
interface Faults {
  /** Whether there are too many. */
  crowded: boolean;
  /** How many rates are no numbers, which costs no sample. */
  rates: number;
  /** What does cost it. */
  reason: Reason | undefined;
}

/** As of the sample, there is one. */
const faults: Faults = { crowded: false, rates: 0, reason: undefined };

/** Reads the value between `from` and `to`, and hands the sample on unless that
 * or the sections are at fault. */
function deliver(
  data: Uint8Array,
  from: number,
  to: number,
  kind: Kind | undefined,
  sink: Sink,
): void {
  if (faults.crowded) return sink.error("malformed_component");
  if (kind === "set") {
    if (to === from) return sink.error("malformed_value");
    if (to - from > MAX_NAME) return sink.error("field_too_long");
    sample.memberFrom = from;
    sample.memberTo = to;
    sample.value = 0;
  } else {
    const value = readNumber(data, from, to);
    // What it stands for must be a number too: an infinite sum is so for good.
    const weighted = kind === "gauge" ? value : value / sample.rate;
    if (!Number.isFinite(weighted)) return sink.error("malformed_value");
    sample.value = value;
    if (kind === "gauge") {
      const sign = data[from]!;
      sample.relative = sign === PLUS || sign === MINUS;
    }
  }
  for (let i = 0; i < faults.rates; i++) sink.error("invalid_sample_factor");
  if (faults.reason !== undefined) return sink.error(faults.reason);
  if (kind === undefined) return sink.error("illegal_event");
  sample.kind = kind;
  sink.sample(sample);
}

function readSection(data: Uint8Array, from: number, to: number): void {
  if (data[from]! === AT) {
    const rate = readNumber(data, from + 1, to);
    if (!(rate >= 0)) faults.rates++;
    // Clients that do not sample send 0 as well as 1.
    sample.rate = rate > 0 ? Math.min(Math.max(rate, MIN_RATE), 1) : 1;
    return;
  }
  faults.reason = faultOf(data, from, to);
}

/** What is wrong with a section that is no rate. */
function faultOf(
  data: Uint8Array,
  from: number,
  to: number,
): Reason | undefined {
  switch (data[from]!) {
    case HASH: {
      if (sample.tagsTo === 0) sample.tagsFrom = from + 1;
      sample.tagsTo = to;
      return to - sample.tagsFrom > MAX_TAGS ? "field_too_long" : undefined;
    }
    case UPPER_T: {
      let at = from + 1;
      const sign = data[at]!;
      if (at < to && (sign === PLUS || sign === MINUS)) at++;
      if (at === to) return "malformed_timestamp";
      return skipDigits(data, at, to) === to
        ? undefined
        : "malformed_timestamp";
    }
    case LOWER_C:
    case LOWER_E: {
      const length = originLength(data, from);
      if (length > 0 && from + length < to) return undefined;
      return data[from]! === LOWER_C
        ? "malformed_container_id"
        : "invalid_sample_factor";
    }
    default:
      return "invalid_sample_factor";
  }
}

/** Length of the key of an origin section at `from`, or 0. */
function originLength(data: Uint8Array, from: number): number {
  const code = data[from]!;
  if (code !== LOWER_C && code !== LOWER_E) return 0;
  if (data[from + 1]! === COLON) return 2;
  return startsWith(data, from, data.length, CARD) ? 5 : 0;
}

function kindOf(data: Uint8Array, from: number, to: number): Kind | undefined {
  const code = data[from]!;
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
    to - from === 2 && code === LOWER_M && data[from + 1]! === LOWER_S
  ) {
    return "timing";
  }
  return undefined;
}

/** Where the part that starts at `from` ends: at the next bar, at the next
 * colon where `colons` says that one ends it, or at `end`. */
function endOfPart(
  data: Uint8Array,
  from: number,
  end: number,
  colons: boolean,
): number {
  let at = from;
  for (; at < end; at++) {
    const code = data[at]!;
    if (code === BAR || (colons && code === COLON)) break;
  }
  return at;
}

/** Reads a finite decimal number, or answers NaN. */
function readNumber(data: Uint8Array, from: number, to: number): number {
  const sign = data[from];
  const signed = sign === PLUS || sign === MINUS;
  const start = signed ? from + 1 : from;
  let digits = 0;
  let point = -1;
  let at = start;
  for (; at < to; at++) {
    const digit = data[at]! - ZERO;
    if (digit >= 0 && digit <= 9) digits = digits * 10 + digit;
    else if (digit === DOT - ZERO && point === -1) point = at;
    else break;
  }
  const count = at - start - (point === -1 ? 0 : 1);
  if (count === 0) return NaN;
  // Fifteen digits are the most that `digits` always holds exactly, and so are
  // all the powers used: the one division is rounded as it should be.
  if (at === to && count <= 15) {
    const value = point === -1 ? digits : digits / POWERS[to - point - 1]!;
    return sign === MINUS ? -value : value;
  }

  if (at < to && (data[at]! | 0x20) === LOWER_E) {
    at++;
    const expSign = data[at];
    if (at < to && (expSign === PLUS || expSign === MINUS)) at++;
    const exponent = at;
    at = skipDigits(data, exponent, to);
    if (at === exponent) return NaN;
  }
  if (at !== to) return NaN;
  const value = Number(decode(data, from, to));
  return Number.isFinite(value) ? value : NaN;
}

function skipDigits(data: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const digit = data[at]! - ZERO;
    if (digit < 0 || digit > 9) break;
    at++;
  }
  return at;
}

/** Takes the tags out of a name. */
function splitName(text: string): { name: string; tags: string } {
  const open = text.indexOf("[");
  const close = text.indexOf("]");
  if (open !== -1 && close > open) {
    return {
      name: text.slice(0, open) + text.slice(close + 1),
      tags: colonTags(text.slice(open + 1, close)),
    };
  }
  // One bracket alone makes the whole name a plain one, and is one faulty tag.
  if (open !== -1 || close !== -1) return { name: text, tags: "[" };
  const start = text.search(/[#,]/);
  return {
    name: text.slice(0, start),
    tags: colonTags(text.slice(start + 1)),
  };
}

/** What lies between the first and the last section of tags, as one. */
function joinSections(text: string): string {
  if (!text.includes("|")) return text;
  return `#${text}`.split("|")
    .filter((section) => section.startsWith("#"))
    .map((section) => section.slice(1))
    .filter((tags) => tags !== "")
    .join(",");
}

function startsWith(
  data: Uint8Array,
  from: number,
  end: number,
  start: Uint8Array,
): boolean {
  if (end - from < start.length) return false;
  for (let i = 0; i < start.length; i++) {
    if (data[from + i] !== start[i]) return false;
  }
  return true;
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
      const key = tag.slice(0, colon);
      // The last one counts, of keys that become the same label too.
      labels.delete(key);
      labels.set(key, tag.slice(colon + 1));
    } else {
      errors++;
    }
    from = to + 1;
  }
  return { labels, errors };
}
