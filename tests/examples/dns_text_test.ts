import { assertEquals } from "@std/assert";
import { nameText, rcodeText, typeText } from "../../examples/dns/text.ts";
import { nameKey } from "../../examples/dns/wire.ts";
import { wireName } from "./dns_message.ts";

const NAMES: [what: string, wire: number[], text: string][] = [
  ["a name", wireName("www.example"), "www.example."],
  ["the root", [0], "."],
  ["an unreadable name", [], "."],
  ["digits, - and _", wireName("_a-1.b"), "_a-1.b."],
  ["a dot within a label", [3, 0x61, 0x2e, 0x62, 0], "a\\046b."],
  ["a backslash and a quote", [2, 0x5c, 0x22, 0], "\\092\\034."],
  ["control characters", [3, 0, 0x1b, 0x0a, 0], "\\000\\027\\010."],
  ["bytes above ASCII", [2, 0x80, 0xff, 0], "\\128\\255."],
];

for (const [what, wire, text] of NAMES) {
  Deno.test(`nameText() writes ${what} as ${text}`, () => {
    assertEquals(nameText(nameKey(Uint8Array.from(wire))), text);
  });
}

Deno.test("typeText() and rcodeText() name what they know and number or group the rest", () => {
  assertEquals([1, 28, 65, 255, 999].map(typeText), [
    ...["A", "AAAA", "HTTPS", "ANY", "TYPE999"],
  ]);
  assertEquals([0, 5, 16, 9, 23].map(rcodeText), [
    ...["NOERROR", "REFUSED", "BADVERS", "other", "other"],
  ]);
});
