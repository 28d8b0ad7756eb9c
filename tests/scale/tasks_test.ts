// Tasks and loops, 100,000 of them at once.

import {
  background,
  every,
  group,
  singleFlight,
  sleep,
  untilDone,
  WaitGroup,
  withCancel,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";

const size = 100_000;
const hour = 3_600_000;

function many<T>(n: number, make: (i: number) => T): T[] {
  return Array.from({ length: n }, (_, i) => make(i));
}

atScale(
  import.meta,
  "tasks of a group that are queued, run in order",
  { size, counts: (n) => ({ ran: n, inOrder: n, results: n }) },
  async (n) => {
    const counts = { ran: 0, inOrder: 0, results: 0 };
    const tasks = group(background(), { limit: 10 });
    const results = many(n, (i) =>
      tasks.run(() => {
        if (counts.ran++ === i) counts.inOrder++;
        return Promise.resolve(i);
      }));
    for (const [i, result] of results.entries()) {
      if (await result === i) counts.results++;
    }
    await tasks.wait();
    return counts;
  },
);

atScale(
  import.meta,
  "tasks of a group that are queued, dropped by one cancel",
  { size, counts: (n) => ({ ran: 1, released: n, rejected: 1 }) },
  async (n) => {
    const counts = { ran: 0, released: 0, rejected: 0 };
    const parent = withCancel(background());
    const tasks = group(parent, { limit: 1 });
    const queued = many(n, () =>
      tasks.go((ctx) => {
        counts.ran++;
        return sleep(ctx, hour);
      }));
    parent.cancel();
    counts.released = (await Promise.all(queued)).length;
    await tasks.wait().catch(() => counts.rejected++);
    return counts;
  },
);

// Ended before and after the promises of the tasks have been awaited.
for (const when of ["at once", "a turn later"]) {
  atScale(
    import.meta,
    `tasks of a group that run, ended by one cancel ${when}`,
    { size, counts: (n) => ({ active: n, left: 0, rejected: 1 }) },
    async (n) => {
      const parent = withCancel(background());
      const tasks = group(parent);
      for (let i = 0; i < n; i++) tasks.go((ctx) => sleep(ctx, hour));
      if (when !== "at once") await sleep(background(), 0);
      const { active } = tasks;
      parent.cancel();
      let rejected = 0;
      await tasks.wait().catch(() => rejected++);
      return { active, left: tasks.active, rejected };
    },
  );
}

atScale(
  import.meta,
  "groups of one task under one parent, ended by one cancel",
  { size, counts: (n) => ({ ended: n }) },
  async (n) => {
    const parent = withCancel(background());
    const groups = many(n, () => {
      const tasks = group(parent);
      tasks.go((ctx) => ctx.done);
      return tasks;
    });
    parent.cancel();
    await Promise.all(groups.map((tasks) => tasks.wait()));
    return { ended: groups.filter(({ active }) => active === 0).length };
  },
);

atScale(
  import.meta,
  "tasks of a WaitGroup that fail at once, and as many waits",
  { size, counts: (n) => ({ count: 0, rejected: n }) },
  async (n) => {
    const tasks = new WaitGroup();
    const ctx = withCancel(background());
    for (let i = 0; i < n; i++) tasks.go(() => Promise.reject(i));
    const waits = many(n, () => tasks.wait(ctx));
    const ends = await Promise.allSettled(waits);
    const rejected = ends.filter(({ status }) => status === "rejected");
    return { count: tasks.count, rejected: rejected.length };
  },
);

/** Functions that start a task. */
const starts: { [name: string]: () => (f: () => unknown) => unknown } = {
  "group.go()": () => {
    // deno-lint-ignore curfew/floating-group
    const tasks = group(background());
    return (f) => tasks.go(f);
  },
  "singleFlight()": () => {
    let key = 0;
    const shared = singleFlight((_ctx, _key: number, f: () => unknown) => f());
    return (f) => shared(background(), key++, f);
  },
};

for (const [name, starter] of Object.entries(starts)) {
  atScale(
    import.meta,
    `tasks of ${name} that each start the next before anything else`,
    { size, counts: (n) => ({ ran: n }) },
    (n) => {
      const start = starter();
      let ran = 0;
      return new Promise((resolve) => {
        function next(): void {
          ran++;
          if (ran < n) start(next);
          else resolve({ ran });
        }
        start(next);
      });
    },
  );
}

/** Loops that wait for something that never comes. */
const loops = {
  "every()": (ctx: Parameters<typeof every>[0]) => every(ctx, hour),
  "untilDone() of a stream": (ctx: Parameters<typeof every>[0]) =>
    untilDone(ctx, new ReadableStream()),
  "untilDone() of an async iterator": (ctx: Parameters<typeof every>[0]) =>
    untilDone(ctx, {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<unknown>>(() => {}),
      }),
    }),
};
for (const [name, loop] of Object.entries(loops)) {
  atScale(
    import.meta,
    `loops over ${name}, ended by one cancel`,
    { size, counts: (n) => ({ ended: n }) },
    async (n) => {
      const ctx = withCancel(background());
      const asked = many(n, () => loop(ctx).next());
      ctx.cancel();
      const results = await Promise.all(asked);
      return { ended: results.filter(({ done }) => done).length };
    },
  );

  atScale(
    import.meta,
    `loops over ${name}, left one by one`,
    { size, counts: (n) => ({ ended: n }) },
    async (n) => {
      const ctx = withCancel(background());
      const iterators = many(n, () => loop(ctx));
      const asked = iterators.map((iterator) => iterator.next());
      for (const iterator of iterators) iterator.return();
      const results = await Promise.all(asked);
      return { ended: results.filter(({ done }) => done).length };
    },
  );
}

atScale(
  import.meta,
  "calls of next() on one every(), left",
  { size, counts: (n) => ({ ended: n }) },
  async (n) => {
    const ticks = every(background(), hour);
    const asked = many(n, () => ticks.next());
    ticks.return();
    const results = await Promise.all(asked);
    return { ended: results.filter(({ done }) => done).length };
  },
);
