// Random trees, ended in random ways, against a model that is too simple to be
// wrong: every node knows its parent and its children, and a cancel walks them.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  cause,
  type Context,
  createKey,
  type Key,
  remaining,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";
import { Random } from "./random.ts";

/** Set this to the seed that a failure has printed to see that one again. */
const only = Deno.env.get("CONTEXT_TEST_SEED");

interface End {
  name: "AbortError" | "TimeoutError";
  cause: string | undefined;
}

/** The expected state of a context. */
class Model {
  readonly parent: Model | undefined;
  readonly children: Model[] = [];
  readonly values: Map<Key<number>, number>;
  readonly due: number;
  /** Withdrawn from the ends of all that is above. */
  readonly detached: boolean;
  end: End | undefined;

  constructor(
    parent?: Model,
    { value, due = Infinity, detached = false }: {
      value?: [Key<number>, number];
      due?: number;
      detached?: boolean;
    } = {},
  ) {
    this.parent = parent;
    this.values = new Map(parent?.values);
    if (value) this.values.set(...value);
    this.due = Math.min(due, detached ? Infinity : parent?.due ?? Infinity);
    this.detached = detached;
    if (!detached) this.end = parent?.end;
    parent?.children.push(this);
  }

  stop(end: End): void {
    if (this.end !== undefined) return;
    this.end = end;
    for (const child of this.children) {
      if (!child.detached) child.stop(end);
    }
  }
}

/** A context, its model, and what can be done to it. */
interface Branch {
  ctx: Context;
  model: Model;
  cancel?: (cause?: string) => void;
  abort?: (reason: string) => void;
}

const keys = ["a", "b", "c"].map((name) => createKey<number>(name));

class Tree {
  readonly random: Random;
  readonly time: FakeTime;
  /** The failure of an assertion in a listener. */
  failure: { error: unknown } | undefined;
  over = false;
  readonly branches: Branch[] = [{ ctx: background(), model: new Model() }];
  /** Deadlines by time, no two at the same. */
  readonly #deadlines = new Map<number, () => void>();
  #causes = 0;
  /** True if there are no listeners: no alarm rings, and reads notice deadlines. */
  readonly #quiet: boolean;

  constructor(random: Random, time: FakeTime) {
    this.random = random;
    this.time = time;
    this.#quiet = random.below(2) > 0;
  }

  grow(): void {
    const { ctx, model } = this.random.of(this.branches);
    const branch = this.#derive(ctx, model);
    this.branches.push(branch);
    if (this.#quiet) return;
    // Some listen, and some of these end others while they are being told.
    const what = this.random.below(8);
    if (what < 3) void branch.ctx.signal;
    if (what === 0) {
      branch.ctx.signal.addEventListener("abort", () => {
        if (this.over) return;
        try {
          this.check();
          this.stopOne();
          this.check();
        } catch (error) {
          // Thrown from here it would be nobody's.
          this.failure ??= { error };
        }
      });
    }
  }

  #derive(parent: Context, above: Model): Branch {
    switch (this.random.below(6)) {
      case 0: {
        const ctx = withCancel(parent);
        return { ctx, model: new Model(above), cancel: ctx.cancel };
      }
      case 1:
        return this.#timeout(parent, above);
      case 2: {
        const key = this.random.of(keys);
        const value = this.random.below(1000);
        const model = new Model(above, { value: [key, value] });
        return { ctx: withValue(parent, key, value), model };
      }
      case 3: {
        const controller = new AbortController();
        const ctx = withSignal(parent, controller.signal);
        const abort = (reason: string) => controller.abort(reason);
        return { ctx, model: new Model(above), cancel: ctx.cancel, abort };
      }
      case 4:
        return { ctx: new Wrapper(parent), model: new Model(above) };
      default: {
        // Fewer of these, or little would hang together.
        if (this.random.below(4) > 0) return this.#derive(parent, above);
        const model = new Model(above, { detached: true });
        return { ctx: withoutCancel(parent), model };
      }
    }
  }

  #timeout(parent: Context, above: Model): Branch {
    let ms = 1 + this.random.below(100_000);
    while (this.#deadlines.has(this.time.now + ms)) ms++;
    const due = this.time.now + ms;
    const why = this.random.below(2) > 0 ? `timeout at ${due}` : undefined;
    const ctx = withTimeout(parent, ms, { cause: why });
    const model = new Model(above, { due });
    this.#deadlines.set(
      due,
      () => model.stop({ name: "TimeoutError", cause: why }),
    );
    return { ctx, model, cancel: ctx.cancel };
  }

  /** Ends one context by its cancel or by a foreign signal. */
  stopOne(): void {
    const branch = this.random.of(this.branches);
    const why = `cause ${++this.#causes}`;
    if (branch.abort && this.random.below(2) > 0) {
      branch.model.stop({ name: "AbortError", cause: why });
      branch.abort(why);
    } else if (branch.cancel) {
      const given = this.random.below(3) > 0 ? why : undefined;
      branch.model.stop({ name: "AbortError", cause: given });
      branch.cancel(given);
    }
  }

  /** Moves the clock on, from deadline to deadline. */
  pass(ms: number): void {
    const until = this.time.now + ms;
    const passed = [...this.#deadlines.keys()].filter((due) => due <= until);
    for (const due of passed.sort((a, b) => a - b)) {
      this.#deadlines.get(due)!();
      this.#deadlines.delete(due);
      this.time.now = due;
    }
    this.time.now = until;
  }

  /** Compares some contexts, or all of them, with their models. */
  check(share = 5): void {
    for (const branch of this.branches) {
      if (this.random.below(share) === 0) this.#compare(branch);
    }
  }

  #compare({ ctx, model }: Branch): void {
    const { end, parent } = model;
    // In any order: what is looked at first must not make a difference.
    if (!this.#quiet && this.random.below(2) > 0) {
      assertEquals(ctx.signal.aborted, end !== undefined, String(ctx));
    }
    assertEquals(ctx.err?.name, end?.name, String(ctx));
    assertStrictEquals(cause(ctx), end && (end.cause ?? ctx.err), String(ctx));
    if (end !== undefined) {
      assertEquals(remaining(ctx), 0);
      assertStrictEquals(ctx.signal.reason, ctx.err);
    } else {
      assertEquals(remaining(ctx), model.due - Date.now());
    }
    assertEquals(ctx.deadline?.getTime() ?? Infinity, model.due);
    for (const key of keys) assertEquals(ctx.value(key), model.values.get(key));
    if (parent?.end !== undefined && parent.end === end) {
      const above = this.branches.find((branch) => branch.model === parent)!;
      assertStrictEquals(ctx.err, above.ctx.err);
    }
  }
}

function play(seed: number): void {
  using time = new FakeTime("2026-11-22T05:00:00Z");
  const tree = new Tree(new Random(seed), time);
  for (let step = 0; step < 60; step++) {
    const what = tree.random.below(10);
    if (what < 7) tree.grow();
    else if (what === 7) tree.stopOne();
    else if (what === 8) tree.pass(tree.random.below(20_000));
    else tree.check();
    if (tree.failure) throw tree.failure.error;
  }
  tree.check(1);
  tree.pass(200_000);
  tree.check(1);
  if (tree.failure) throw tree.failure.error;
  tree.over = true;
  for (const { cancel } of tree.branches) cancel?.();
}

Deno.test("a random tree ends as its model does, whatever ends it", () => {
  const seeds = only === undefined
    ? Array.from({ length: 300 }, (_, i) => i)
    : [Number(only)];
  for (const seed of seeds) {
    try {
      play(seed);
    } catch (error) {
      throw new Error(`with CONTEXT_TEST_SEED=${seed}`, { cause: error });
    }
  }
});
