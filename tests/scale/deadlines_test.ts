// Deadlines that are due together, 50,000 of them.

import { FakeTime } from "@std/testing/time";
import {
  background,
  type CancelableContext,
  type Context,
  withCancel,
  withDeadline,
  withTimeout,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";
import { ManualClock } from "./manual_clock.ts";

const size = 50_000;
const hour = 3_600_000;

function many<T>(n: number, make: (i: number) => T): T[] {
  return Array.from({ length: n }, (_, i) => make(i));
}

function listen(ctx: Context, listener: () => void): void {
  ctx.signal.addEventListener("abort", listener);
}

/** Contexts that are due together and whose listeners cancel others. */
class Crowd {
  readonly counts = { told: 0, othersTold: 0, errors: 0, early: 0 };
  readonly contexts: CancelableContext[];
  /** Resolves when every listener has run. */
  readonly whole: Promise<void>;

  constructor(n: number, at: number) {
    const others = many(n, () => withTimeout(background(), hour));
    for (const other of others) listen(other, () => this.counts.othersTold++);
    this.contexts = many(n, () => withDeadline(background(), at));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whole = promise;
    const { contexts } = this;
    for (let i = 0; i < n; i++) {
      listen(contexts[i]!, () => {
        this.counts.told++;
        // All of them are marked before the first listener runs.
        if (contexts[n - 1 - i]!.err?.name !== "TimeoutError") {
          this.counts.early++;
        }
        // Already done: changes nothing.
        contexts[(i + 1) % n]!.cancel("too late");
        others[i]!.cancel();
        if (this.counts.told === n) resolve();
      });
    }
  }

  /** The counts, with the number of different errors. */
  count(): Crowd["counts"] {
    // Each deadline is a cancellation of its own.
    const errors = this.contexts.map(({ err }) => err)
      .filter((err) => err?.name === "TimeoutError");
    this.counts.errors = new Set(errors).size;
    return this.counts;
  }
}

function crowdCounts(n: number): Crowd["counts"] {
  return { told: n, othersTold: n, errors: n, early: 0 };
}

atScale(
  import.meta,
  "listeners of deadlines due together cancel contexts with deadlines",
  { size, counts: crowdCounts },
  (n) => {
    using time = new FakeTime();
    const crowd = new Crowd(n, Date.now() + 1_000);
    time.tick(1_000);
    return crowd.count();
  },
);

atScale(
  import.meta,
  "deadlines due together are first noticed by a look at err",
  { size, counts: crowdCounts },
  (n) => {
    using clock = new ManualClock();
    const crowd = new Crowd(n, clock.now + 1_000);
    clock.now += 2_000;
    void crowd.contexts[n / 2]!.err;
    return crowd.count();
  },
);

atScale(
  import.meta,
  "deadlines due together on the real clock",
  { size, linear: false, counts: crowdCounts },
  async (n) => {
    const crowd = new Crowd(n, Date.now() + 2_000);
    await crowd.whole;
    return crowd.count();
  },
);

atScale(
  import.meta,
  "deadlines due together on the real clock, under a busy event loop",
  { size, linear: false, counts: crowdCounts },
  (n) => {
    const at = Date.now() + 2_000;
    const crowd = new Crowd(n, at);
    while (Date.now() <= at);
    void crowd.contexts[n / 2]!.err;
    return crowd.count();
  },
);

atScale(
  import.meta,
  "deadlines of different times pass at once and end in their order",
  { size, counts: (n) => ({ told: n, inOrder: n - 1 }) },
  (n) => {
    const counts = { told: 0, inOrder: 0 };
    using clock = new ManualClock();
    let last = Infinity;
    for (let i = 0; i < n; i++) {
      const ms = 1 + (i * 7_919) % n;
      listen(withTimeout(background(), ms), () => {
        counts.told++;
        if (ms > last) counts.inOrder++;
        last = ms;
      });
    }
    clock.now += n;
    clock.ring();
    return counts;
  },
);

atScale(
  import.meta,
  "each listener waits for the next deadline and looks at it",
  { size, counts: (n) => ({ told: n, seen: n }) },
  (n) => {
    const counts = { told: 0, seen: 0 };
    using clock = new ManualClock();
    const contexts = many(n, (i) => withTimeout(background(), 1 + i));
    for (let i = 0; i < n; i++) {
      listen(contexts[i]!, () => {
        counts.told++;
        clock.now++;
        const next = contexts[i + 1];
        if (next === undefined || next.err?.name === "TimeoutError") {
          counts.seen++;
        }
      });
    }
    clock.now++;
    void contexts[0]!.err;
    clock.ring();
    return counts;
  },
);

atScale(
  import.meta,
  "each listener waits for the next deadline and reads its signal",
  { size, counts: (n) => ({ told: n, done: n }) },
  (n) => {
    const counts = { told: 0, done: 0 };
    using clock = new ManualClock();
    const contexts = many(n, (i) => withTimeout(background(), 1 + i));
    for (let i = 0; i < n; i++) {
      listen(contexts[i]!, () => {
        counts.told++;
        clock.now++;
        const next = contexts[i + 1];
        void next?.signal.aborted;
        if (next === undefined || next.err !== undefined) counts.done++;
      });
    }
    clock.now++;
    void contexts[0]!.signal;
    clock.ring();
    return counts;
  },
);

atScale(
  import.meta,
  "a parent and its children are due together",
  { size, counts: (n) => ({ told: n, oneError: n }) },
  (n) => {
    const counts = { told: 0, oneError: 0 };
    using clock = new ManualClock();
    const parent = withTimeout(background(), 1_000);
    for (let i = 0; i < n; i++) {
      const child = withTimeout(parent, 1_000 + i);
      listen(child, () => {
        counts.told++;
        if (child.err === parent.err) counts.oneError++;
      });
    }
    clock.now += 1_000 + n;
    clock.ring();
    return counts;
  },
);

atScale(
  import.meta,
  "a cancellation ends many contexts with deadlines",
  { size, counts: (n) => ({ told: n, canceled: n }) },
  (n) => {
    const counts = { told: 0, canceled: 0 };
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      const ctx = withTimeout(root, hour - (i * 7_919) % n);
      listen(ctx, () => {
        counts.told++;
        if (ctx.err?.name === "AbortError") counts.canceled++;
      });
    }
    root.cancel();
    return counts;
  },
);
