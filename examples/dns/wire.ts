/**
 * DNS messages on the wire: RFC 1035, and EDNS (RFC 6891). No sequence of bytes
 * makes these functions throw.
 *
 * @module
 */

/** Response codes. Those above 15 need an OPT record. */
export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Record types that the code knows by name. */
export const Type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** The Internet class. */
export const IN = 1;

/** Bits of the second word of a header. */
export const Flag = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const;

/** Largest message in bytes: TCP announces the length in two bytes. */
export const MAX_MESSAGE = 65_535;
/** Limit of a UDP reply in bytes for clients without EDNS. */
const MIN_UDP = 512;
/** Limit of a UDP reply in bytes for every client. */
const MAX_UDP = 4_096;

const HEADER = 12;
const MAX_NAME = 255;
const MAX_LABEL = 63;
const POINTER = 0xc0;
const OPCODE = 0x7800;
const RCODE = 0x000f;
const DNSSEC_OK = 0x8000;
/** Type and class, after the name of a question. */
const QUESTION_TAIL = 4;
/** Type, class, TTL and data length, after the name of a record. */
const RECORD_TAIL = 10;

/** The OPT record of a message. */
export interface Edns {
  /** Largest UDP message that the sender takes, in bytes. */
  readonly udpSize: number;
  readonly version: number;
  /** The DO bit: the client wants DNSSEC records. */
  readonly dnssecOk: boolean;
  /** Upper eight bits of the rcode; 0 in a query. */
  readonly extendedRcode: number;
}

/** A message that deserves a reply. */
export interface Query {
  readonly id: number;
  readonly flags: number;
  /** The rcode of the reply if the query cannot be resolved. */
  readonly fault: number | undefined;
  /** The question section as it was sent; empty if it is unreadable. */
  readonly question: Uint8Array;
  /** The name in the question, in the form that {@link nameKey} gives. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The OPT record. A reply has one exactly if the query has one. */
  readonly edns: Edns | undefined;
  /** Limit of a UDP reply in bytes. */
  readonly udpSize: number;
  /**
   * The message to send upstream. EDNS options (cookies, padding) are left out:
   * they concern one hop only.
   */
  readonly forwarded: Uint8Array;
}

/**
 * Reads a query and copies what it keeps. Returns undefined for messages that
 * must not get a reply: those that end before the bit that tells queries from
 * replies, and replies, because two servers might answer each other forever.
 */
export function readQuery(message: Uint8Array): Query | undefined {
  if (message.length < 3) return undefined;
  const flags = word(message, 2);
  if ((flags & Flag.response) !== 0) return undefined;
  const copy = message.slice();
  const { opt, wellFormed } = survey(copy);
  const bare: Query = {
    id: word(copy, 0),
    flags,
    fault: Rcode.FORMERR,
    question: copy.subarray(0, 0),
    name: "",
    type: 0,
    class: 0,
    edns: opt,
    udpSize: Math.min(Math.max(opt?.udpSize ?? 0, MIN_UDP), MAX_UDP),
    forwarded: copy,
  };
  if (copy.length < HEADER) return bare;
  if ((flags & OPCODE) !== 0) return { ...bare, fault: Rcode.NOTIMP };
  const question = questionOf(copy);
  if (question === undefined) return bare;
  const tail = question.length - QUESTION_TAIL;
  const asked: Query = {
    ...bare,
    question,
    name: nameKey(question.subarray(0, tail)),
    type: word(question, tail),
    class: word(question, tail + 2),
  };
  if (!wellFormed) return asked;
  return {
    ...asked,
    fault: opt !== undefined && opt.version > 0
      ? Rcode.BADVERS
      // The answer to a transfer may take many messages.
      : asked.type === Type.AXFR || asked.type === Type.IXFR
      ? Rcode.REFUSED
      : undefined,
    forwarded: withoutOptions(copy, HEADER + question.length),
  };
}

/** The question of a message that has exactly one. */
function questionOf(message: Uint8Array): Uint8Array | undefined {
  if (message.length < HEADER || word(message, 4) !== 1) return undefined;
  // No pointers: nothing precedes the first name but the header.
  const end = skipName(message, HEADER, false) + QUESTION_TAIL;
  return end < HEADER || end > message.length
    ? undefined
    : message.subarray(HEADER, end);
}

/** The part of a message after its header, as far as it is readable. */
interface Survey {
  /** The first OPT record, even if the message is malformed. */
  readonly opt: Edns | undefined;
  /** The records end with the message, and OPT is in its place. */
  readonly wellFormed: boolean;
}

function survey(message: Uint8Array): Survey {
  const beforeOpt = word(message, 6) + word(message, 8);
  const count = beforeOpt + word(message, 10);
  let opt: Edns | undefined;
  let wellFormed = true;
  let at = skipQuestions(message);
  for (let i = 0; i < count; i++) {
    const tail = at === -1 ? -1 : skipName(message, at, true);
    if (tail === -1 || tail + RECORD_TAIL > message.length) {
      return { opt, wellFormed: false };
    }
    if (word(message, tail) === Type.OPT) {
      const root = tail === at + 1;
      if (opt !== undefined || !root || i < beforeOpt) wellFormed = false;
      opt ??= {
        udpSize: word(message, tail + 2),
        version: message[tail + 5] ?? 0,
        dnssecOk: (word(message, tail + 6) & DNSSEC_OK) !== 0,
        extendedRcode: message[tail + 4] ?? 0,
      };
    }
    at = tail + RECORD_TAIL + word(message, tail + 8);
  }
  return { opt, wellFormed: wellFormed && at === message.length };
}

/** The end of the question section, or -1 if it is unreadable. */
function skipQuestions(message: Uint8Array): number {
  if (message.length < HEADER) return -1;
  let at = HEADER;
  for (let i = word(message, 4); i > 0; i--) {
    const tail = skipName(message, at, true);
    if (tail === -1 || tail + QUESTION_TAIL > message.length) return -1;
    at = tail + QUESTION_TAIL;
  }
  return at;
}

/**
 * A well-formed message without the options of its OPT record. A message with
 * other records stays as it is: a signature (TSIG) covers all of it.
 */
function withoutOptions(message: Uint8Array, from: number): Uint8Array {
  const optOnly = word(message, 6) + word(message, 8) === 0 &&
    word(message, 10) === 1 && word(message, from + 1) === Type.OPT;
  return optOnly
    ? concat(message.subarray(0, from + RECORD_TAIL - 1), words(0))
    : message;
}

/**
 * The end of the name at `from`, or -1 if it is malformed. Pointers are not
 * followed, so they cannot form a loop.
 */
function skipName(data: Uint8Array, from: number, pointers: boolean): number {
  let at = from;
  while (at - from < MAX_NAME) {
    const length = data[at];
    if (length === undefined) return -1;
    if (length === 0) return at + 1;
    if (length >= POINTER) {
      return pointers && at + 2 <= data.length ? at + 2 : -1;
    }
    if (length > MAX_LABEL) return -1;
    at += 1 + length;
  }
  return -1;
}

/** A name on the wire as a map key: equal names in any case have equal keys. */
export function nameKey(name: Uint8Array): string {
  // Length bytes are below "A", so they stay as they are.
  return String.fromCharCode(...name)
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Optional parts of a reply. */
export interface ReplyOptions {
  /** Bits of {@link Flag} to set; none by default. */
  readonly flags?: number;
  /** Records of the answer section; none by default. */
  readonly answers?: readonly Uint8Array[];
  /** Records of the authority section; none by default. */
  readonly authority?: readonly Uint8Array[];
}

/** A reply made here, with an OPT record if the query has one. */
export function reply(
  query: Query,
  rcode: number,
  options: ReplyOptions = {},
): Uint8Array<ArrayBuffer> {
  const { flags = 0, answers = [], authority = [] } = options;
  const { edns } = query;
  const kept = OPCODE | Flag.recursionDesired | Flag.checkingDisabled;
  const header = words(
    query.id,
    Flag.response | (query.flags & kept) | flags | (rcode & RCODE),
    query.question.length > 0 ? 1 : 0,
    answers.length,
    authority.length,
    edns === undefined ? 0 : 1,
  );
  const records = [...answers, ...authority];
  if (edns !== undefined) {
    const flags = edns.dnssecOk ? DNSSEC_OK : 0;
    const opt = words(Type.OPT, MAX_UDP, rcode >> 4 << 8, flags, 0);
    records.push(concat(Uint8Array.of(0), opt));
  }
  return concat(header, query.question, ...records);
}

/**
 * Cuts `answer` to `limit` bytes. A cut reply has the question alone and the TC
 * bit, which makes the client ask again over TCP.
 */
export function fit(
  query: Query,
  answer: Uint8Array,
  limit: number,
): Uint8Array {
  if (answer.length <= limit) return answer;
  const cut = reply(query, Rcode.NOERROR);
  cut.set(words(word(answer, 2) | Flag.truncated), 2);
  return cut;
}

/** Rcodes that servers send without repeating the question. */
const bareErrors: readonly number[] = [
  Rcode.FORMERR,
  Rcode.SERVFAIL,
  Rcode.NOTIMP,
  Rcode.REFUSED,
];

/**
 * Turns the upstream's `message` into the reply for the client. Returns undefined
 * if it does not answer `query`, which was sent upstream with `id`.
 *
 * An error without a question gets the question back, since resolvers such as
 * Go's drop replies without it. It gets no OPT record that it did not have: the
 * absence tells the client that the upstream does not know EDNS.
 */
export function relay(
  message: Uint8Array,
  id: number,
  query: Query,
): Uint8Array | undefined {
  const flags = word(message, 2);
  const isReply = message.length >= HEADER && word(message, 0) === id &&
    (flags & Flag.response) !== 0 && (flags & OPCODE) === 0;
  if (!isReply) return undefined;
  const rcode = flags & RCODE;
  if (word(message, 4) === 0 && bareErrors.includes(rcode)) {
    const edns = survey(message).opt && query.edns;
    const { recursionAvailable } = Flag;
    return reply({ ...query, edns }, rcode, { flags: recursionAvailable });
  }
  const question = questionOf(message);
  if (question === undefined || !sameQuestion(question, query)) {
    return undefined;
  }
  const relayed = withId(message, query.id);
  relayed.set(words(flags | Flag.recursionAvailable), 2);
  return relayed;
}

function sameQuestion(question: Uint8Array, query: Query): boolean {
  return question.length === query.question.length &&
    nameKey(question.subarray(0, -QUESTION_TAIL)) === query.name &&
    word(question, question.length - 4) === query.type &&
    word(question, question.length - 2) === query.class;
}

/** The rcode of a reply, with the bits that its OPT record adds. */
export function rcodeOf(message: Uint8Array): number {
  const extended = survey(message).opt?.extendedRcode ?? 0;
  return extended << 4 | (word(message, 2) & RCODE);
}

/** A copy of a message with another id. */
export function withId(
  message: Uint8Array,
  id: number,
): Uint8Array<ArrayBuffer> {
  const copy = message.slice();
  copy.set(words(id));
  return copy;
}

/** A message as TCP carries it, with its length in front. */
export function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(words(message.length), message);
}

/** The readable side of a connection. */
export interface Readable {
  read(buffer: Uint8Array): Promise<number | null>;
}

/**
 * The next message of a TCP connection. Resolves with undefined if the
 * connection ends or announces a message of more than `limit` bytes.
 */
export async function readMessage(
  conn: Readable,
  limit: number,
): Promise<Uint8Array | undefined> {
  const length = await readExactly(conn, 2);
  if (length === undefined || word(length, 0) > limit) return undefined;
  return await readExactly(conn, word(length, 0));
}

/** The messages of a TCP connection, for as long as {@link readMessage} gives one. */
export async function* messages(
  conn: Readable,
  limit: number,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    const message = await readMessage(conn, limit);
    if (message === undefined) return;
    yield message;
  }
}

async function readExactly(
  conn: Readable,
  length: number,
): Promise<Uint8Array | undefined> {
  const data = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const n = await conn.read(data.subarray(at));
    if (n === null) return undefined;
    at += n;
  }
  return data;
}

/** A 16-bit number of a message; bytes past the end count as 0. */
function word(data: Uint8Array, at: number): number {
  return (data[at] ?? 0) << 8 | (data[at + 1] ?? 0);
}

/** 16-bit numbers on the wire. */
export function words(...values: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

/** Joins pieces into one array. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
