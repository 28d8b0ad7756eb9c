// Facts about contexts, as the inspector keeps them.

import { assert, assertEquals } from "@std/assert";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterFunc, background, withCancel, withGrace } from "@curfew/context";
import { FakeTime } from "@std/testing/time";
import { inspect } from "@curfew/context/inspect";
import { captureStack } from "../../../context/creation_site.ts";
import { Facts } from "../../../context/inspect/recorder.ts";
import { observer } from "../../../context/tree_observer.ts";

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** Returns how many of `objects` are alive once nothing else refers to them. */
async function countAlive(objects: object[]): Promise<number> {
  const refs = objects.splice(0).map((object) => new WeakRef(object));
  await new Promise((resolve) => setTimeout(resolve, 0));
  gc();
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

/** In the frames of the stack of its facts, like a context. */
class Recorded {
  readonly facts = new Facts(0, 0, captureStack());
}

Deno.test("Facts keep nothing of the stack alive once their site is known", async () => {
  const recorded = Array.from({ length: 10 }, () => new Recorded());
  const facts = recorded.map(({ facts }) => facts);
  for (const { site } of facts) assert(site !== undefined);
  assertEquals(await countAlive(recorded), 0);
  // Alive to the end, or the stacks would go with the facts.
  assertEquals(facts.length, 10);
});

Deno.test("isSampled tells whether the stack was captured, before its site is read and after", () => {
  assertEquals(new Facts(0, 0).isSampled, false);
  const { facts } = new Recorded();
  assertEquals(facts.isSampled, true);
  assert(facts.site !== undefined);
  assertEquals(facts.isSampled, true);
});

Deno.test("recent() lets go of the contexts that have ended", async () => {
  using inspector = inspect();
  const ended = Array.from({ length: 10 }, () => withCancel(background()));
  ended.forEach((ctx) => afterFunc(ctx, () => {}));
  ended.forEach((ctx) => ctx.cancel("why"));
  assertEquals(inspector.recent().length, 10);
  assertEquals(await countAlive(ended), 0);
});

Deno.test("recent() shows a context that is older than the inspector, with what ended below it", () => {
  const top = withCancel(background());
  const middle = withCancel(top);
  using inspector = inspect();
  withCancel(middle);
  top.cancel("why");
  assertEquals(
    inspector.recent().map(({ age, causes, others }) => [age, causes, others]),
    [[undefined, ["why"], 2]],
  );
});

Deno.test("tree() names the context that was described, although another was created since", () => {
  using inspector = inspect();
  using first = withCancel(background());
  using _second = withCancel(background());
  observer!.described(first, "request", () => "GET /price");
  assertEquals(
    inspector.tree().children.map(({ name }) => name),
    ["GET /price", undefined],
  );
});

Deno.test("tree() gives each context one number, also one that is older than the inspector", () => {
  using older = withCancel(background());
  using inspector = inspect();
  using _first = withCancel(older);
  using _second = withCancel(older);
  const ids = () => {
    const [top] = inspector.tree().children;
    return [top!.id, ...top!.children.map(({ id }) => id)];
  };
  assertEquals(ids(), [0, 1, 2]);
  assertEquals(ids(), [0, 1, 2]);
});

Deno.test("tree() names ten groups of what it leaves out, and counts the others as one", () => {
  using inspector = inspect();
  using ctx = withCancel(background());
  const graces = Array.from({ length: 13 }, (_, i) => withGrace(ctx, i + 1));
  const { more } = inspector.tree({ children: 1 }).children[0]!;
  const [others, ...named] = more!;
  assertEquals([others!.what, others!.count], ["others", 2]);
  assertEquals(named.length, 10);
  graces.forEach((grace) => grace.cancel());
});

Deno.test("tree() tells the age of the oldest context that it leaves out", () => {
  using time = new FakeTime();
  using inspector = inspect();
  using ctx = withCancel(background());
  using _listed = withCancel(ctx);
  using _oldest = withCancel(ctx);
  time.tick(100);
  using _youngest = withCancel(ctx);
  assertEquals(inspector.tree({ children: 1 }).children[0]!.more, [
    { what: "withCancel", count: 2, oldest: 100 },
  ]);
});

Deno.test("recent() tells no line that ended a context whose stack was not sampled", () => {
  using inspector = inspect({ stacks: 0 });
  withCancel(background()).cancel("why");
  assertEquals(inspector.recent().map(({ endedBy }) => endedBy), [undefined]);
});
