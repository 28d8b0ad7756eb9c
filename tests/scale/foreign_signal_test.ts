// One foreign signal with 20,000 children.

import { background, type Context, withSignal } from "@curfew/context";
import { atScale } from "./at_scale.ts";

const size = 20_000;

/** Uses the context that the i-th of n listeners looks at. */
const looks: { [name: string]: (ctx: Context) => unknown } = {
  "err": (ctx) => ctx.err,
  "signal": (ctx) => ctx.signal.aborted,
};

for (const [name, look] of Object.entries(looks)) {
  atScale(
    import.meta,
    `children of one foreign signal read each other's ${name}`,
    { size, counts: (n) => ({ told: n, done: n, caused: n }) },
    (n) => {
      const counts = { told: 0, done: 0, caused: 0 };
      const controller = new AbortController();
      const contexts = Array.from(
        { length: n },
        () => withSignal(background(), controller.signal),
      );
      for (let i = 0; i < n; i++) {
        contexts[i]!.signal.addEventListener("abort", () => {
          counts.told++;
          const next = contexts[(i + 1) % n]!;
          look(next);
          if (next.err !== undefined) counts.done++;
        });
      }
      controller.abort("enough");
      counts.caused = contexts.filter(({ err }) => err?.cause === "enough")
        .length;
      return counts;
    },
  );
}
