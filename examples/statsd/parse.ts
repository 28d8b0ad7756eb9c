/**
 * Parses StatsD packets: the lines of etsy's StatsD, the additions of DogStatsD,
 * and the three ways of writing tags into the name that statsd_exporter reads.
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
 * value   = number                       ; a member (any text) if type is "s"
 * number  = [ "+" / "-" ] decimal        ; 1, 1.5, .5, 1e3; no hex, inf or nan
 * ```
 *
 * Several values in one group are for `ms`, `h` and `d` only, and a colon in
 * the value of an `s` belongs to the member. A line whose first group has more
 * than one value, or that has a `|#` section, holds that group alone, because a
 * tag may contain colons.
 *
 * Each tag style can be switched off. Its marks are then ordinary characters of
 * the name, and a `|#` section is read and ignored.
 *
 * Errors carry the reasons of statsd_exporter. An error costs its sample, or the
 * whole line if the line cannot be split into groups. A malformed rate is counted
 * and costs nothing: the sample is taken as one that was not sampled. Parsing
 * takes time linear in the length of the packet and never throws.
 *
 * Differences from statsd_exporter:
 *
 * - It refuses sets, events, service checks, the origins `e:` and `card:`, and `c:`
 *   without tags. It makes a label of the `c:` that it accepts.
 * - It accepts hexadecimal, infinite and NaN numbers, negative rates and empty
 *   names, and a smaller rate costs it more.
 * - Here lines, names, members and tags have a maximum length, and a weighted
 *   value must be finite.
 * - Here tags are read only for samples that are otherwise good, and tag errors
 *   are counted once per sample. A `#` before a key is accepted in every style.
 * - Here a `|#` section beside tags in the name is no error while DogStatsD tags
 *   are switched off.
 *
 * @module
 */

/** Type of a sample: the type of its line, spelled out. */
export type Kind =
  | "counter"
  | "gauge"
  | "timing"
  | "histogram"
  | "distribution"
  | "set";

/** Ways of writing tags, each named after the system that introduced it. */
export const TAG_STYLES = [
  "dogstatsd",
  "influxdb",
  "librato",
  "signalfx",
] as const;

/** One way of writing tags. */
export type TagStyle = typeof TAG_STYLES[number];

/** Set of tag styles, compiled for the parser; see {@link tagSyntax}. */
export interface TagSyntax {
  /** True for `name:1|c|#key:value`. */
  readonly dogstatsd: boolean;
  /** True for `name,key=value:1|c`. */
  readonly influxdb: boolean;
  /** True for `name#key=value:1|c`. */
  readonly librato: boolean;
  /** True for `na[key=value]me:1|c`. */
  readonly signalfx: boolean;
  /** By byte: 1 if the byte may begin or end tags in a name. */
  readonly marks: Uint8Array;
}

/** Compiles the styles that a parser reads. */
export function tagSyntax(styles: Iterable<TagStyle>): TagSyntax {
  const enabled = new Set(styles);
  const marks = new Uint8Array(256);
  if (enabled.has("influxdb")) marks[COMMA] = 1;
  if (enabled.has("librato")) marks[HASH] = 1;
  if (enabled.has("signalfx")) marks[OPEN] = marks[CLOSE] = 1;
  return {
    dogstatsd: enabled.has("dogstatsd"),
    influxdb: enabled.has("influxdb"),
    librato: enabled.has("librato"),
    signalfx: enabled.has("signalfx"),
    marks,
  };
}

/** Spelling of a series on a line: bytes of a packet, lent with it. A known
 * series is found by these bytes, without making a string of them. */
export class Spelling {
  /** The packet. */
  data: Uint8Array = new Uint8Array(0);
  /** Start of the name, including tags that some styles put into it. */
  nameFrom = 0;
  /** End of the name. */
  nameTo = 0;
  /** Start of the first section of tags, after its `#`. */
  tagsFrom = 0;
  /** End of the last section of tags; {@link tagsFrom} if there is none. */
  tagsTo = 0;
  /** Hash of the bytes of the name, seeded per process. */
  nameHash = 0;
}

/** One sample of a line. It is lent to {@link Sink.sample} for the call only: the
 * next sample overwrites it. */
export class Sample extends Spelling {
  /** Type of the sample. */
  kind: Kind = "counter";
  /** Number as sent: milliseconds for `timing`, 0 for `set`. */
  value = 0;
  /** True if a `gauge` moves by `value` instead of being set to it. */
  relative = false;
  /** Share of the events that the client sent, from {@link MIN_RATE} to 1. */
  rate = 1;
  /** True if the name may contain tags. */
  styled = false;
  /** Tag styles that the parser reads. */
  syntax: TagSyntax = EVERY_STYLE;
  /** Start of the member of a `set`. */
  memberFrom = 0;
  /** End of the member of a `set`. */
  memberTo = 0;

  /** Name as sent, without the tags that some styles put into it. */
  get name(): string {
    const name = decode(this.data, this.nameFrom, this.nameTo);
    return this.styled ? splitName(name, this.syntax).name : name;
  }

  /** Tags as text, `key:value,key:value`, for {@link parseTags}. */
  get tags(): string {
    const tags = this.tagsTo > this.tagsFrom
      ? joinSections(decode(this.data, this.tagsFrom, this.tagsTo))
      : "";
    if (!this.styled) return tags;
    // If there are both, those in the name are faulty and counted as such.
    const name = decode(this.data, this.nameFrom, this.nameTo);
    const named = splitName(name, this.syntax).tags;
    return tags === "" || named === ""
      ? named + tags
      : `${named.replace(/,$/, "")},${tags}`;
  }

  /** Member of a `set`; empty for every other kind. */
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

/** Reason for not taking a line, or one sample of it. */
export type Reason = typeof REASONS[number];

/** Lines of DogStatsD that are not metrics. */
export type Skipped = "event" | "service_check";

/** Receives what {@link parsePacket} finds, in the order of the packet. */
export interface Sink {
  /** Called once for each line that is not empty, before the calls about that
   * line. `data` between `from` and `to` is lent until the next line begins. */
  line(data: Uint8Array, from: number, to: number): void;
  /** Called once for each good sample, which is lent for the call. */
  sample(sample: Sample): void;
  /** Called once for each bad line, or bad sample of a line. */
  error(reason: Reason): void;
  /** Called once for each line that is neither a metric nor an error. */
  skip(what: Skipped): void;
}

/** Maximum length of a line, in bytes. */
export const MAX_LINE = 65_536;
/** Maximum length of a name, and of a member of a set, in bytes. */
export const MAX_NAME = 1_024;
/** Maximum length of all tags of a line together, in bytes. */
export const MAX_TAGS = 8_192;
/** Smallest sample rate. A smaller one is read as this one, so a sample stands for
 * at most a million events. */
export const MIN_RATE = 1e-6;

/** Maximum number of parts in a group, including its value and type. */
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

/** Powers of ten from 10^0 to 10^15, all exact. */
const POWERS = Array.from({ length: 16 }, (_, i) => 10 ** i);

/** Random per process, so that clients cannot choose names that collide. */
const HASH_SEED = crypto.getRandomValues(new Int32Array(1))[0]!;

/** Prime of FNV-1a, which spreads the bits of short texts well. */
export const HASH_PRIME = 0x0100_0193;

/** Every tag style at once; the default. */
export const EVERY_STYLE: TagSyntax = tagSyntax(TAG_STYLES);

/** Parses the lines of one packet and hands their samples to `sink`. */
export function parsePacket(
  data: Uint8Array,
  sink: Sink,
  syntax: TagSyntax = EVERY_STYLE,
): void {
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
      sink.line(data, from, end);
      if (end - from > MAX_LINE) {
        sink.error("line_too_long");
      } else if (bits >= 0x80 && isDamaged(data, from, end)) {
        sink.error("malformed_line");
      } else {
        parseLine(data, from, end, sink, syntax);
      }
    }
    from = to + 1;
  }
}

/** Tells whether bytes are not UTF-8. A client that sends U+FFFD itself gets the
 * same answer: its text was damaged before it was sent. */
function isDamaged(data: Uint8Array, from: number, to: number): boolean {
  return decode(data, from, to).includes(REPLACEMENT);
}

function decode(data: Uint8Array, from: number, to: number): string {
  return utf8.decode(data.subarray(from, to));
}

/** The only sample: allocating one per line would cost 10 % more CPU. */
const sample = new Sample();

/** Parses the line between `from` and `end`. This function and its callees work on
 * bytes: making strings of them would cost more than everything else. */
function parseLine(
  data: Uint8Array,
  from: number,
  end: number,
  sink: Sink,
  syntax: TagSyntax,
): void {
  if (data[from] === UNDERSCORE) {
    if (startsWith(data, from, end, EVENT)) return sink.skip("event");
    if (startsWith(data, from, end, SERVICE_CHECK)) {
      return sink.skip("service_check");
    }
  }

  const { marks } = syntax;
  let colon = from;
  let marked = 0;
  let hash = HASH_SEED;
  for (; colon < end; colon++) {
    const byte = data[colon]!;
    if (byte === COLON) break;
    marked |= marks[byte]!;
    hash = Math.imul(hash ^ byte, HASH_PRIME);
  }
  if (colon === from || colon === end) return sink.error("malformed_line");

  let barred = false;
  let tagged = false;
  for (let at = colon + 1; at < end && !tagged; at++) {
    if (data[at] !== BAR) continue;
    barred = true;
    // At the end of the line is a line feed, if anything.
    tagged = data[at + 1] === HASH;
  }

  sample.data = data;
  sample.nameFrom = from;
  sample.nameTo = colon;
  sample.nameHash = hash;
  sample.styled = marked !== 0;
  sample.syntax = syntax;
  sample.tagsFrom = sample.tagsTo = 0;
  if (sample.styled) {
    const { name, tags } = splitName(decode(data, from, colon), syntax);
    if (name === "") return sink.error("malformed_line");
    if (tagged && syntax.dogstatsd && parseTags(tags).labels.size > 0) {
      return sink.error("mixed_tagging_styles");
    }
    if (name.length > MAX_NAME || tags.length > MAX_TAGS) {
      return sink.error("field_too_long");
    }
  } else if (colon - from > MAX_NAME) {
    return sink.error("field_too_long");
  }
  if (!barred) return sink.error("not_enough_parts_after_colon");

  const bar = endOfPart(data, colon + 1, end, false);
  const packed = endOfPart(data, colon + 1, bar, true) < bar;
  const alone = tagged || packed;
  let at = parseGroup(data, colon + 1, bar, end, alone, sink);
  while (at !== -1) {
    const bar = endOfPart(data, at, end, true);
    at = parseGroup(data, at, bar, end, false, sink);
  }
}

/** Parses the group that starts at `from` and whose value ends at `bar`. Returns
 * the start of the next group of the line, or -1. A group that is `alone` extends
 * to the end of the line and may contain colons. */
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

/** Faults in the sections of a group. */
interface Faults {
  /** True if there are too many sections. */
  crowded: boolean;
  /** Number of malformed rates, which cost no sample. */
  rates: number;
  /** The fault that costs the sample. */
  reason: Reason | undefined;
}

/** The only one, for the same reason as {@link sample}. */
const faults: Faults = { crowded: false, rates: 0, reason: undefined };

/** Reads the value between `from` and `to` and hands the sample on, unless the
 * value or a section is malformed. */
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
    // The weighted value must be finite too: a sum never recovers from infinity.
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

/** Returns the fault of a section that is not a rate. */
function faultOf(
  data: Uint8Array,
  from: number,
  to: number,
): Reason | undefined {
  switch (data[from]!) {
    case HASH: {
      if (!sample.syntax.dogstatsd) return undefined;
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

/** Returns the length of the key of an origin section at `from`, or 0. */
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

/** Returns the end of the part that starts at `from`: the next bar, the next colon
 * if `colons` is true, or `end`. */
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

/** Reads a finite decimal number; NaN if there is none. */
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
  // Up to 15 digits, `digits` and the power are exact, so the only rounding is that
  // of the division, which is correct.
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
function splitName(
  text: string,
  { signalfx, influxdb, librato }: TagSyntax,
): { name: string; tags: string } {
  const open = signalfx ? text.indexOf("[") : -1;
  const close = signalfx ? text.indexOf("]") : -1;
  if (open !== -1 && close > open) {
    return {
      name: text.slice(0, open) + text.slice(close + 1),
      tags: colonTags(text.slice(open + 1, close)),
    };
  }
  // A lone bracket leaves the name whole and is one tag error.
  if (open !== -1 || close !== -1) return { name: text, tags: "[" };
  const ends = [
    influxdb ? text.indexOf(",") : -1,
    librato ? text.indexOf("#") : -1,
  ]
    .filter((at) => at !== -1);
  const start = Math.min(...ends);
  return {
    name: text.slice(0, start),
    tags: colonTags(text.slice(start + 1)),
  };
}

/** Joins the sections of tags, from the first to the last. */
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

/** Writes `key=value` pairs as DogStatsD does. This is lossless, since the name of
 * a line contains no colon. */
function colonTags(pairs: string): string {
  return pairs.split(",").map((pair) => pair.replace("=", ":")).join(",");
}

/** Tags of a line. */
export interface Tags {
  /** Value by key, both as sent. The last value counts if a key is sent twice. */
  labels: Map<string, string>;
  /** Number of tags without a key, a colon or a value. */
  errors: number;
  /** The first of these tags. */
  firstError: string | undefined;
}

/** Parses the text of {@link Sample.tags}. An empty tag is an error, except at the
 * very end. */
export function parseTags(text: string): Tags {
  const labels = new Map<string, string>();
  let errors = 0;
  let firstError: string | undefined;
  let from = 0;
  while (from < text.length) {
    let to = text.indexOf(",", from);
    if (to === -1) to = text.length;
    const start = text.charCodeAt(from) === HASH ? from + 1 : from;
    const tag = text.slice(start, to);
    const colon = tag.indexOf(":");
    if (colon > 0 && colon < tag.length - 1) {
      const key = tag.slice(0, colon);
      // The last one counts, also among keys that become the same label.
      labels.delete(key);
      labels.set(key, tag.slice(colon + 1));
    } else {
      errors++;
      firstError ??= tag;
    }
    from = to + 1;
  }
  return { labels, errors, firstError };
}
