/**
 * DNS messages on the wire: RFC 1035, and of RFC 6891 (EDNS) what says how long
 * an answer may be. Any bytes may come in, and none of them is an exception.
 *
 * @module
 */

/** What a reply says of its query. */
export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** The types of record that something here has to know. */
export const Type = {
  A: 1,
  CNAME: 5,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** The class of the Internet. */
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

/** The longest message there is, in bytes: TCP has two bytes for the length. */
export const MAX_MESSAGE = 65_535;
/** The longest answer over UDP to a client that allows no more, in bytes. */
const MIN_UDP = 512;
/** The longest answer over UDP whatever the client allows, in bytes. */
const MAX_UDP = 4_096;

const HEADER = 12;
const MAX_NAME = 255;
const MAX_LABEL = 63;
const POINTER = 0xc0;
const OPCODE = 0x7800;
const RCODE = 0x000f;
/** Type and class, after the name of a question. */
const QUESTION_TAIL = 4;
/** Type, class, TTL and length of the data, after the name of a record. */
const RECORD_TAIL = 10;

/** A message that is to be answered. What it holds lies in the message itself. */
export interface Query {
  /** The whole message. */
  readonly message: Uint8Array;
  readonly id: number;
  readonly flags: number;
  /** The rcode to answer with, where the query is not one that can be seen to. */
  readonly fault: number | undefined;
  /** The section with the one question as it was sent; empty if unreadable. */
  readonly question: Uint8Array;
  /** The name asked for, as {@link nameKey} writes it. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Whether the client knows EDNS, so that the answer must show that too. */
  readonly edns: boolean;
  /** The longest answer over UDP, in bytes. */
  readonly udpSize: number;
}

/**
 * Reads a query. Undefined is what must not be answered: what is too short for an
 * id and the bit that says "query", and answers, lest two servers answer each
 * other for ever.
 */
export function readQuery(message: Uint8Array): Query | undefined {
  if (message.length < 3) return undefined;
  const flags = word(message, 2);
  if ((flags & Flag.response) !== 0) return undefined;
  const bare: Query = {
    message,
    id: word(message, 0),
    flags,
    fault: Rcode.FORMERR,
    question: message.subarray(0, 0),
    name: "",
    type: 0,
    class: 0,
    edns: false,
    udpSize: MIN_UDP,
  };
  if (message.length < HEADER) return bare;
  if ((flags & OPCODE) !== 0) return { ...bare, fault: Rcode.NOTIMP };
  const question = questionOf(message);
  if (question === undefined) return bare;
  const tail = question.length - QUESTION_TAIL;
  const asked = {
    ...bare,
    question,
    name: nameKey(question.subarray(0, tail)),
    type: word(question, tail),
    class: word(question, tail + 2),
  };
  const options = readOpt(message, HEADER + question.length);
  if (options === undefined) return asked;
  const { udpSize = 0, version = 0 } = options;
  return {
    ...asked,
    fault: version > 0
      ? Rcode.BADVERS
      // A transfer is an answer of many messages.
      : asked.type === Type.AXFR || asked.type === Type.IXFR
      ? Rcode.REFUSED
      : undefined,
    edns: options.udpSize !== undefined,
    udpSize: Math.min(Math.max(udpSize, MIN_UDP), MAX_UDP),
  };
}

/** The question of a message that has one and no more. */
function questionOf(message: Uint8Array): Uint8Array | undefined {
  if (message.length < HEADER || word(message, 4) !== 1) return undefined;
  // There is nothing before it that a pointer could point to.
  const end = skipName(message, HEADER, false) + QUESTION_TAIL;
  return end < HEADER || end > message.length
    ? undefined
    : message.subarray(HEADER, end);
}

/** What the OPT record of a query says, if there is one; undefined if what comes
 * after the question cannot be read. */
function readOpt(
  message: Uint8Array,
  from: number,
): { udpSize?: number; version?: number } | undefined {
  const before = word(message, 6) + word(message, 8);
  const count = before + word(message, 10);
  let found: { udpSize: number; version: number } | undefined;
  let at = from;
  for (let i = 0; i < count; i++) {
    const tail = skipName(message, at, true);
    if (tail === -1 || tail + RECORD_TAIL > message.length) return undefined;
    if (word(message, tail) === Type.OPT) {
      const root = tail === at + 1;
      if (found !== undefined || !root || i < before) return undefined;
      found = {
        udpSize: word(message, tail + 2),
        version: message[tail + 5] ?? 0,
      };
    }
    at = tail + RECORD_TAIL + word(message, tail + 8);
  }
  return at === message.length ? found ?? {} : undefined;
}

/**
 * Where the name at `from` ends, or -1 if it does not. Pointers are not followed:
 * nothing here needs the name behind one, and so none can lead in a circle.
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

/** A name on the wire as the key of a map: the same in any case of its letters. */
export function nameKey(name: Uint8Array): string {
  // A length is below every letter, so it is not taken for one.
  return String.fromCharCode(...name)
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** What a reply has besides the question. */
export interface ReplyOptions {
  /** Bits of {@link Flag} to set; none by default. */
  readonly flags?: number;
  /** Records on the wire; none by default. */
  readonly answers?: readonly Uint8Array[];
}

/** A reply of our own. */
export function reply(
  query: Query,
  rcode: number,
  options: ReplyOptions = {},
): Uint8Array<ArrayBuffer> {
  const { flags = 0, answers = [] } = options;
  const kept = OPCODE | Flag.recursionDesired | Flag.checkingDisabled;
  const header = words(
    query.id,
    Flag.response | (query.flags & kept) | flags | (rcode & RCODE),
    query.question.length > 0 ? 1 : 0,
    answers.length,
    0,
    query.edns ? 1 : 0,
  );
  const opt = query.edns
    ? [new Uint8Array(1), words(Type.OPT, MAX_UDP, rcode >> 4 << 8, 0, 0)]
    : [];
  return concat(header, query.question, ...answers, ...opt);
}

/** `answer`, or what of it fits into `limit` bytes: the question, and the bit
 * that has the client ask again over TCP. */
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

/** Whether `message` is an answer to `query`, which was passed on as `id`. */
export function isAnswer(
  message: Uint8Array,
  id: number,
  query: Query,
): boolean {
  const question = questionOf(message);
  const flags = word(message, 2);
  return question !== undefined && word(message, 0) === id &&
    (flags & Flag.response) !== 0 && (flags & OPCODE) === 0 &&
    question.length === query.question.length &&
    nameKey(question.subarray(0, -QUESTION_TAIL)) === query.name &&
    word(question, question.length - 4) === query.type &&
    word(question, question.length - 2) === query.class;
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

/** A message as TCP wants it: its length first. */
export function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(words(message.length), message);
}

/** The messages of a TCP connection, until it ends or announces one that is
 * longer than `limit` bytes. */
export async function* messages(
  conn: { read(p: Uint8Array): Promise<number | null> },
  limit: number,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    const length = await readExactly(conn, 2);
    if (length === undefined || word(length, 0) > limit) return;
    const message = await readExactly(conn, word(length, 0));
    if (message === undefined) return;
    yield message;
  }
}

async function readExactly(
  conn: { read(p: Uint8Array): Promise<number | null> },
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

/** Two bytes of a message; what is past its end is 0. */
function word(data: Uint8Array, at: number): number {
  return (data[at] ?? 0) << 8 | (data[at + 1] ?? 0);
}

/** Numbers of 16 bits on the wire. */
export function words(...values: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

/** Everything in one piece. */
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
