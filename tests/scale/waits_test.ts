// Waits that one cancellation ends, 100,000 of them.

import {
  afterFunc,
  background,
  type Context,
  orDone,
  sleep,
  WaitGroup,
  withCancel,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";

const size = 100_000;
const hour = 3_600_000;

atScale(
  import.meta,
  "each afterFunc cancels another context, which has one too",
  { size, counts: (n) => ({ run: n, othersRun: n }) },
  async (n) => {
    const counts = { run: 0, othersRun: 0 };
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      const other = withCancel(background());
      afterFunc(other, () => void counts.othersRun++);
      afterFunc(root, () => {
        counts.run++;
        other.cancel();
      });
    }
    root.cancel();
    await turn();
    return counts;
  },
);

atScale(
  import.meta,
  "each afterFunc cancels the next context",
  { size, counts: (n) => ({ run: n }) },
  async (n) => {
    const counts = { run: 0 };
    const contexts = Array.from({ length: n }, () => withCancel(background()));
    for (let i = 0; i < n; i++) {
      afterFunc(contexts[i]!, () => {
        counts.run++;
        contexts[i + 1]?.cancel();
      });
    }
    contexts[0]!.cancel();
    await turn();
    return counts;
  },
);

const never = new Promise<never>(() => {});
const group = new WaitGroup();
group.add(1);

/** The waits; each rejects with `ctx.err`. */
const waits: { [name: string]: (ctx: Context) => Promise<unknown> } = {
  "sleep": (ctx) => sleep(ctx, hour),
  "orDone": (ctx) => orDone(ctx, never),
  "WaitGroup.wait": (ctx) => group.wait(ctx),
};

for (const [name, wait] of Object.entries(waits)) {
  atScale(
    import.meta,
    `${name}, on one context`,
    { size, counts: (n) => ({ rejected: n, oneError: n }) },
    async (n) => {
      const root = withCancel(background());
      const ended = Array.from({ length: n }, () => settle(wait(root)));
      root.cancel();
      const errors = await Promise.all(ended);
      const oneError = errors.filter((error) => error === root.err).length;
      return { rejected: errors.length, oneError };
    },
  );

  atScale(
    import.meta,
    `${name}, on contexts of one parent`,
    { size, counts: (n) => ({ rejected: n, oneError: n }) },
    async (n) => {
      const root = withCancel(background());
      const ended = Array.from(
        { length: n },
        () => settle(wait(withCancel(root))),
      );
      root.cancel();
      const errors = await Promise.all(ended);
      const oneError = errors.filter((error) => error === root.err).length;
      return { rejected: errors.length, oneError };
    },
  );
}

atScale(
  import.meta,
  "waits for one turn of the event loop",
  // Quadratic work is cheap below.
  { size: 4 * size, counts: (n) => ({ resolved: n }) },
  async (n) => {
    const turns = Array.from({ length: n }, () => sleep(background(), 0));
    return { resolved: (await Promise.all(turns)).length };
  },
);

atScale(
  import.meta,
  "the promises of contexts of one parent",
  { size, counts: (n) => ({ resolved: n }) },
  async (n) => {
    const root = withCancel(background());
    const done = Array.from({ length: n }, () => withCancel(root).done);
    root.cancel();
    return { resolved: (await Promise.all(done)).length };
  },
);

/** The error that `promise` rejects with. */
function settle(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => undefined, (error) => error);
}

/** All microtasks have run when this resolves. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
