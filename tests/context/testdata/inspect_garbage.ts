// Run with --v8-flags=--expose-gc. Prints, as JSON, what an inspector reports about
// contexts that were dropped, and the growth of the heap in bytes while a million
// contexts end under it. Does not end if events that wait for a reader keep their
// contexts alive.

import {
  background,
  type Context,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { inspect } from "@curfew/context/inspect";

declare const gc: () => void;

const inspector = inspect({ stacks: true });

function drop(): void {
  for (let i = 0; i < 100; i++) withCancel(withCancel(background()));
}

function end(count: number): void {
  for (let i = 0; i < count; i++) {
    using ctx = withCancel(background());
    using _child = withTimeout(ctx, 60_000);
  }
}

function refs(): WeakRef<Context>[] {
  return Array.from(
    { length: 10 },
    () => new WeakRef(withCancel(background())),
  );
}

/** Collects garbage until `f` is true: finalizers take some turns. */
async function collectUntil(f: () => boolean): Promise<void> {
  while (!f()) {
    // A WeakRef that was read keeps its target until the event loop turns.
    await new Promise((resolve) => setTimeout(resolve, 10));
    gc();
  }
}

drop();
// Those that are young are held for up to a second.
await collectUntil(() => inspector.suspects().dropped[0]?.count === 100);
const { dropped } = inspector.suspects();
const { open } = inspector.tree();
inspector[Symbol.dispose]();

const unread = inspect();
const _events = unread[Symbol.asyncIterator]();
const inEvents = refs();
// Reading ages what is young, as the timer does.
unread.recent();
await collectUntil(() => inEvents.every((ref) => ref.deref() === undefined));
unread[Symbol.dispose]();

const plain = inspect();
end(10_000);
plain.tree();
gc();
const before = Deno.memoryUsage().heapUsed;
for (let i = 0; i < 100; i++) {
  end(10_000);
  await Promise.resolve();
}
plain.tree();
gc();
const growth = Deno.memoryUsage().heapUsed - before;
plain[Symbol.dispose]();

console.log(JSON.stringify({ dropped, open, growth }));
