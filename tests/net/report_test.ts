import { assertEquals } from "@std/assert";
import { reporter } from "../../net/report.ts";

/** Calls `f` and returns the arguments of each `console.error`. */
async function logged(f: () => void): Promise<unknown[][]> {
  const { error } = console;
  const lines: unknown[][] = [];
  console.error = (...line: unknown[]) => lines.push(line);
  try {
    f();
    await new Promise((resolve) => setTimeout(resolve));
  } finally {
    console.error = error;
  }
  return lines;
}

Deno.test("reporter() logs errors by default, with the name of the caller", async () => {
  const lines = await logged(() => reporter("serveTest")("no"));
  assertEquals(lines, [["serveTest:", "no"]]);
});

Deno.test("reporter() passes the error and its origin to onError", async () => {
  const seen: unknown[] = [];
  const report = reporter<string>("serveTest", (error, about) => {
    seen.push(error, about);
  });
  assertEquals(await logged(() => report("no", "here")), []);
  assertEquals(seen, ["no", "here"]);
});

const failures: Record<string, () => unknown> = {
  throws: () => {
    throw "second";
  },
  rejects: () => Promise.reject("second"),
};
for (const [how, onError] of Object.entries(failures)) {
  Deno.test(`reporter() logs what an onError ${how} with, and goes on`, async () => {
    const report = reporter("serveTest", onError);
    assertEquals(await logged(() => report("first")), [
      ["serveTest: onError has thrown", "second"],
    ]);
  });
}
