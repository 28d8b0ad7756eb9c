import { assert, assertEquals } from "@std/assert";
import {
  fit,
  frame,
  isAnswer,
  messages,
  type Query,
  Rcode,
  readQuery,
  reply,
  Type,
  withId,
} from "../../examples/dns/wire.ts";
import {
  answer,
  header,
  query,
  questionEnd,
  u16,
  wireName,
} from "./dns_message.ts";

/** A query that must be worth an answer. */
function read(message: Uint8Array): Query {
  const result = readQuery(message);
  assert(result !== undefined, "it gets no answer");
  return result;
}

/** A message with the two words of the header from `at` on set. */
function patched(at: number, ...values: number[]): Uint8Array {
  const message = query("www.example", { udpSize: 1232 });
  message.set(u16(...values), at);
  return message;
}

Deno.test("a query is read with its id, its question and what EDNS allows", () => {
  const message = query("WWW.Example", { id: 7, type: Type.MX, udpSize: 1232 });
  const { id, fault, question, name, type, class: c, edns, udpSize } = read(
    message,
  );
  assertEquals([id, fault, type, c], [7, undefined, Type.MX, 1]);
  assertEquals(question, message.subarray(12, questionEnd(message)));
  assertEquals(name, "\x03www\x07example\0");
  assertEquals([edns, udpSize], [true, 1232]);
});

for (
  const [sent, taken] of [[undefined, 512], [0, 512], [511, 512], [513, 513], [
    4096,
    4096,
  ], [65_535, 4096]] as const
) {
  Deno.test(`an EDNS size of ${sent} allows ${taken} bytes`, () => {
    const message = query("a", sent === undefined ? {} : { udpSize: sent });
    assertEquals(read(message).udpSize, taken);
  });
}

/** One with EDNS, and with records before it as an update would have. */
const LONGEST = query(`${"a".repeat(63)}.`.repeat(3) + "a".repeat(61), {
  udpSize: 1232,
});
LONGEST.set([0, 0], 6);

Deno.test("a query cut at any length gets FORMERR, or nothing without an id and a QR bit", () => {
  for (const whole of [query("www.example"), LONGEST]) {
    assertEquals(read(whole).fault, undefined);
    for (let length = 0; length < whole.length; length++) {
      const result = readQuery(whole.subarray(0, length));
      if (length < 3) assertEquals(result, undefined, `${length} bytes`);
      else assertEquals(result?.fault, Rcode.FORMERR, `${length} bytes`);
    }
  }
});

const HEAD = [0x12, 0x34, ...u16(0x0100, 1, 0, 0, 0)];
const QUESTION = [...wireName("www.example"), ...u16(1, 1)];
const OPT = [0, ...u16(41, 1232, 0, 0, 0)];

const FAULTS: [what: string, fault: number, message: number[] | Uint8Array][] =
  [
    ["QDCOUNT 0", Rcode.FORMERR, patched(4, 0)],
    ["QDCOUNT 2", Rcode.FORMERR, patched(4, 2)],
    ["QDCOUNT 65535", Rcode.FORMERR, patched(4, 0xffff)],
    ["ANCOUNT past the end", Rcode.FORMERR, patched(6, 0xffff)],
    ["ARCOUNT past the end", Rcode.FORMERR, patched(10, 2)],
    ["ARCOUNT too small", Rcode.FORMERR, patched(10, 0)],
    ["OPT in another section", Rcode.FORMERR, patched(6, 1, 0, 0)],
    ["a byte too many", Rcode.FORMERR, [...HEAD, ...QUESTION, 0]],
    [
      "a pointer to itself as the question",
      Rcode.FORMERR,
      [...HEAD, ...u16(0xc00c, 1, 1)],
    ],
    [
      "a pointer after a label in the question",
      Rcode.FORMERR,
      [...HEAD, 1, 0x61, ...u16(0xc00c, 1, 1)],
    ],
    [
      "a label of 64 bytes",
      Rcode.FORMERR,
      [...HEAD, 64, ...Array(64).fill(0x61), 0, ...u16(1, 1)],
    ],
    [
      "a label past the end",
      Rcode.FORMERR,
      [...HEAD, 63, 0x61, 0, ...u16(1, 1)],
    ],
    [
      "a name of 256 bytes",
      Rcode.FORMERR,
      [
        ...HEAD,
        ...wireName(`${"a".repeat(63)}.`.repeat(3) + "a".repeat(62)),
        ...u16(1, 1),
      ],
    ],
    ["two OPT records", Rcode.FORMERR, [
      ...HEAD.slice(0, 10),
      ...u16(2),
      ...QUESTION,
      ...OPT,
      ...OPT,
    ]],
    ["an OPT record with a name", Rcode.FORMERR, [
      ...HEAD.slice(0, 10),
      ...u16(1),
      ...QUESTION,
      ...wireName("a"),
      ...OPT.slice(1),
    ]],
    ["RDLENGTH past the end", Rcode.FORMERR, [
      ...HEAD.slice(0, 10),
      ...u16(1),
      ...QUESTION,
      0,
      ...u16(41, 1232, 0, 0, 1),
    ]],
    ["opcode 1", Rcode.NOTIMP, query("a", { flags: 0x0800 })],
    ["opcode NOTIFY", Rcode.NOTIMP, query("a", { flags: 0x2000 })],
    ["opcode UPDATE", Rcode.NOTIMP, query("a", { flags: 0x2800 })],
    ["opcode 15", Rcode.NOTIMP, query("a", { flags: 0x7800 })],
    ["AXFR", Rcode.REFUSED, query("a", { type: Type.AXFR })],
    ["IXFR", Rcode.REFUSED, query("a", { type: Type.IXFR })],
    ["EDNS version 1", Rcode.BADVERS, [
      ...HEAD.slice(0, 10),
      ...u16(1),
      ...QUESTION,
      0,
      ...u16(41, 1232, 1, 0, 0),
    ]],
  ];

for (const [what, fault, message] of FAULTS) {
  Deno.test(`${what}: rcode ${fault}, with the id of the query`, () => {
    const result = read(Uint8Array.from(message));
    assertEquals(result.fault, fault);
    const { id, response, rcode } = header(reply(result, fault));
    assertEquals([id, response, rcode], [0x1234, true, fault & 15]);
  });
}

Deno.test("a circle of pointers in another section is nobody's trouble", () => {
  const message = Uint8Array.from([
    ...HEAD.slice(0, 10),
    ...u16(2),
    ...QUESTION,
    // Two records whose names point to each other.
    ...u16(0xc000 + 12 + QUESTION.length + 12, 1, 1, 0, 0, 0),
    ...u16(0xc000 + 12 + QUESTION.length, 1, 1, 0, 0, 0),
  ]);
  assertEquals(read(message).fault, undefined);
});

Deno.test("an answer gets no answer, at any length", () => {
  const message = answer(query("www.example"), [192, 0, 2, 1]);
  for (let length = 0; length <= message.length; length++) {
    assertEquals(readQuery(message.subarray(0, length)), undefined);
  }
});

Deno.test("a reply repeats the question, and has an OPT record where the query had one", () => {
  const plain = query("www.example");
  const [end, edns] = [plain.length, query("www.example", { udpSize: 1232 })];
  const bare = reply(read(plain), Rcode.SERVFAIL);
  assertEquals(bare.subarray(12), plain.subarray(12));
  assertEquals(header(bare).counts, [1, 0, 0, 0]);
  const full = reply(read(edns), Rcode.BADVERS);
  assertEquals(full.subarray(12, end), edns.subarray(12, end));
  assertEquals(
    [...full.subarray(end)],
    [0, ...u16(41, 4096, 0x0100, 0, 0)],
  );
  assertEquals(header(full).counts, [1, 0, 0, 1]);
});

Deno.test("an answer of the size that the client allows is left alone, a longer one is cut to its question", () => {
  const asked = read(query("www.example"));
  const whole = answer(asked.message, Array(600).fill(1));
  assertEquals(fit(asked, whole, whole.length), whole);
  const cut = fit(asked, whole, whole.length - 1);
  assertEquals(cut.subarray(12), asked.message.subarray(12));
  assertEquals(header(cut), {
    ...header(whole),
    truncated: true,
    counts: [1, 0, 0, 0],
  });
});

const ASKED = query("www.example");

const ANSWERS: [what: string, message: Uint8Array, taken: boolean][] = [
  ["the answer", answer(ASKED, [192, 0, 2, 1]), true],
  [
    "one with the name in other letters",
    answer(query("WWW.EXAMPLE"), [192, 0, 2, 1]),
    true,
  ],
  ["the query itself", ASKED, false],
  ["one with another id", answer(query("www.example", { id: 1 }), []), false],
  ["one for another name", answer(query("wwx.example"), []), false],
  ["one for a longer name", answer(query("www.example.a"), []), false],
  [
    "one for another type",
    answer(query("www.example", { type: 33 }), []),
    false,
  ],
  [
    "one without a question",
    Uint8Array.from([...u16(0x1234, 0x8180, 0, 0, 0, 0)]),
    false,
  ],
  ["a header that ends early", answer(ASKED, []).subarray(0, 11), false],
  ["nothing", new Uint8Array(), false],
];

for (const [what, message, taken] of ANSWERS) {
  Deno.test(`${what} is ${taken ? "" : "not "}taken for the answer`, () => {
    assertEquals(isAnswer(message, 0x1234, read(ASKED)), taken);
  });
}

Deno.test("types that differ in the bit that letters differ in are told apart", () => {
  const asked = read(query("a", { type: 0x41 }));
  const forged = answer(query("a", { type: 0x61 }), []);
  assertEquals(isAnswer(forged, 0x1234, asked), false);
});

Deno.test("withId changes the id of a copy", () => {
  const changed = withId(ASKED, 0xfeff);
  assertEquals(header(changed).id, 0xfeff);
  assertEquals(header(ASKED).id, 0x1234);
  assertEquals(changed.subarray(2), ASKED.subarray(2));
});

/** A connection that gives its bytes out in pieces of at most `size`. */
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
  Deno.test(`messages come whole out of pieces of ${size} bytes`, async () => {
    const sent = [query("a"), new Uint8Array(), query("www.example")];
    const bytes = sent.flatMap((message) => [...frame(message)]);
    const whole = await Array.fromAsync(messages(connection(bytes, size), 512));
    assertEquals(whole, sent);
    const cut = connection(bytes.slice(0, -1), size);
    assertEquals(await Array.fromAsync(messages(cut, 512)), sent.slice(0, 2));
  });
}

Deno.test("a message that is announced as too long ends the connection", async () => {
  const bytes = [
    ...frame(new Uint8Array(20)),
    ...u16(21),
    ...Array(21).fill(0),
  ];
  const whole = await Array.fromAsync(messages(connection(bytes, 9), 20));
  assertEquals(whole, [new Uint8Array(20)]);
});

Deno.test("random messages are no exception", () => {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  console.log(`seed ${seed}`);
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
  const asked = read(ASKED);
  let answered = 0;
  for (let i = 0; i < 20_000; i++) {
    // Half of them are bytes of any kind, half queries with some bytes changed.
    const message = i % 2 === 0
      ? Uint8Array.from({ length: below(80) }, () => below(256))
      : query("www.example", { udpSize: below(65_536) });
    for (let n = below(4); n > 0 && message.length > 0; n--) {
      message[below(message.length)] = below(256);
    }
    isAnswer(message, below(65_536), asked);
    const result = readQuery(message);
    if (result === undefined) continue;
    answered++;
    const made = reply(result, result.fault ?? Rcode.SERVFAIL);
    assertEquals(made.subarray(0, 2), message.subarray(0, 2));
    assert(made.length <= result.udpSize);
    assertEquals(readQuery(made), undefined);
  }
  assert(answered > 5_000, `${answered}`);
});
