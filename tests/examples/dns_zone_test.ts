import { assert, assertEquals, assertThrows } from "@std/assert";
import { Flag, Rcode, readQuery, Type } from "../../examples/dns/wire.ts";
import { Zone } from "../../examples/dns/zone.ts";
import { header, query, questionEnd, u16, wireName } from "./dns_message.ts";

const ZONE = Zone.parse(`
# comments and empty lines are nothing
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
`);

/** What the zone says of a name: the rcode, and the bytes of its answers. */
function ask(name: string, type: number): { rcode: number; rest: number[] } {
  const message = query(name, { type });
  const asked = readQuery(message);
  assert(asked?.fault === undefined && asked !== undefined);
  const answer = ZONE.answer(asked);
  return {
    rcode: header(answer).rcode,
    rest: [...answer.subarray(questionEnd(message))],
  };
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

const ANSWERS: [
  name: string,
  type: keyof typeof Type,
  rcode: keyof typeof Rcode,
  rest: number[],
][] = [
  ["www.example", "A", "NOERROR", [...OWN, ...A1, ...OWN, ...A2]],
  ["wWw.eXample", "A", "NOERROR", [...OWN, ...A1, ...OWN, ...A2]],
  ["www.example", "AAAA", "NOERROR", [
    ...OWN,
    ...u16(28, 1, 0, 300, 16, 0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
  ]],
  ["example", "MX", "NOERROR", [
    ...OWN,
    ...u16(15, 1, 0, 300, 2 + 14, 10),
    ...wireName("mail.example"),
  ]],
  ["deep.down.example", "TXT", "NOERROR", [
    ...OWN,
    ...u16(16, 1, 0, 0, TEXT.length),
    ...TEXT,
  ]],
  ["alias.example", "CNAME", "NOERROR", [...OWN, ...alias("www.example")]],
  ["alias.example", "A", "NOERROR", [
    ...[...OWN, ...alias("www.example")],
    ...[...wireName("www.example"), ...A1],
    ...[...wireName("www.example"), ...A2],
  ]],
  ["alias.example", "MX", "NOERROR", [...OWN, ...alias("www.example")]],
  ["far.example", "A", "NXDOMAIN", [...OWN, ...alias("elsewhere.test")]],
  ["a.example", "A", "SERVFAIL", []],
  ["www.example", "TXT", "NOERROR", []],
  ["down.example", "TXT", "NOERROR", []],
  ["nope.example", "A", "NXDOMAIN", []],
  ["w.www.example", "A", "NXDOMAIN", []],
  ["www.example", "ANY", "REFUSED", []],
];

for (const [name, type, rcode, rest] of ANSWERS) {
  Deno.test(`zone: ${type} of ${name}: ${rcode}, ${rest.length} bytes`, () => {
    assertEquals(ask(name, Type[type]), { rcode: Rcode[rcode], rest });
  });
}

Deno.test("zone: its answers are authoritative, and another class is refused", () => {
  const message = query("www.example");
  const asked = readQuery(message);
  assert(asked !== undefined);
  const flags = ZONE.answer(asked)[2]! << 8;
  assertEquals(flags & Flag.authoritative, Flag.authoritative);
  assertEquals(
    header(ZONE.answer({ ...asked, class: 3 })).rcode,
    Rcode.REFUSED,
  );
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

Deno.test("zone: a long text is cut into strings of 255 bytes", () => {
  const asked = readQuery(query("a", { type: Type.TXT }));
  assert(asked !== undefined);
  for (const length of [0, 1, 255, 256, 600]) {
    const answer = Zone.parse(`a 0 TXT "${"x".repeat(length)}"`).answer(asked);
    const strings = [];
    for (let at = asked.message.length + 12; at < answer.length;) {
      const size = answer[at] ?? 0;
      strings.push(size);
      at += 1 + size;
    }
    const full = Array(Math.floor(length / 255)).fill(255);
    const rest = length % 255 > 0 || length === 0 ? [length % 255] : [];
    assertEquals(strings, [...full, ...rest]);
  }
});

const BAD: [line: string, message: string][] = [
  ["a.example", 'must be: name TTL TYPE value; got "a.example"'],
  ["a.example 300 A", "must be: name TTL TYPE value"],
  ["a.example A 192.0.2.1 x", "the TTL must be whole seconds"],
  ["a.example -1 A 192.0.2.1", "the TTL must be whole seconds"],
  ["a.example 2147483648 A 192.0.2.1", 'got "2147483648"'],
  ["a.example 1 SRV 0 0 1 a", "the type must be A, AAAA, CNAME, MX or TXT"],
  ["a.example 1 A 192.0.2", "the value of an A must be an address"],
  ["a.example 1 A 192.0.2.256", "the value of an A must be an address"],
  ["a.example 1 A 192.0.02.1", "the value of an A must be an address"],
  ["a.example 1 A ::1", "the value of an A must be an address"],
  ["a.example 1 AAAA 192.0.2.1", "the value of an AAAA must be an address"],
  ["a.example 1 AAAA 1::2::3", "the value of an AAAA must be an address"],
  ["a.example 1 AAAA ::1]/", "the value of an AAAA must be an address"],
  ["a.example 1 MX mail", "the value of an MX must be a number up to 65535"],
  ["a.example 1 MX 65536 mail", "the value of an MX must be a number"],
  ["a..example 1 A 192.0.2.1", "a name must be labels of up to 63"],
  ["*.example 1 A 192.0.2.1", "a name must be labels of up to 63"],
  [`${"a".repeat(64)} 1 A 192.0.2.1`, "a name must be labels of up to 63"],
  [`${"a.".repeat(128)} 1 A 192.0.2.1`, "253 in all"],
  ["a.example 1 CNAME b c", "a name must be labels"],
  ["ok.example 1 CNAME b", 'nothing else; remove one of "ok.example"'],
  [`a 1 TXT ${"x".repeat(16_384)}`, "must be 16 kB at most"],
];

for (const [line, message] of BAD) {
  Deno.test(`zone: a bad line is told with its number: ${line.slice(0, 40)}`, () => {
    assertThrows(
      () => Zone.parse(`# one\nok.example 1 A 192.0.2.1\r\n${line}\n`),
      RangeError,
      "line 3: ",
    );
    assertThrows(
      () => Zone.parse(`ok.example 1 A 192.0.2.1\n\n${line}`),
      RangeError,
      message,
    );
  });
}
