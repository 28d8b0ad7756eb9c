import { assertEquals } from "@std/assert";
import { callOf, lineOf } from "../../../context/inspect/line_of.ts";

const lines: [line: string, isUsers: boolean][] = [
  ["file:///shop/price.ts:1:2", true],
  ["an unknown line", false],
  ["ext:deno_http/00_serve.ts:1:2", false],
];
for (const [line, isUsers] of lines) {
  Deno.test(`lineOf() and callOf() ${isUsers ? "show" : "hide"} ${line}`, () => {
    const site = { call: "withCancel", line };
    assertEquals(lineOf(site), isUsers ? line : undefined);
    assertEquals(callOf(site), isUsers ? "withCancel" : undefined);
  });
}

Deno.test("lineOf() and callOf() show nothing of a call that was not sampled", () => {
  assertEquals(lineOf(undefined), undefined);
  assertEquals(callOf(undefined), undefined);
});
