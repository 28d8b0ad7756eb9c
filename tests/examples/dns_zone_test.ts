import { assert, assertEquals, assertThrows } from "@std/assert";
import { Flag, Rcode, readQuery, Type } from "../../examples/dns/wire.ts";
import { Zone } from "../../examples/dns/zone.ts";
import { header, query, questionEnd, u16, wireName } from "./dns_message.ts";

const ZONE = Zone.parse(`
# comments and empty lines are skipped
; of either kind
www.example.   300  A      192.0.2.1
WWW.Example    300  a      192.0.2.2
www.example.   300  AAAA   2001:db8::1
alias.example. 60   CNAME  www.example.
far.example.   60   CNAME  elsewhere.test.
a.example.     60   CNAME  b.example.
b.example.     60   CNAME  a.example.
example.       300  MX     10 mail.example.
deep.down.example.  0  TXT  "some text; all of it"
Sub.example.   70   SOA    ns.example. admin.example. 1 2 3 4 4000000000
x.sub.example. 60   A      192.0.2.3
short.example. 900  soa    ns admin 9 8 7 6 5
`);

/** The zone's answer for a name: its rcode, section counts and records. */
function ask(
  name: string,
  type: number,
): { rcode: number; counts: number[]; records: number[] } {
  const message = query(name, { type });
  const asked = readQuery(message);
  assert(asked?.fault === undefined && asked !== undefined);
  const answer = ZONE.answer(asked);
  const { rcode, counts } = header(answer);
  const records = [...answer.subarray(questionEnd(message))];
  return { rcode, counts: counts.slice(1), records };
}

const OWN = u16(0xc00c);
const A1 = [...u16(1, 1, 0, 300, 4), 192, 0, 2, 1];
const A2 = [...u16(1, 1, 0, 300, 4), 192, 0, 2, 2];
const alias = (target: string) => [
  ...u16(5, 1, 0, 60, wireName(target).length),
  ...wireName(target),
];
const text = (value: string) => [
  value.length,
  ...new TextEncoder().encode(value),
];
const TEXT = text("some text; all of it");
const soa = (owner: string, ttl: number, names: string[], data: number[]) => {
  const all = [...names.flatMap(wireName), ...u16(...data)];
  return [...wireName(owner), ...u16(6, 1, 0, ttl, all.length), ...all];
};
/** The SOA record that is made up for names without one in the file. */
const ROOT_SOA = soa(
  ".",
  60,
  ["localhost", "nobody.invalid"],
  [0, 1, 0, 3600, 0, 600, 1, 20_864, 0, 60],
);
const subSoa = (ttl: number) =>
  soa(
    "sub.example",
    ttl,
    ["ns.example", "admin.example"],
    [0, 1, 0, 2, 0, 3, 0, 4, 61_035, 10_240],
  );
const SHORT_SOA = [0, 9, 0, 8, 0, 7, 0, 6, 0, 5];

const ANSWERS: [
  name: string,
  type: keyof typeof Type,
  rcode: keyof typeof Rcode,
  counts: [answers: number, authority: number],
  records: number[],
][] = [
  ["www.example", "A", "NOERROR", [2, 0], [...OWN, ...A1, ...OWN, ...A2]],
  ["wWw.eXample", "A", "NOERROR", [2, 0], [...OWN, ...A1, ...OWN, ...A2]],
  ["www.example", "AAAA", "NOERROR", [1, 0], [
    ...OWN,
    ...u16(28, 1, 0, 300, 16, 0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
  ]],
  ["example", "MX", "NOERROR", [1, 0], [
    ...OWN,
    ...u16(15, 1, 0, 300, 2 + 14, 10),
    ...wireName("mail.example"),
  ]],
  ["deep.down.example", "TXT", "NOERROR", [1, 0], [
    ...OWN,
    ...u16(16, 1, 0, 0, TEXT.length),
    ...TEXT,
  ]],
  ["alias.example", "CNAME", "NOERROR", [1, 0], [
    ...OWN,
    ...alias("www.example"),
  ]],
  ["alias.example", "A", "NOERROR", [3, 0], [
    ...[...OWN, ...alias("www.example")],
    ...[...wireName("www.example"), ...A1],
    ...[...wireName("www.example"), ...A2],
  ]],
  ["alias.example", "MX", "NOERROR", [1, 1], [
    ...[...OWN, ...alias("www.example")],
    ...ROOT_SOA,
  ]],
  ["far.example", "A", "NXDOMAIN", [1, 1], [
    ...[...OWN, ...alias("elsewhere.test")],
    ...ROOT_SOA,
  ]],
  ["a.example", "A", "SERVFAIL", [0, 0], []],
  ["www.example", "TXT", "NOERROR", [0, 1], ROOT_SOA],
  ["down.example", "TXT", "NOERROR", [0, 1], ROOT_SOA],
  ["nope.example", "A", "NXDOMAIN", [0, 1], ROOT_SOA],
  ["w.www.example", "A", "NXDOMAIN", [0, 1], ROOT_SOA],
  [".", "A", "NOERROR", [0, 1], ROOT_SOA],
  ["test", "A", "NXDOMAIN", [0, 1], ROOT_SOA],
  ["nosub.example", "A", "NXDOMAIN", [0, 1], ROOT_SOA],
  ["a.b.SUB.example", "A", "NXDOMAIN", [0, 1], subSoa(70)],
  ["x.sub.example", "MX", "NOERROR", [0, 1], subSoa(70)],
  ["sub.example", "MX", "NOERROR", [0, 1], subSoa(70)],
  ["sub.example", "SOA", "NOERROR", [1, 0], [
    ...OWN,
    ...subSoa(70).slice(wireName("sub.example").length),
  ]],
  ["a.short.example", "A", "NXDOMAIN", [0, 1], [
    ...soa("short.example", 5, ["ns", "admin"], SHORT_SOA),
  ]],
  ["short.example", "SOA", "NOERROR", [1, 0], [
    ...OWN,
    ...soa(".", 900, ["ns", "admin"], SHORT_SOA).slice(1),
  ]],
  ["www.example", "ANY", "REFUSED", [0, 0], []],
];

for (const [name, type, rcode, counts, records] of ANSWERS) {
  Deno.test(`zone: ${type} of ${name} is ${rcode} with ${counts.join("+")} records`, () => {
    assertEquals(ask(name, Type[type]), {
      rcode: Rcode[rcode],
      counts: [...counts, 0],
      records,
    });
  });
}

Deno.test("zone: an empty file has no names", () => {
  const asked = readQuery(query("."))!;
  const answer = Zone.parse("").answer(asked);
  const { rcode, counts } = header(answer);
  assertEquals([rcode, counts], [Rcode.NXDOMAIN, [1, 0, 1, 0]]);
  assertEquals([...answer.subarray(-ROOT_SOA.length)], ROOT_SOA);
});

Deno.test("zone: answers are authoritative, and other classes are refused", () => {
  for (const type of [Type.A, Type.TXT]) {
    const asked = readQuery(query("www.example", { type }))!;
    const flags = ZONE.answer(asked)[2]! << 8;
    assertEquals(flags & Flag.authoritative, Flag.authoritative);
    const chaos = ZONE.answer({ ...asked, class: 3 });
    assertEquals(header(chaos).rcode, Rcode.REFUSED);
  }
});

const ADDRESSES: [text: string, words: number[]][] = [
  ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
  ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
  ["fe80::", [0xfe80, 0, 0, 0, 0, 0, 0, 0]],
  ["1:2:3:4:5:6:7:8", [1, 2, 3, 4, 5, 6, 7, 8]],
  ["1::8", [1, 0, 0, 0, 0, 0, 0, 8]],
  ["::FFFF:192.0.2.1", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201]],
];

for (const [text, words] of ADDRESSES) {
  Deno.test(`zone: reads the IPv6 address ${text}`, () => {
    const asked = readQuery(query("a", { type: Type.AAAA }));
    assert(asked !== undefined);
    const answer = Zone.parse(`a 0 AAAA ${text}`).answer(asked);
    assertEquals([...answer.subarray(-16)], u16(...words));
  });
}

Deno.test("zone: a long text becomes strings of 255 bytes", () => {
  const asked = readQuery(query("a", { type: Type.TXT }));
  assert(asked !== undefined);
  for (const length of [0, 1, 255, 256, 600]) {
    const answer = Zone.parse(`a 0 TXT "${"x".repeat(length)}"`).answer(asked);
    const strings = [];
    for (let at = asked.forwarded.length + 12; at < answer.length;) {
      const size = answer[at] ?? 0;
      strings.push(size);
      at += 1 + size;
    }
    const full = Array(Math.floor(length / 255)).fill(255);
    const rest = length % 255 > 0 || length === 0 ? [length % 255] : [];
    assertEquals(strings, [...full, ...rest]);
  }
});

Deno.test("zone: follows eight aliases, and no more", () => {
  const aliases = Array.from(
    { length: 9 },
    (_, i) => `n${i} 0 CNAME n${i + 1}`,
  );
  const zone = Zone.parse(`${aliases.join("\n")}\nn9 0 A 192.0.2.1`);
  const eight = zone.answer(readQuery(query("n1"))!);
  assertEquals(header(eight).counts, [1, 9, 0, 0]);
  assertEquals(header(eight).rcode, Rcode.NOERROR);
  const nine = zone.answer(readQuery(query("n0"))!);
  assertEquals(header(nine).rcode, Rcode.SERVFAIL);
});

/** 255 bytes on the wire. */
const LONGEST = [..."xyz"].map((label) => label.repeat(63)).join(".") +
  `.${"w".repeat(61)}`;

const AT_THE_LIMIT: [what: string, line: string][] = [
  ["the longest TTL", "a 2147483647 A 192.0.2.1"],
  ["the largest preference", "a 1 MX 65535 b"],
  ["the largest number of an SOA", "a 1 SOA b c 1 2 3 4 4294967295"],
  ["the longest name", `${LONGEST} 1 A 192.0.2.1`],
  ["the longest text", `a 1 TXT ${"x".repeat(64 * 255)}`],
];

for (const [what, line] of AT_THE_LIMIT) {
  Deno.test(`zone: parse() accepts ${what}, and nothing longer or larger`, () => {
    Zone.parse(line);
    const beyond = line
      .replace("2147483647", "2147483648")
      .replace("65535", "65536")
      .replace("4294967295", "4294967296")
      .replace("ww", "www")
      .replace("xxx", "xxxx");
    assertThrows(() => Zone.parse(beyond), RangeError);
  });
}

const BAD: [line: string, message: string][] = [
  ["a.example", 'must be: name TTL TYPE value; got "a.example"'],
  ["a.example 300 A", "must be: name TTL TYPE value"],
  ["a.example A 192.0.2.1 x", "the TTL must be a whole number up to"],
  ["a.example -1 A 192.0.2.1", "the TTL must be a whole number up to"],
  ["a.example 2147483648 A 192.0.2.1", 'got "2147483648"'],
  [
    "a.example 1 SRV 0 0 1 a",
    "the type must be A, AAAA, CNAME, MX, SOA or TXT",
  ],
  ["a.example 1 A 192.0.2", "the value of an A must be an address"],
  ["a.example 1 A 192.0.2.256", "the value of an A must be an address"],
  ["a.example 1 A 192.0.02.1", "the value of an A must be an address"],
  ["a.example 1 A ::1", "the value of an A must be an address"],
  ["a.example 1 AAAA 192.0.2.1", "the value of an AAAA must be an address"],
  ["a.example 1 AAAA 1::2::3", "the value of an AAAA must be an address"],
  ["a.example 1 AAAA ::1]/", "the value of an AAAA must be an address"],
  ["a.example 1 MX mail", "the value of an MX must be a preference and"],
  ["a.example 1 MX 1 mail x", "the value of an MX must be a preference and"],
  ["a.example 1 MX 65536 mail", "MX must be a whole number up to 65535"],
  ["a.example 1 SOA ns admin 1 2 3 4", "two names and five numbers"],
  ["a.example 1 SOA ns admin 1 2 3 4 5 6", "two names and five numbers"],
  ["a.example 1 SOA ns a 1 2 3 4 4294967296", "number up to 4294967295"],
  ["a.example 1 SOA ns a@b 1 2 3 4 5", "a name must be labels of up to 63"],
  ["one.example 1 SOA ns a 1 2 3 4 5", 'one SOA; remove one of "one.example"'],
  ["a..example 1 A 192.0.2.1", "a name must be labels of up to 63"],
  ["*.example 1 A 192.0.2.1", "a name must be labels of up to 63"],
  [`${"a".repeat(64)} 1 A 192.0.2.1`, "a name must be labels of up to 63"],
  [`${"a.".repeat(128)} 1 A 192.0.2.1`, "253 characters at most"],
  ["a.example 1 CNAME b c", "a name must be labels"],
  ["ok.example 1 CNAME b", 'nothing else; remove one of "ok.example"'],
  [`a 1 TXT ${"x".repeat(16_384)}`, "must be 16 kB at most"],
];

for (const [line, message] of BAD) {
  Deno.test(`zone: parse() names the line that is malformed: ${line.slice(0, 40)}`, () => {
    const one = "one.example 1 SOA ns a 1 2 3 4 5";
    assertThrows(
      () => Zone.parse(`${one}\nok.example 1 A 192.0.2.1\r\n${line}\n`),
      RangeError,
      "line 3: ",
    );
    assertThrows(
      () => Zone.parse(`${one}\nok.example 1 A 192.0.2.1\n\n${line}`),
      RangeError,
      message,
    );
  });
}
