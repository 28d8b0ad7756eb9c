/** What a live context takes of the heap. */

import {
  background,
  createKey,
  withCancel,
  withTimeout,
  withValue,
} from "../../context/mod.ts";
import { collectGarbage } from "./measure.ts";

/** Bytes for one of each. */
export interface Bytes {
  name: string;
  ours: number;
  platform: number;
  platformWay: string;
}

const count = 100_000;
const hour = 3_600_000;

/** Measures the three kinds; in a process that has run nothing else. */
export function measureMemory(): Bytes[] {
  const parent = withCancel(background());
  const controller = new AbortController();
  const key = createKey<number>("bytes");
  const root = new Map<unknown, unknown>();
  return [
    {
      name: "cancel",
      ours: bytesPer(() => withCancel(parent), (ctx) => ctx.cancel()),
      platform: bytesPer(() => {
        const own = new AbortController();
        return {
          own,
          signal: AbortSignal.any([controller.signal, own.signal]),
        };
      }),
      platformWay: "AbortController + any([parent, own])",
    },
    {
      name: "timeout",
      ours: bytesPer(
        () => withTimeout(background(), hour),
        (ctx) => ctx.cancel(),
      ),
      platform: bytesPer(() => setTimeout(() => {}, hour), clearTimeout),
      platformWay: "setTimeout",
    },
    {
      name: "value",
      ours: bytesPer((i) => withValue(background(), key, i)),
      platform: bytesPer((i) => new Map(root).set(key, i)),
      platformWay: "new Map(parent).set()",
    },
  ];
}

/** The growth of the heap for each of many that are alive together. */
function bytesPer<T>(
  make: (i: number) => T,
  release: (made: T) => void = () => {},
): number {
  // What compiling and the first of a kind take is no part of it.
  for (let i = 0; i < 1_000; i++) release(make(i));
  const alive = new Array<T>(count);
  const before = heapUsed();
  for (let i = 0; i < count; i++) alive[i] = make(i);
  const bytes = (heapUsed() - before) / count;
  alive.forEach(release);
  return bytes;
}

function heapUsed(): number {
  collectGarbage();
  collectGarbage();
  return Deno.memoryUsage().heapUsed;
}
