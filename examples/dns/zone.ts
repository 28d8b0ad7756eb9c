/**
 * A small zone, out of a file of lines `name TTL TYPE value`:
 *
 *     # TTL in seconds; names are whole, with or without the dot at the end
 *     www.example.  300  A      192.0.2.1
 *     www.example.  300  AAAA   2001:db8::1
 *     web.example.  300  CNAME  www.example.
 *     example.      300  MX     10 mail.example.
 *     example.      300  TXT    "any text, to the end of the line"
 *
 * What it does not know does not exist.
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
  /** All of it on the wire but the name that it belongs to. */
  readonly wire: Uint8Array;
  /** The name behind a CNAME, on the wire. */
  readonly target: Uint8Array | undefined;
}

/** Most aliases on the way to an answer: a circle of them has no end. */
const MAX_ALIASES = 8;

/** Points to the name of the question, which comes right after the header. */
const QUESTION_NAME = words(0xc00c);

/** Records, and the answers they make. */
export class Zone {
  /** By {@link nameKey}; the names above those that have records are there too. */
  readonly #names = new Map<string, ZoneRecord[]>();

  /**
   * Reads a file of records.
   *
   * @throws {RangeError} If a line is not understood. The message says which and
   * is for the user.
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
    let records = this.#names.get(query.name);
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      if (records === undefined) {
        return reply(query, Rcode.NXDOMAIN, { flags, answers });
      }
      const matching = records.filter(({ type }) => type === query.type);
      answers.push(...matching.map(({ wire }) => concat(owner, wire)));
      const alias = records.find(({ target }) => target !== undefined);
      if (alias?.target === undefined || matching.length > 0) {
        return reply(query, Rcode.NOERROR, { flags, answers });
      }
      answers.push(concat(owner, alias.wire));
      owner = concat(alias.target);
      records = this.#names.get(nameKey(alias.target));
    }
    return reply(query, Rcode.SERVFAIL);
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
    if (!/^\d{1,10}$/.test(ttl) || Number(ttl) > 0x7fff_ffff) {
      throw new RangeError(
        `the TTL must be whole seconds up to 2147483647; got "${ttl}"`,
      );
    }
    const owner = readName(name);
    const { type, data } = readData(kind.toUpperCase(), value);
    const records = this.#at(owner);
    if (
      records.some((other) =>
        (other.type === Type.CNAME) || type === Type.CNAME
      )
    ) {
      throw new RangeError(
        `a name with a CNAME can have nothing else; remove one of "${name}"`,
      );
    }
    const seconds = Number(ttl);
    records.push({
      type,
      wire: concat(
        words(type, IN, seconds >>> 16, seconds & 0xffff, data.length),
        data,
      ),
      target: type === Type.CNAME ? data : undefined,
    });
  }

  /** The records of a name, which exists from now on, with all above it. */
  #at(name: Uint8Array): ZoneRecord[] {
    const key = nameKey(name);
    const records = this.#names.get(key) ?? [];
    this.#names.set(key, records);
    const label = name[0] ?? 0;
    if (label > 0) this.#at(name.subarray(1 + label));
    return records;
  }
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
    case "TXT":
      return { type: Type.TXT, data: readText(value) };
    default:
      throw new RangeError(
        `the type must be A, AAAA, CNAME, MX or TXT; got "${kind}"`,
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
    new Uint8Array(1),
  );
  if (good && wire.length <= 255) return wire;
  throw new RangeError(
    "a name must be labels of up to 63 letters, digits, - and _ with dots " +
      `between them, 253 in all; got "${text}"`,
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
  // The platform knows all the ways to write one, and gives back the shortest.
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
  const [, preference, name] = /^(\d{1,5})\s+(\S+)$/.exec(text) ?? [];
  if (name === undefined || Number(preference) > 65_535) {
    throw new RangeError(
      `the value of an MX must be a number up to 65535 and a name; got "${text}"`,
    );
  }
  return concat(words(Number(preference)), readName(name));
}

/** Strings of 255 bytes, as many as it takes. */
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
