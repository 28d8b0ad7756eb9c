import { assertEquals } from "@std/assert";
import { afterFunc, background, group, withCancel } from "@curfew/context";
import { observeTree, type TreeObserver } from "../../context/tree_observer.ts";

/** Counts the calls. */
class Counter implements TreeObserver {
  readonly counts = { created: 0, ended: 0, described: 0 };

  created(): void {
    this.counts.created++;
  }

  ended(): void {
    this.counts.ended++;
  }

  described(): void {
    this.counts.described++;
  }
}

Deno.test("observeTree() tells of contexts and leaves that are created and end", () => {
  const counter = new Counter();
  {
    using _observing = observeTree(counter);
    const ctx = withCancel(background());
    withCancel(ctx);
    afterFunc(ctx, () => {});
    assertEquals(counter.counts, { created: 3, ended: 0, described: 0 });
    ctx.cancel();
    ctx.cancel();
  }
  assertEquals(counter.counts, { created: 3, ended: 3, described: 0 });
  using _ctx = withCancel(background());
  assertEquals(counter.counts.created, 3);
});

Deno.test("observeTree() lets two observe, and the one that is left go on", () => {
  const counters = [new Counter(), new Counter()];
  const first = observeTree(counters[0]!);
  using _second = observeTree(counters[1]!);
  using _one = withCancel(background());
  first[Symbol.dispose]();
  using _two = withCancel(background());
  assertEquals(counters.map(({ counts }) => counts.created), [1, 2]);
});

Deno.test("observeTree() tells two observers of ends and descriptions", async () => {
  const counters = [new Counter(), new Counter()];
  using _first = observeTree(counters[0]!);
  using _second = observeTree(counters[1]!);
  {
    await using _tasks = group(background());
  }
  const [first, second] = counters.map(({ counts }) => counts);
  assertEquals([first!.ended, first!.described], [1, 1]);
  assertEquals(second, first);
});
