/**
 * A small zone, read from a file with a record on each line:
 *
 *     # name        TTL  TYPE   value; a final dot is optional
 *     example.      3600 SOA    ns.example. admin.example. 1 3600 600 86400 300
 *     example.      300  MX     10 mail.example.
 *     example.      300  TXT    "any text, to the end of the line"
 *     www.example.  300  A      192.0.2.1
 *     www.example.  300  AAAA   2001:db8::1
 *     web.example.  300  CNAME  www.example.
 *
 * The zone covers every name: those without a record do not exist.
 *
 * @module
 */

import {
  concat,
  Flag,
  IN,
  nameKey,
  type Query,
  Rcode,
  reply,
  Type,
  words,
} from "./wire.ts";

interface ZoneRecord {
  readonly type: number;
  /** TTL in seconds. */
  readonly ttl: number;
  /** Data on the wire. */
  readonly data: Uint8Array;
}

/** Longest chain of aliases that is followed; a loop has no end. */
const MAX_ALIASES = 8;

/** A pointer to the name in the question, right after the header. */
const QUESTION_NAME = words(0xc00c);

const ROOT = Uint8Array.of(0);

/**
 * The SOA record for names without one in the file. Clients keep "no such record"
 * for a minute, the last of its numbers.
 */
const DEFAULT_SOA: ZoneRecord = {
  type: Type.SOA,
  ttl: 60,
  data: readSoa("localhost. nobody.invalid. 1 3600 600 86400 60"),
};

/** Records, and the answers made from them. */
export class Zone {
  /** By {@link nameKey}. Every ancestor of a name with records is there, too. */
  readonly #names = new Map<string, ZoneRecord[]>();

  /**
   * Reads a file of records.
   *
   * @throws {RangeError} If a line is malformed. The message names the line and is
   * meant for the user.
   */
  static parse(text: string): Zone {
    const zone = new Zone();
    for (const [i, line] of text.split(/\r?\n/).entries()) {
      try {
        if (!/^\s*([#;]|$)/.test(line)) zone.#add(line.trim());
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new RangeError(`line ${i + 1}: ${error.message}`);
      }
    }
    return zone;
  }

  /** The answer to a query without a fault. */
  answer(query: Query): Uint8Array {
    const flags = Flag.authoritative;
    if (query.class !== IN || query.type === Type.ANY) {
      return reply(query, Rcode.REFUSED);
    }
    const answers: Uint8Array[] = [];
    let owner = QUESTION_NAME;
    let name = query.name;
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      const records = this.#names.get(name);
      const matching = records?.filter(({ type }) => type === query.type) ?? [];
      answers.push(...matching.map((record) => onWire(owner, record)));
      if (matching.length > 0) {
        return reply(query, Rcode.NOERROR, { flags, answers });
      }
      const alias = records?.find(({ type }) => type === Type.CNAME);
      if (alias === undefined) {
        const rcode = records === undefined ? Rcode.NXDOMAIN : Rcode.NOERROR;
        const authority = [this.#negativeSoa(name)];
        return reply(query, rcode, { flags, answers, authority });
      }
      answers.push(onWire(owner, alias));
      owner = concat(alias.data);
      name = nameKey(alias.data);
    }
    return reply(query, Rcode.SERVFAIL);
  }

  /**
   * The SOA record that goes with "no such name" and "no such record": that of the
   * nearest ancestor. Its TTL says how long clients may keep the answer, which is
   * its own or the minimum in its data, whichever is shorter (RFC 2308).
   */
  #negativeSoa(name: string): Uint8Array {
    let at = name;
    let soa = soaOf(this.#names.get(at));
    while (soa === undefined && at.length > 1) {
      at = at.slice(1 + at.charCodeAt(0));
      soa = soaOf(this.#names.get(at));
    }
    const { type, ttl, data } = soa ?? DEFAULT_SOA;
    const minimum = new DataView(data.buffer).getUint32(data.length - 4);
    const owner = Uint8Array.from(at, (char) => char.charCodeAt(0));
    return onWire(owner, { type, ttl: Math.min(ttl, minimum), data });
  }

  #add(line: string): void {
    const [, name, ttl, kind, value] =
      /^(\S+)\s+(\S+)\s+(\S+)\s+(\S.*)$/.exec(line) ?? [];
    if (
      name === undefined || ttl === undefined || kind === undefined ||
      value === undefined
    ) {
      throw new RangeError(`must be: name TTL TYPE value; got "${line}"`);
    }
    const owner = readName(name);
    const seconds = readNumber("the TTL", ttl, 0x7fff_ffff);
    const { type, data } = readData(kind.toUpperCase(), value);
    const records = this.#at(owner);
    const types = [type, ...records.map(({ type }) => type)];
    if (types.includes(Type.CNAME) && types.length > 1) {
      throw new RangeError(
        `a name with a CNAME can have nothing else; remove one of "${name}"`,
      );
    }
    if (type === Type.SOA && soaOf(records) !== undefined) {
      throw new RangeError(
        `a name can have one SOA; remove one of "${name}"`,
      );
    }
    records.push({ type, ttl: seconds, data });
  }

  /** The records of a name. From now on the name exists, and so do its ancestors. */
  #at(name: Uint8Array): ZoneRecord[] {
    const key = nameKey(name);
    const records = this.#names.get(key) ?? [];
    this.#names.set(key, records);
    const label = name[0] ?? 0;
    if (label > 0) this.#at(name.subarray(1 + label));
    return records;
  }
}

function soaOf(records: ZoneRecord[] | undefined): ZoneRecord | undefined {
  return records?.find(({ type }) => type === Type.SOA);
}

function onWire(
  owner: Uint8Array,
  { type, ttl, data }: ZoneRecord,
): Uint8Array {
  return concat(owner, words(type, IN, ...words32(ttl), data.length), data);
}

/** The two halves of a 32-bit number. */
function words32(value: number): [number, number] {
  return [value >>> 16, value & 0xffff];
}

function readData(
  kind: string,
  value: string,
): { type: number; data: Uint8Array } {
  switch (kind) {
    case "A":
      return { type: Type.A, data: readIpv4(value) };
    case "AAAA":
      return { type: Type.AAAA, data: readIpv6(value) };
    case "CNAME":
      return { type: Type.CNAME, data: readName(value) };
    case "MX":
      return { type: Type.MX, data: readMx(value) };
    case "SOA":
      return { type: Type.SOA, data: readSoa(value) };
    case "TXT":
      return { type: Type.TXT, data: readText(value) };
    default:
      throw new RangeError(
        `the type must be A, AAAA, CNAME, MX, SOA or TXT; got "${kind}"`,
      );
  }
}

function readName(text: string): Uint8Array {
  const labels = text === "." ? [] : text.replace(/\.$/, "").split(".");
  const good = labels.every((label) => /^[\w-]{1,63}$/.test(label));
  const wire = concat(
    ...labels.map((label) =>
      concat(Uint8Array.of(label.length), new TextEncoder().encode(label))
    ),
    ROOT,
  );
  if (good && wire.length <= 255) return wire;
  throw new RangeError(
    "a name must be labels of up to 63 letters, digits, - and _ with dots " +
      `between them, 253 characters at most; got "${text}"`,
  );
}

function readNumber(what: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value <= max) return value;
  throw new RangeError(
    `${what} must be a whole number up to ${max}; got "${text}"`,
  );
}

function readIpv4(text: string): Uint8Array {
  const parts = text.split(".");
  const good = parts.length === 4 &&
    parts.every((part) =>
      /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256
    );
  if (good) return Uint8Array.from(parts, Number);
  throw new RangeError(
    `the value of an A must be an address such as 192.0.2.1; got "${text}"`,
  );
}

function readIpv6(text: string): Uint8Array {
  // The URL parser accepts every notation and returns the shortest.
  const host = /^[\da-f:.]+$/i.test(text) && URL.parse(`http://[${text}]`);
  if (!host) {
    throw new RangeError(
      `the value of an AAAA must be an address such as 2001:db8::1; got "${text}"`,
    );
  }
  const [left = "", right] = host.hostname.slice(1, -1).split("::");
  const groups = (side = "") => side === "" ? [] : side.split(":");
  const head = groups(left);
  const tail = groups(right);
  const zeros = Array(8 - head.length - tail.length).fill("0");
  return words(
    ...[...head, ...zeros, ...tail].map((group) => parseInt(group, 16)),
  );
}

function readMx(text: string): Uint8Array {
  const [preference, name, ...rest] = text.split(/\s+/);
  if (preference === undefined || name === undefined || rest.length > 0) {
    throw new RangeError(
      `the value of an MX must be a preference and a name; got "${text}"`,
    );
  }
  const number = readNumber("the preference of an MX", preference, 0xffff);
  return concat(words(number), readName(name));
}

function readSoa(text: string): Uint8Array {
  const [server, mailbox, ...numbers] = text.split(/\s+/);
  if (server === undefined || mailbox === undefined || numbers.length !== 5) {
    throw new RangeError(
      "the value of an SOA must be two names and five numbers: serial, " +
        `refresh, retry, expire and minimum; got "${text}"`,
    );
  }
  return concat(
    readName(server),
    readName(mailbox),
    ...numbers.map((number) =>
      words(...words32(readNumber("a number of an SOA", number, 0xffff_ffff)))
    ),
  );
}

/** Strings of up to 255 bytes, as many as the text needs. */
function readText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text.replace(/^"(.*)"$/, "$1"));
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Uint8Array.of(part.length), part);
  }
  const data = concat(...parts);
  if (data.length <= 16_384) return data;
  throw new RangeError("the value of a TXT must be 16 kB at most");
}
