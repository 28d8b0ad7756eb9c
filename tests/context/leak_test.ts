import { assert, assertEquals } from "@std/assert";
import { ChildProcess } from "./child_process.ts";

// In bytes. Far below what it would take to keep anything for each of them.
const flat = 1_000_000;

// Each program of testdata/heap.ts with how many contexts it makes and ends
// between two looks at the heap.
const programs = [
  "withCancel",
  "withCancel with its signal used",
  "withCancel with its promise used",
  "withTimeout",
  "withTimeout with its signal used",
  "withTimeout that ends by itself",
  "withValue over withCancel",
  "withoutCancel",
  "afterFunc stopped",
  "afterFunc run",
  "withSignal",
  "child of a wrapper",
  "done parents",
];

for (const program of programs) {
  Deno.test(`the heap stays flat: ${program}`, async () => {
    const { code, stdout, stderr } = await new ChildProcess(
      "heap.ts",
      program,
      "--v8-flags=--expose-gc",
    ).end();
    assertEquals(code, 0, stderr);
    const { heap, made, left } = JSON.parse(stdout) as {
      heap: number[];
      made: number;
      left: number;
    };
    assert(heap.length >= 4 && made >= 100_000);
    // From the first look on: what is loaded and compiled once is there by then.
    const growth = Math.max(...heap.slice(1)) - heap[0]!;
    assert(growth < flat, `${growth} bytes after ${made}: ${heap.join(", ")}`);
    assertEquals(left, 0);
  });
}
