// A chain of 100,000 contexts, each the child of the one before.

import {
  afterFunc,
  background,
  type CancelableContext,
  type Context,
  createKey,
  type Snapshot,
  snapshot,
  withCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { atScale } from "./at_scale.ts";

const size = 100_000;
const hour = 3_600_000;

function chain(root: Context, n: number): CancelableContext[] {
  const links: CancelableContext[] = [];
  for (let ctx = root; links.length < n;) {
    const link = withCancel(ctx);
    links.push(link);
    ctx = link;
  }
  return links;
}

atScale(
  import.meta,
  "a chain with a listener at each level is told from the top",
  { size, counts: (n) => ({ told: n, inOrder: n, oneError: n }) },
  (n) => {
    const counts = { told: 0, inOrder: 0, oneError: 0 };
    const links = chain(background(), n);
    for (let i = 0; i < n; i++) {
      links[i]!.signal.addEventListener("abort", () => {
        if (counts.told++ === i) counts.inOrder++;
      });
    }
    links[0]!.cancel();
    const { err } = links[0]!;
    counts.oneError = links.filter((link) => link.err === err).length;
    return counts;
  },
);

atScale(
  import.meta,
  "each listener of a chain cancels the link below",
  { size, counts: (n) => ({ told: n }) },
  (n) => {
    const counts = { told: 0 };
    const links = chain(background(), n);
    for (let i = 0; i < n; i++) {
      links[i]!.signal.addEventListener("abort", () => {
        counts.told++;
        links[i + 1]?.cancel("too late");
      });
    }
    links[0]!.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "a chain of contexts with a foreign signal each is built, and ends with the first",
  { size, counts: (n) => ({ done: n, oneError: n }) },
  (n) => {
    const counts = { done: 0, oneError: 0 };
    const first = new AbortController();
    const links = [withSignal(background(), first.signal)];
    while (links.length < n) {
      const { signal } = new AbortController();
      links.push(withSignal(links.at(-1)!, signal));
    }
    first.abort();
    const { err } = links[0]!;
    for (const link of links) {
      if (link.err !== undefined) counts.done++;
      if (link.err === err) counts.oneError++;
    }
    return counts;
  },
);

atScale(
  import.meta,
  "a chain of deadlines ends with the first",
  { size, counts: (n) => ({ told: n, oneError: n }) },
  (n) => {
    const counts = { told: 0, oneError: 0 };
    const root = withCancel(background());
    let leaf: Context = root;
    for (let i = 0; i < n; i++) {
      const link = withTimeout(leaf, hour - i);
      link.signal.addEventListener("abort", () => {
        counts.told++;
        if (link.err === root.err) counts.oneError++;
      });
      leaf = link;
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "a chain whose links end from the bottom",
  { size, counts: (n) => ({ told: n, left: 0 }) },
  (n) => {
    const counts = { told: 0, left: 0 };
    const root = withCancel(background());
    const links = chain(root, n);
    for (const link of links) {
      link.signal.addEventListener("abort", () => counts.told++);
    }
    for (const link of links.toReversed()) link.cancel();
    counts.left = snapshot(root).children.length;
    return counts;
  },
);

atScale(
  import.meta,
  "a chain is printed",
  { size, counts: (n) => ({ levels: n, inspected: n }) },
  (n) => {
    const leaf = chain(background(), n).at(-1)!;
    const levels = (text: string) => text.split(".withCancel").length - 1;
    return { levels: levels(`${leaf}`), inspected: levels(Deno.inspect(leaf)) };
  },
);

atScale(
  import.meta,
  "a chain is snapshotted",
  { size, counts: (n) => ({ levels: n, afterFuncs: n, prefixes: n }) },
  (n) => {
    const counts = { levels: 0, afterFuncs: 0, prefixes: 0 };
    const root = withCancel(background());
    const links = chain(root, n);
    for (const link of links) afterFunc(link, () => {});
    const { length } = `${root}`;
    let [at]: readonly (Snapshot | undefined)[] = snapshot(root).children;
    for (; at !== undefined; [at] = at.children) {
      counts.levels++;
      counts.afterFuncs += at.afterFuncs;
      // The label of each level begins with that of the level above.
      const expected = length + ".withCancel".length * counts.levels;
      if (at.label.length === expected) counts.prefixes++;
    }
    root.cancel();
    return counts;
  },
);

atScale(
  import.meta,
  "a value is found through a chain",
  { size, counts: () => ({ found: 1 }) },
  (n) => {
    const key = createKey<number>("found");
    const leaf = chain(withValue(background(), key, 1), n).at(-1)!;
    return { found: leaf.value(key)! };
  },
);
