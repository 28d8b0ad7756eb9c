// Abort listeners that use other contexts, 100,000 of them at once.

import {
  background,
  type CancelableContext,
  type Context,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";

const size = 100_000;
const hour = 3_600_000;

function many<T>(n: number, make: (i: number) => T): T[] {
  return Array.from({ length: n }, (_, i) => make(i));
}

function listen(ctx: Context, listener: () => void): void {
  ctx.signal.addEventListener("abort", listener);
}

atScale(
  import.meta,
  "each cancels another context, which has a listener",
  { size, counts: (n) => ({ told: n, othersTold: n, nested: n }) },
  (n) => {
    const counts = { told: 0, othersTold: 0, nested: 0 };
    const others = many(n, () => withCancel(background()));
    for (const other of others) listen(other, () => counts.othersTold++);
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      listen(withCancel(root), () => {
        counts.told++;
        const before = counts.othersTold;
        others[i]!.cancel();
        // The nested cancellation is complete when cancel() returns.
        if (counts.othersTold === before + 1) counts.nested++;
      });
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "each cancels its own child, which has a listener",
  { size, counts: (n) => ({ told: n, childrenTold: n, oneError: n }) },
  (n) => {
    const counts = { told: 0, childrenTold: 0, oneError: 0 };
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      const ctx = withCancel(root);
      const child = withCancel(ctx);
      listen(child, () => counts.childrenTold++);
      listen(ctx, () => {
        counts.told++;
        // Already done with the root: this changes nothing.
        child.cancel("too late");
        if (child.err === root.err) counts.oneError++;
      });
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "each creates, uses and disposes of a timeout",
  { size, counts: (n) => ({ told: n, timeoutsTold: n }) },
  (n) => {
    const counts = { told: 0, timeoutsTold: 0 };
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      listen(withCancel(root), () => {
        counts.told++;
        using step = withTimeout(background(), hour);
        listen(step, () => counts.timeoutsTold++);
      });
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "each derives from another context of the same cancellation",
  { size, counts: (n) => ({ told: n, done: n }) },
  (n) => {
    const counts = { told: 0, done: 0 };
    const root = withCancel(background());
    const contexts = many(n, () => withCancel(root));
    for (let i = 0; i < n; i++) {
      listen(contexts[i]!, () => {
        counts.told++;
        using step = withTimeout(contexts[(i + 1) % n]!, hour);
        if (step.err === root.err) counts.done++;
      });
    }
    root.cancel();
    return counts;
  },
);

/** Index of the context whose signal the i-th of n listeners reads. */
const readers: { [whose: string]: (i: number, n: number) => number } = {
  "the next context": (i, n) => (i + 1) % n,
  "the previous context": (i, n) => (i + n - 1) % n,
  "the last context": (_, n) => n - 1,
  "some context": (i, n) => (i * 7_919) % n,
};

for (const [whose, other] of Object.entries(readers)) {
  atScale(
    import.meta,
    `each reads the signal of ${whose}`,
    { size, counts: (n) => ({ told: n, done: n, aborted: n }) },
    (n) => {
      const counts = { told: 0, done: 0, aborted: 0 };
      const root = withCancel(background());
      const contexts = many(n, () => withCancel(root));
      for (let i = 0; i < n; i++) {
        listen(contexts[i]!, () => {
          counts.told++;
          const read = contexts[other(i, n)]!;
          void read.signal.aborted;
          if (read.err === root.err) counts.done++;
        });
      }
      root.cancel();
      counts.aborted = contexts.filter(({ signal }) => signal.aborted).length;
      return counts;
    },
  );
}

atScale(
  import.meta,
  "each reads the signals of contexts that nobody has used before",
  { size, counts: (n) => ({ told: n, aborted: n }) },
  (n) => {
    const counts = { told: 0, aborted: 0 };
    const root = withCancel(background());
    const silent = many(n, () => withCancel(root));
    for (let i = 0; i < n; i++) {
      listen(withCancel(root), () => {
        counts.told++;
        if (silent[i]!.signal.aborted) counts.aborted++;
      });
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "each throws, and a global handler takes the errors",
  { size, counts: (n) => ({ told: n, thrown: n / 10, later: 1 }) },
  (n) => {
    const counts = { told: 0, thrown: 0, later: 0 };
    using _ = preventing(() => counts.thrown++);
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      listen(withCancel(root), () => {
        counts.told++;
        if (i % 10 === 0) throw new Error("a listener failed");
      });
    }
    root.cancel();
    const later = withCancel(background());
    listen(later, () => counts.later++);
    later.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "some overflow the stack by themselves",
  { size, counts: (n) => ({ told: n, overflowed: n / 100, later: 1 }) },
  (n) => {
    const counts = { told: 0, overflowed: 0, later: 0 };
    using _ = preventing((error) => {
      if (error instanceof RangeError) counts.overflowed++;
    });
    const overflow = (): number => overflow() + 1;
    const root = withCancel(background());
    for (let i = 0; i < n; i++) {
      listen(withCancel(root), () => {
        counts.told++;
        if (i % 100 === 0) overflow();
      });
    }
    root.cancel();
    const later = withCancel(background());
    listen(later, () => counts.later++);
    later.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "each cancels the next of unrelated contexts, until the stack is full",
  // How many a stack holds is not known, so this compares states only.
  { size, linear: false, counts: (n) => ({ told: n, aborted: n, twice: 0 }) },
  async (n) => {
    const counts = { told: 0, aborted: 0, twice: 0 };
    using _ = preventing(() => {});
    const dominoes: CancelableContext[] = many(
      n,
      () => withCancel(background()),
    );
    const told = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      listen(dominoes[i]!, () => {
        if (told[i]!++ > 0) counts.twice++;
        dominoes[i + 1]?.cancel();
      });
    }
    // Each round falls as deep as the stack allows; where the chain broke off,
    // what was not reached is open and can still be canceled.
    for (const domino of dominoes) domino.cancel();
    // The errors of full stacks are reported in microtasks.
    await new Promise((resolve) => setTimeout(resolve));
    counts.told = told.filter((times) => times > 0).length;
    counts.aborted = dominoes.filter(({ signal }) => signal.aborted).length;
    return counts;
  },
);

/** Calls `f` for each uncaught error instead of ending the process. */
function preventing(f: (error: unknown) => void): Disposable {
  const listener = (event: ErrorEvent) => {
    event.preventDefault();
    f(event.error);
  };
  globalThis.addEventListener("error", listener);
  return {
    [Symbol.dispose]: () => globalThis.removeEventListener("error", listener),
  };
}
