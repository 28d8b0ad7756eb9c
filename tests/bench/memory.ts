/** Heap use of live contexts and sleeps. */

import {
  background,
  createKey,
  sleep,
  withCancel,
  withTimeout,
  withValue,
} from "../../context/mod.ts";
import { collectGarbage } from "./measure.ts";
import { promisedTimeout } from "./scenarios.ts";

/** Heap bytes of one context. */
export interface Bytes {
  name: string;
  ours: number;
  platform: number;
  platformWay: string;
}

const count = 100_000;
const hour = 3_600_000;

/** Measures each kind. The process must have run nothing else. */
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
    // Last, because these go on until the process exits.
    {
      name: "sleep",
      ours: bytesPer(() => sleep(background(), hour)),
      platform: bytesPer(() => promisedTimeout(hour)),
      platformWay: "a promise around setTimeout",
    },
  ];
}

/** Returns the growth of the heap per item, with many alive at once. */
function bytesPer<T>(
  make: (i: number) => T,
  release: (made: T) => void = () => {},
): number {
  // Excludes what compiling and the first of a kind take.
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
