// A context or a wait that has ended leaves nothing in the heap.

import { assert, assertEquals } from "@std/assert";
import { ChildProcess } from "./child_process.ts";

// Limit in bytes, far below the cost of keeping anything for each of them.
const flat = 1_000_000;

// Programs in testdata/. Each creates and ends a great many contexts under one that
// lives on, or waits a great many times on it.
const programs: [script: string, ...programs: string[]][] = [
  [
    "heap.ts",
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
    "withSignal on a wrapper",
    "child of a wrapper",
    "done parents",
  ],
  [
    "tasks_heap.ts",
    "sleep that ctx ends",
    "sleep that ends by itself",
    "orDone that the promise ends",
    "orDone that a failure ends",
    "orDone that ctx ends",
    "requestInit with a request",
    "every with break",
    "every that ctx ends",
    "every that is left while it waits",
    "untilDone with break",
    "untilDone that ctx ends",
    "untilDone that is left while it waits",
    "untilDone of a stream that ctx ends",
    "group with a queue",
    "group with results",
    "group that is left",
    "WaitGroup",
    "WaitGroup whose wait ctx ends",
  ],
];

for (const [script, ...names] of programs) {
  for (const name of names) {
    Deno.test(`the heap stays flat: ${name}`, async () => {
      const { code, stdout, stderr } = await new ChildProcess(
        script,
        name,
        "--v8-flags=--expose-gc",
      ).end();
      assertEquals(code, 0, stderr);
      const { heap, made, left } = JSON.parse(stdout) as {
        heap: number[];
        made: number;
        left: number;
      };
      assert(heap.length >= 4 && made >= 100_000);
      // From the first sample on, everything has been loaded and compiled.
      const growth = Math.max(...heap.slice(1)) - heap[0]!;
      assert(growth < flat, `${growth} bytes after ${made}: ${heap}`);
      assertEquals(left, 0);
    });
  }
}
