import { assert, assertEquals } from "@std/assert";
import {
  fit,
  frame,
  messages,
  type Query,
  Rcode,
  rcodeOf,
  readQuery,
  relay,
  reply,
  Type,
  withId,
} from "../../examples/dns/wire.ts";
import {
  answer,
  bareReply,
  header,
  query,
  questionEnd,
  u16,
  wireName,
} from "./dns_message.ts";

/** Reads a query that deserves a reply. */
function read(message: Uint8Array): Query {
  const result = readQuery(message);
  assert(result !== undefined, "it gets no reply");
  return result;
}

/** A query with the words of the header from `at` on replaced. */
function patched(at: number, ...values: number[]): Uint8Array {
  const message = query("www.example", { udpSize: 1232 });
  message.set(u16(...values), at);
  return message;
}

Deno.test("readQuery() reads the id, the question and the OPT record", () => {
  const message = query("WWW.Example", {
    ...{ id: 7, type: Type.MX, udpSize: 1232, dnssecOk: true },
  });
  const { id, flags, fault, question, name, type, class: c, edns } = read(
    message,
  );
  assertEquals([id, flags, fault, type, c], [7, 0x0100, undefined, 15, 1]);
  assertEquals(question, message.subarray(12, questionEnd(message)));
  assertEquals(name, "\x03www\x07example\0");
  assertEquals(edns, {
    udpSize: 1232,
    version: 0,
    dnssecOk: true,
    extendedRcode: 0,
  });
});

Deno.test("readQuery() copies the message, whose buffer may be reused", () => {
  const message = query("www.example", { udpSize: 1232 });
  const expected = message.slice();
  const result = read(message);
  message.fill(0xff);
  assertEquals(result.forwarded, expected);
  assertEquals(result.question, expected.subarray(12, questionEnd(expected)));
});

for (
  const [sent, taken] of [
    [undefined, 512],
    [0, 512],
    [511, 512],
    [513, 513],
    [
      4096,
      4096,
    ],
    [4097, 4096],
    [65_535, 4096],
  ] as const
) {
  Deno.test(`readQuery() limits replies to ${taken} bytes for an EDNS size of ${sent}`, () => {
    const message = query("a", sent === undefined ? {} : { udpSize: sent });
    assertEquals(read(message).udpSize, taken);
  });
}

const COOKIE = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
const A_RECORD = [0xc0, 0x0c, ...u16(1, 1, 0, 60, 4), 192, 0, 2, 1];

Deno.test("readQuery() drops EDNS options from the message to forward, and nothing else", () => {
  const options = { id: 9, udpSize: 1400, dnssecOk: true };
  assertEquals(
    read(query("www.example", { ...options, options: COOKIE })).forwarded,
    query("www.example", options),
  );
});

Deno.test("readQuery() forwards a message with other records unchanged", () => {
  const plain = query("www.example");
  const opt = query("www.example", { udpSize: 1232, options: COOKIE })
    .subarray(plain.length);
  const tables: [section: number, records: number[]][] = [
    [6, [...A_RECORD, ...opt]],
    [8, [...A_RECORD, ...opt]],
    [10, [...opt, ...A_RECORD]],
    [10, [...A_RECORD]],
  ];
  for (const [section, records] of tables) {
    const message = Uint8Array.from([...plain, ...records]);
    const both = records.length > A_RECORD.length;
    message[11] = both ? 1 : 0;
    message[section + 1]! += 1;
    const { fault, forwarded } = read(message);
    assertEquals(fault, undefined);
    assertEquals(forwarded, message);
  }
});

/** With EDNS, and an empty answer section before it. */
const LONGEST = query(`${"a".repeat(63)}.`.repeat(3) + "a".repeat(61), {
  udpSize: 1232,
});

Deno.test("readQuery() finds a fault in a query cut at any length, and undefined before the QR bit", () => {
  for (const whole of [query("www.example"), LONGEST]) {
    assertEquals(read(whole).fault, undefined);
    for (let length = 0; length < whole.length; length++) {
      const result = readQuery(whole.subarray(0, length));
      if (length < 3) assertEquals(result, undefined, `${length} bytes`);
      else assertEquals(result?.fault, Rcode.FORMERR, `${length} bytes`);
      assertEquals(result?.edns, undefined, `${length} bytes`);
    }
  }
});

const HEAD = [0x12, 0x34, ...u16(0x0100, 1, 0, 0, 0)];
const QUESTION = [...wireName("www.example"), ...u16(1, 1)];
const OPT = [0, ...u16(41, 1232, 0, 0, 0)];

/** The header of a query with `count` additional records. */
const headWith = (count: number) => [...HEAD.slice(0, 10), ...u16(count)];

const FAULTS: [
  what: string,
  fault: number,
  message: number[] | Uint8Array,
  edns: boolean,
][] = [
  ["QDCOUNT 0 and no question", Rcode.FORMERR, [
    ...[0x12, 0x34, ...u16(0x0100, 0, 0, 0, 1)],
    ...OPT,
  ], true],
  ["QDCOUNT 0 before a question", Rcode.FORMERR, patched(4, 0), false],
  ["QDCOUNT 2 with one question", Rcode.FORMERR, patched(4, 2), false],
  ["QDCOUNT 2 with two questions", Rcode.FORMERR, [
    ...[0x12, 0x34, ...u16(0x0100, 2, 0, 0, 1)],
    ...[...QUESTION, ...u16(0xc00c, 28, 1), ...OPT],
  ], true],
  ["QDCOUNT 65535", Rcode.FORMERR, patched(4, 0xffff), false],
  ["ANCOUNT past the end", Rcode.FORMERR, patched(6, 0xffff), true],
  ["ARCOUNT past the end", Rcode.FORMERR, patched(10, 2), true],
  ["ARCOUNT too small", Rcode.FORMERR, patched(10, 0), false],
  ["OPT in another section", Rcode.FORMERR, patched(6, 1, 0, 0), true],
  ["a byte too many", Rcode.FORMERR, [...HEAD, ...QUESTION, 0], false],
  [
    "a byte too many after OPT",
    Rcode.FORMERR,
    [...headWith(1), ...QUESTION, ...OPT, 0],
    true,
  ],
  [
    "a pointer to itself as the question",
    Rcode.FORMERR,
    [...HEAD, ...u16(0xc00c, 1, 1)],
    false,
  ],
  [
    "a pointer after a label in the question",
    Rcode.FORMERR,
    [...HEAD, 1, 0x61, ...u16(0xc00c, 1, 1)],
    false,
  ],
  [
    "a label of 64 bytes",
    Rcode.FORMERR,
    [...HEAD, 64, ...Array(64).fill(0x61), 0, ...u16(1, 1)],
    false,
  ],
  [
    "a label past the end",
    Rcode.FORMERR,
    [...HEAD, 63, 0x61, 0, ...u16(1, 1)],
    false,
  ],
  [
    "a name of 256 bytes",
    Rcode.FORMERR,
    [
      ...HEAD,
      ...wireName(`${"a".repeat(63)}.`.repeat(3) + "a".repeat(62)),
      ...u16(1, 1),
    ],
    false,
  ],
  [
    "two OPT records",
    Rcode.FORMERR,
    [...headWith(2), ...QUESTION, ...OPT, ...OPT],
    true,
  ],
  [
    "an OPT record with a name",
    Rcode.FORMERR,
    [...headWith(1), ...QUESTION, ...wireName("a"), ...OPT.slice(1)],
    true,
  ],
  [
    "RDLENGTH past the end",
    Rcode.FORMERR,
    [...headWith(1), ...QUESTION, 0, ...u16(41, 1232, 0, 0, 1)],
    true,
  ],
  [
    "an unreadable question after a header that reads like OPT",
    Rcode.FORMERR,
    [0x12, 0x34, ...u16(0x0001, 1, 0, 41, 0), ...Array(20).fill(64)],
    false,
  ],
  ["opcode 1", Rcode.NOTIMP, query("a", { flags: 0x0800 }), false],
  [
    "opcode STATUS with EDNS",
    Rcode.NOTIMP,
    query("a", { flags: 0x1000, udpSize: 1232 }),
    true,
  ],
  [
    "opcode STATUS without a question",
    Rcode.NOTIMP,
    [0x12, 0x34, ...u16(0x1000, 0, 0, 0, 0)],
    false,
  ],
  ["opcode NOTIFY", Rcode.NOTIMP, query("a", { flags: 0x2000 }), false],
  ["opcode UPDATE", Rcode.NOTIMP, query("a", { flags: 0x2800 }), false],
  ["opcode 15", Rcode.NOTIMP, query("a", { flags: 0x7800 }), false],
  ["AXFR", Rcode.REFUSED, query("a", { type: Type.AXFR }), false],
  ["IXFR", Rcode.REFUSED, query("a", { type: Type.IXFR }), false],
  [
    "EDNS version 1",
    Rcode.BADVERS,
    [...headWith(1), ...QUESTION, 0, ...u16(41, 1232, 1, 0, 0)],
    true,
  ],
];

for (const [what, fault, message, edns] of FAULTS) {
  Deno.test(`reply() to ${what} has rcode ${fault}, the id, and OPT only if the query has it`, () => {
    const result = read(Uint8Array.from(message));
    assertEquals(result.fault, fault);
    assertEquals(result.edns !== undefined, edns);
    const made = reply(result, fault);
    const { id, response, counts } = header(made);
    assertEquals([id, response], [0x1234, true]);
    const questions = result.question.length > 0 ? 1 : 0;
    assertEquals(counts, [questions, 0, 0, edns ? 1 : 0]);
    assertEquals(rcodeOf(made), edns || fault < 16 ? fault : fault & 15);
  });
}

Deno.test("readQuery() takes the first of two OPT records", () => {
  const other = [0, ...u16(41, 600, 0, 0, 0)];
  const message = [...headWith(2), ...QUESTION, ...OPT, ...other];
  assertEquals(read(Uint8Array.from(message)).edns?.udpSize, 1232);
});

Deno.test("readQuery() ignores a loop of pointers in another section", () => {
  const message = Uint8Array.from([
    ...headWith(2),
    ...QUESTION,
    // Two records whose names point to each other.
    ...u16(0xc000 + 12 + QUESTION.length + 12, 1, 1, 0, 0, 0),
    ...u16(0xc000 + 12 + QUESTION.length, 1, 1, 0, 0, 0),
  ]);
  assertEquals(read(message).fault, undefined);
});

Deno.test("readQuery() returns undefined for a reply of any length", () => {
  const message = answer(query("www.example"), [192, 0, 2, 1]);
  for (let length = 0; length <= message.length; length++) {
    assertEquals(readQuery(message.subarray(0, length)), undefined);
  }
});

Deno.test("reply() repeats the question", () => {
  const plain = query("www.example");
  const bare = reply(read(plain), Rcode.SERVFAIL);
  assertEquals(bare.subarray(12), plain.subarray(12));
  assertEquals(header(bare).counts, [1, 0, 0, 0]);
});

for (const dnssecOk of [false, true]) {
  Deno.test(`reply() answers EDNS with EDNS, DO bit ${dnssecOk ? "set" : "clear"}`, () => {
    const plain = query("www.example");
    const edns = query("www.example", { udpSize: 1232, dnssecOk });
    const full = reply(read(edns), Rcode.BADVERS);
    assertEquals(full.subarray(12, plain.length), plain.subarray(12));
    assertEquals(
      [...full.subarray(plain.length)],
      [0, ...u16(41, 4096, 0x0100, dnssecOk ? 0x8000 : 0, 0)],
    );
    assertEquals(header(full).counts, [1, 0, 0, 1]);
  });
}

Deno.test("reply() keeps the opcode and the RD and CD bits, and no other", () => {
  const flags = 0x7fff & ~0x8000;
  const made = reply(read(query("a", { flags })), Rcode.REFUSED);
  assertEquals([...made.subarray(2, 4)], u16(0x8000 | 0x7800 | 0x0110 | 5));
});

Deno.test("reply() counts the records of both sections", () => {
  const records = [1, 2].map((n) => Uint8Array.of(n));
  const made = reply(read(query("a")), Rcode.NOERROR, {
    answers: records,
    authority: records.slice(0, 1),
  });
  assertEquals(header(made).counts, [1, 2, 1, 0]);
  assertEquals([...made.subarray(-3)], [1, 2, 1]);
});

Deno.test("fit() leaves an answer of the allowed size alone and cuts a longer one", () => {
  const asked = read(query("www.example"));
  const whole = answer(query("www.example"), Array(600).fill(1));
  assertEquals(fit(asked, whole, whole.length), whole);
  const cut = fit(asked, whole, whole.length - 1);
  assertEquals(cut.subarray(12), query("www.example").subarray(12));
  assertEquals(header(cut), {
    ...header(whole),
    truncated: true,
    counts: [1, 0, 0, 0],
  });
});

Deno.test("fit() cuts to a reply that repeats the DO bit", () => {
  const message = query("www.example", { dnssecOk: true });
  const asked = read(message);
  const cut = fit(asked, answer(message, Array(600).fill(1)), 100);
  assertEquals(read(withoutResponseBit(cut)).edns?.dnssecOk, true);
});

/** A reply as a query, so that the same code can read it. */
function withoutResponseBit(message: Uint8Array): Uint8Array {
  const copy = message.slice();
  copy[2]! &= 0x7f;
  return copy;
}

const ASKED = query("www.example");

const REPLIES: [what: string, message: Uint8Array, taken: boolean][] = [
  ["the answer", answer(ASKED, [192, 0, 2, 1]), true],
  [
    "the name in other letters",
    answer(query("WWW.EXAMPLE"), [192, 0, 2, 1]),
    true,
  ],
  ["the query itself", ASKED, false],
  ["another id", answer(query("www.example", { id: 1 }), []), false],
  ["another name", answer(query("wwx.example"), []), false],
  ["a longer name", answer(query("www.example.a"), []), false],
  ["another type", answer(query("www.example", { type: 33 }), []), false],
  ["another class", replaced(answer(ASKED, []), 28, 3), false],
  ["another opcode", replaced(answer(ASKED, []), 2, 0xa1), false],
  ["FORMERR without a question", bareReply(ASKED, 1), true],
  ["SERVFAIL without a question", bareReply(ASKED, 2), true],
  ["NOTIMP without a question", bareReply(ASKED, 4), true],
  ["REFUSED without a question", bareReply(ASKED, 5), true],
  ["NOERROR without a question", bareReply(ASKED, 0), false],
  ["NXDOMAIN without a question", bareReply(ASKED, 3), false],
  [
    "REFUSED without a question and with another id",
    bareReply(query("a", { id: 1 }), 5),
    false,
  ],
  [
    "REFUSED without a question and without the QR bit",
    withoutResponseBit(bareReply(ASKED, 5)),
    false,
  ],
  [
    "a header that ends early",
    answer(ASKED, []).subarray(0, 11),
    false,
  ],
  [
    "an error whose header ends early",
    bareReply(ASKED, 5).subarray(0, 11),
    false,
  ],
  ["nothing", new Uint8Array(), false],
];

function replaced(message: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = message.slice();
  copy[at] = byte;
  return copy;
}

for (const [what, message, taken] of REPLIES) {
  Deno.test(`relay() ${taken ? "takes" : "ignores"} a reply with ${what}`, () => {
    const relayed = relay(message, 0x1234, read(ASKED));
    assertEquals(relayed !== undefined, taken);
  });
}

Deno.test("relay() tells apart types that differ in the bit of letter case", () => {
  const asked = read(query("a", { type: 0x41 }));
  const forged = answer(query("a", { type: 0x61 }), []);
  assertEquals(relay(forged, 0x1234, asked), undefined);
});

Deno.test("relay() gives the client's id back, sets RA, and changes nothing else", () => {
  const sent = query("www.example", { id: 0xfeff });
  const message = answer(query("www.example", { id: 1 }), [192, 0, 2, 1]);
  message[3] = 0;
  const relayed = relay(message, 1, read(sent));
  const expected = message.slice();
  expected.set([0xfe, 0xff, 0x81, 0x80]);
  assertEquals(relayed, expected);
});

for (const opt of [false, true]) {
  Deno.test(`relay() gives an error its question back, ${opt ? "with OPT as it came" : "without OPT if it had none"}`, () => {
    const sent = query("www.example", { dnssecOk: true });
    const bare = bareReply(query("a", { id: 1 }), Rcode.FORMERR);
    const message = opt ? Uint8Array.from([...bare, ...OPT]) : bare;
    message[11] = opt ? 1 : 0;
    const relayed = relay(message, 1, read(sent))!;
    assertEquals(header(relayed), {
      id: 0x1234,
      response: true,
      truncated: false,
      recursionAvailable: true,
      rcode: Rcode.FORMERR,
      counts: [1, 0, 0, opt ? 1 : 0],
    });
    const end = questionEnd(sent);
    assertEquals(relayed.subarray(12, end), sent.subarray(12, end));
    const edns = read(withoutResponseBit(relayed)).edns;
    assertEquals(edns?.dnssecOk, opt ? true : undefined);
  });
}

Deno.test("relay() adds no OPT for a client without EDNS", () => {
  const bare = bareReply(ASKED, Rcode.REFUSED);
  const message = Uint8Array.from([...bare, ...OPT]);
  message[11] = 1;
  const relayed = relay(message, 0x1234, read(ASKED))!;
  assertEquals(header(relayed).counts, [1, 0, 0, 0]);
});

Deno.test("withId() changes the id of a copy", () => {
  const changed = withId(ASKED, 0xfeff);
  assertEquals(header(changed).id, 0xfeff);
  assertEquals(header(ASKED).id, 0x1234);
  assertEquals(changed.subarray(2), ASKED.subarray(2));
});

/** A connection that yields its bytes in pieces of at most `size`. */
function connection(
  bytes: number[],
  size: number,
): { read(p: Uint8Array): Promise<number | null> } {
  let at = 0;
  return {
    read(p) {
      if (at === bytes.length) return Promise.resolve(null);
      const piece = bytes.slice(at, at + Math.min(size, p.length));
      p.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  };
}

for (const size of [1, 2, 3, 1000]) {
  Deno.test(`messages() assembles messages from pieces of ${size} bytes`, async () => {
    const sent = [query("a"), new Uint8Array(), query("www.example")];
    const bytes = sent.flatMap((message) => [...frame(message)]);
    const whole = await Array.fromAsync(messages(connection(bytes, size), 512));
    assertEquals(whole, sent);
    const cut = connection(bytes.slice(0, -1), size);
    assertEquals(await Array.fromAsync(messages(cut, 512)), sent.slice(0, 2));
  });
}

Deno.test("messages() ends at a message that is announced as too long", async () => {
  const bytes = [
    ...frame(new Uint8Array(20)),
    ...u16(21),
    ...Array(21).fill(0),
  ];
  const whole = await Array.fromAsync(messages(connection(bytes, 9), 20));
  assertEquals(whole, [new Uint8Array(20)]);
});

Deno.test("readQuery(), reply() and relay() take random messages without throwing", () => {
  const seed = Number(
    Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  );
  console.log(`SEED=${seed}`);
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
  const asked = read(ASKED);
  let replies = 0;
  for (let i = 0; i < 20_000; i++) {
    // Half of them are random bytes, half are queries with some bytes changed.
    const message = i % 2 === 0
      ? Uint8Array.from({ length: below(80) }, () => below(256))
      : query("www.example", {
        udpSize: below(65_536),
        options: Array.from({ length: below(3) * 4 }, () => below(256)),
      });
    for (let n = below(4); n > 0 && message.length > 0; n--) {
      message[below(message.length)] = below(256);
    }
    const relayed = relay(message, below(65_536), asked);
    if (relayed !== undefined) assertEquals(header(relayed).id, 0x1234);
    const result = readQuery(message);
    if (result === undefined) continue;
    replies++;
    const made = reply(result, result.fault ?? Rcode.SERVFAIL);
    assertEquals(made.subarray(0, 2), message.subarray(0, 2));
    assert(made.length <= result.udpSize);
    assertEquals(readQuery(made), undefined);
    // The message to forward asks the same, and is as well-formed.
    const forwarded = read(result.forwarded);
    assertEquals(forwarded.fault, result.fault);
    assertEquals(forwarded.question, result.question);
  }
  assert(replies > 5_000, `${replies}`);
});
