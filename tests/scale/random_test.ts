// A random program with 100,000 contexts, whose listeners use them while they are
// being told, against a model that marks a tree with a loop and tells nobody.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  afterFunc,
  background,
  type Context,
  type ContextError,
  createKey,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Random } from "../context/random.ts";
import { atScale } from "./at_scale.ts";
import { ManualClock } from "./manual_clock.ts";

/** Set this to the seed that a failure has printed to run that program alone. */
const only = Deno.env.get("CONTEXT_TEST_SEED");
const seeds = only === undefined ? [1, 2] : [Number(only)];

/** Listeners that are called by each other use other contexts up to this depth. */
const deepestUse = 20;
/** The real one. */
const { setTimeout } = globalThis;
const longestTimeout = 1_000_000;

/** One cancellation; everything that it ended shares one error. */
interface End {
  readonly name: "AbortError" | "TimeoutError";
  err?: ContextError;
}

/** The expected state of a context. */
interface Model {
  readonly children: Model[];
  readonly isDetached: boolean;
  end: End | undefined;
  /** Listeners and functions that were added while it was open. */
  listeners: number;
  told: number;
}

interface Branch extends Model {
  readonly ctx: Context & { cancel?: () => void };
}

/** A foreign signal and the contexts that are joined to it. */
interface Foreign {
  readonly controller: AbortController;
  readonly end: End;
  readonly branches: Model[];
}

class Program {
  readonly branches: Branch[] = [];
  readonly #random: Random;
  readonly #clock: ManualClock;
  readonly #foreign: Foreign[] = [];
  /** The branches that are due, by time. */
  readonly #due = new Map<number, Model[]>();
  readonly #probe = withTimeout(background(), 1e12);
  readonly #key = createKey<number>("key");
  #depth = 0;
  /** False while something that is due may not have been noticed. */
  #isSettled = true;
  #failure: { error: unknown } | undefined;

  constructor(random: Random, clock: ManualClock) {
    this.#random = random;
    this.#clock = clock;
    this.#add(undefined, () => withCancel(background()));
  }

  async run(n: number): Promise<void> {
    while (this.branches.length < n) {
      this.#step();
      // The functions of afterFunc run in between.
      if (this.#random.below(100) === 0) await Promise.resolve();
    }
    // Half of the deadlines at once, then everything else.
    this.#pass(longestTimeout / 2);
    this.#cancel(this.branches[0]!);
    this.#pass(longestTimeout);
    this.#settle();
    // The functions of afterFunc may end more.
    await new Promise((resolve) => setTimeout(resolve));
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Compares everything with the model. */
  check(): void {
    const errors = new Set<ContextError>();
    for (const branch of this.branches) {
      this.#look(branch);
      assertEquals(branch.told, branch.end ? branch.listeners : 0);
      if (branch.end === undefined) continue;
      const err = branch.ctx.err!;
      if (branch.end.err === undefined) {
        assert(!errors.has(err), "shared error");
      }
      errors.add(err);
      assertStrictEquals(branch.end.err ??= err, err);
    }
  }

  #step(): void {
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
        return this.#cancel(this.#recent());
      case 1:
        return random.below(20) === 0 ? this.#abort() : undefined;
      case 2:
        this.#pass(random.below(20));
        // Else a look, a cancellation or the next alarm finds out.
        return random.below(2) === 0 ? this.#settle() : undefined;
      case 3:
      case 4:
        return this.#look(random.of(this.branches));
      case 5:
      case 6:
      case 7:
        return this.#listen();
      default:
        return this.#grow();
    }
  }

  #grow(): void {
    const random = this.#random;
    // Now and then a chain instead of a bush.
    const parent = random.below(3) === 0 ? this.#recent() : this.#open();
    const { ctx } = parent;
    switch (random.below(20)) {
      case 0:
        return this.#add(parent, () => withoutCancel(ctx), {
          isDetached: true,
        });
      case 2:
        return this.#add(parent, () => withValue(ctx, this.#key, 1));
      case 3: {
        const foreign = this.#someForeign();
        const { signal } = foreign.controller;
        if (signal.aborted) this.#settle();
        return this.#add(parent, () => withSignal(ctx, signal), { foreign });
      }
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: {
        const ms = 1 + random.below(longestTimeout);
        const due = this.#clock.now + ms;
        return this.#add(parent, () => withTimeout(ctx, ms), { due });
      }
      default:
        return this.#add(parent, () => withCancel(ctx));
    }
  }

  #someForeign(): Foreign {
    if (this.#random.below(50) === 0 || this.#foreign.length === 0) {
      const controller = new AbortController();
      const end: End = { name: "AbortError" };
      this.#foreign.push({ controller, end, branches: [] });
    }
    return this.#random.of(this.#foreign);
  }

  #add(
    parent: Branch | undefined,
    derive: () => Context & { cancel?: () => void },
    { isDetached = false, foreign, due }: {
      isDetached?: boolean;
      foreign?: Foreign;
      due?: number;
    } = {},
  ): void {
    // To derive is to look at the parent, so listeners may run meanwhile.
    const model: Model = {
      children: [],
      isDetached,
      end: isDetached ? undefined : parent?.end,
      listeners: 0,
      told: 0,
    };
    parent?.children.push(model);
    foreign?.branches.push(model);
    if (foreign?.controller.signal.aborted) this.#stop(model, foreign.end);
    if (due !== undefined) {
      const others = this.#due.get(due);
      if (others === undefined) this.#due.set(due, [model]);
      else others.push(model);
    }
    this.branches.push(Object.assign(model, { ctx: derive() }));
  }

  /** A context that is open, most likely. */
  #open(): Branch {
    for (let tries = 0; tries < 10; tries++) {
      const branch = this.#random.of(this.branches);
      if (branch.end === undefined) return branch;
    }
    return this.branches[0]!;
  }

  /** One of the latest; the earlier ones have most of the others below them. */
  #recent(): Branch {
    const { length } = this.branches;
    return this
      .branches[length - 1 - this.#random.below(Math.min(length, 100))]!;
  }

  #listen(): void {
    const branch = this.#random.below(2) === 0 ? this.#open() : this.#recent();
    const tell = () => {
      branch.told++;
      this.#use();
    };
    if (this.#random.below(4) === 0) {
      afterFunc(branch.ctx, tell);
    } else {
      // Reading it is a look, which may end the context.
      const { signal } = branch.ctx;
      if (branch.end !== undefined) return;
      signal.addEventListener("abort", tell);
    }
    branch.listeners++;
  }

  /** Uses other contexts from a listener, and checks that their listeners run. */
  #use(): void {
    if (this.#depth >= deepestUse || this.#failure !== undefined) return;
    this.#depth++;
    try {
      for (let n = this.#random.below(3); n > 0; n--) this.#step();
    } catch (error) {
      // Thrown from a listener it would be nobody's.
      this.#failure = { error };
    } finally {
      this.#depth--;
    }
  }

  /** Compares a context; a look may run listeners, which may end it. */
  #look(branch: Branch): void {
    const { ctx } = branch;
    if (this.#random.below(2) === 0) {
      const { aborted } = ctx.signal;
      assertEquals(aborted, branch.end !== undefined, "aborted");
      assertStrictEquals(ctx.signal.reason, ctx.err);
    }
    const { err } = ctx;
    assertEquals(err?.name, branch.end?.name, "err");
  }

  #cancel(branch: Branch): void {
    const { cancel } = branch.ctx;
    if (cancel === undefined) return;
    // Deadlines that are due end before this, and listeners would see the difference.
    if (branch.end === undefined) this.#settle();
    this.#stop(branch, { name: "AbortError" });
    cancel();
  }

  #abort(): void {
    if (this.#foreign.length === 0) return;
    const { controller, end, branches } = this.#random.of(this.#foreign);
    for (const branch of branches) this.#stop(branch, end);
    controller.abort("enough");
  }

  /** Lets time pass without telling anyone. */
  #pass(ms: number): void {
    // A listener takes no time.
    if (this.#depth > 0) return;
    this.#isSettled = false;
    for (const until = this.#clock.now + ms; this.#clock.now < until;) {
      this.#clock.now++;
      for (const model of this.#due.get(this.#clock.now) ?? []) {
        this.#stop(model, { name: "TimeoutError" });
      }
      this.#due.delete(this.#clock.now);
    }
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#clock.ring();
    // No alarm rings if nobody waits for a context with a deadline.
    void this.#probe.err;
  }

  #stop(root: Model, end: End): void {
    const stack = [root];
    for (let model; (model = stack.pop()) !== undefined;) {
      if (model.end !== undefined) continue;
      model.end = end;
      for (const child of model.children) {
        if (!child.isDetached) stack.push(child);
      }
    }
  }
}

atScale(
  import.meta,
  "random programs end as their models do",
  {
    size: 100_000,
    linear: false,
    counts: (n) => ({ contexts: n * seeds.length }),
  },
  async (n) => {
    for (const seed of seeds) {
      using clock = new ManualClock();
      const program = new Program(new Random(seed), clock);
      try {
        await program.run(n);
        program.check();
      } catch (error) {
        throw new Error(`with CONTEXT_TEST_SEED=${seed}`, { cause: error });
      }
    }
    return { contexts: n * seeds.length };
  },
);
