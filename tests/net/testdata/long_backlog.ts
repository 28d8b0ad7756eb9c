// Run with --v8-flags=--expose-gc. Prints the growth of the heap while a million
// items pass through a backlog that is never empty.
import { Backlog } from "../../../context/backlog.ts";
import process from "node:process";

const { gc } = globalThis as unknown as { gc: () => void };
const backlog = new Backlog<number>(10);
for (let n = 0; n < 5; n++) backlog.push(n);
gc();
const before = process.memoryUsage().heapUsed;
for (let n = 0; n < 1_000_000; n++) {
  backlog.push(n);
  backlog.shift();
}
gc();
const growth = process.memoryUsage().heapUsed - before;
console.log(JSON.stringify({ growth, size: backlog.size }));
