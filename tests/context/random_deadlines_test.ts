// Random deadlines and sleeps, on one fake clock after another, against a model
// that is too simple to be wrong: it looks at all of them whenever time passes.

import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  type CancelableContext,
  type Context,
  remaining,
  sleep,
  snapshot,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { Random } from "./random.ts";

/** Set this to the seed that a failure has printed to see that one again. */
const only = Deno.env.get("CONTEXT_TEST_SEED");

const times = [
  ...[-Infinity, -1000, -1, 0, 0.5, 1, 5, 5, 10, 10, 100, 1000],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 + 7, Infinity],
];

const steps = [0, 1, 1, 3, 5, 10, 100, 1000, 2 ** 31];

/** A context, and what should have become of it. */
interface Model {
  readonly ctx: CancelableContext;
  readonly parent: Model | undefined;
  readonly due: number;
  end: "AbortError" | "TimeoutError" | undefined;
  /** Taken early, so that only an alarm can abort it. */
  signal?: AbortSignal;
}

interface Sleep {
  readonly on: Model | undefined;
  readonly due: number;
  state: "pending" | "resolved" | "rejected";
}

class Deadlines {
  readonly #random: Random;
  readonly #models: Model[] = [];
  readonly #sleeps: Sleep[] = [];
  #now: number;
  /** Fake wall time minus `#now`; another one on each clock. */
  #skew = 0;

  constructor(random: Random, now: number) {
    this.#random = random;
    this.#now = now;
  }

  async onOneClock(): Promise<void> {
    using time = new FakeTime(this.#now + this.#skew);
    // Nothing tells of a clock that is installed: it takes a look, or a wait.
    this.#check();
    sleep(background(), 0);
    for (let i = 0; i < 60; i++) this.#step(time);
    this.#check();
    time.tick(0);
    await time.runMicrotasks();
    for (const { on, due, state } of this.#sleeps) {
      if (state === "pending") {
        assertEquals([on?.end, due > this.#now], [undefined, true], "sleeps");
      } else if (state === "resolved") {
        assertEquals(due <= this.#now, true, "slept");
      } else assertEquals(on?.end !== undefined, true, "woken");
    }
    // Deadlines keep the time they have left, wherever the next clock begins.
    this.#skew = this.#random.below(2_000_000) - 1_000_000;
  }

  async end(): Promise<void> {
    using time = new FakeTime(this.#now + this.#skew);
    for (const { ctx } of this.#models) ctx.cancel();
    time.tick(0);
    await time.runMicrotasks();
  }

  #step(time: FakeTime): void {
    const random = this.#random;
    const models = this.#models;
    const some = models.length > 0 && random.below(3) > 0
      ? random.of(models)
      : undefined;
    const ctx: Context = some?.ctx ?? background();
    switch (random.below(7)) {
      case 0: {
        const ms = random.of(times);
        const above = some?.due ?? Infinity;
        const due = Math.max(Math.min(above, this.#now + ms), -8.64e15);
        this.#add(withTimeout(ctx, ms), some, due);
        break;
      }
      case 1:
        this.#add(withCancel(ctx), some, some?.due ?? Infinity);
        break;
      case 2:
        if (some !== undefined && some.end === undefined) this.#listen(some);
        break;
      case 3:
        if (some === undefined) break;
        some.ctx.cancel();
        this.#stop(some, "AbortError");
        break;
      case 4: {
        const ms = random.of(steps);
        this.#now += ms;
        if (random.below(2) > 0) time.tick(ms);
        else time.now += ms;
        this.#expire();
        this.#checkSignals();
        break;
      }
      case 5: {
        const ms = random.of(times);
        const slept: Sleep = {
          on: some,
          due: this.#now + ms,
          state: "pending",
        };
        this.#sleeps.push(slept);
        sleep(ctx, ms).then(
          () => slept.state = "resolved",
          () => slept.state = "rejected",
        );
        break;
      }
      default: {
        const stop = afterFunc(ctx, () => {});
        if (random.below(2) > 0) stop();
        if (random.below(2) > 0) this.#check();
        else snapshot(ctx);
      }
    }
  }

  #add(ctx: CancelableContext, parent: Model | undefined, due: number): void {
    this.#models.push({ ctx, parent, due, end: parent?.end });
    this.#expire();
  }

  #listen(model: Model): void {
    model.signal = model.ctx.signal;
    if (this.#random.below(3) > 0) return;
    const other = this.#random.of(this.#models);
    model.signal.addEventListener("abort", () => {
      void withTimeout(background(), 3).signal;
      // In the middle of a step the clock is where the alarm has put it.
      this.#expire(Date.now() - this.#skew);
      other.ctx.cancel();
      this.#stop(other, "AbortError");
    });
  }

  #stop(model: Model, end: "AbortError" | "TimeoutError"): void {
    if (model.end !== undefined) return;
    model.end = end;
    for (const child of this.#models) {
      if (child.parent === model) this.#stop(child, end);
    }
  }

  #expire(now = this.#now): void {
    const due = this.#models.filter((model) => model.due <= now);
    for (const model of due.sort((one, other) => one.due - other.due)) {
      this.#stop(model, "TimeoutError");
    }
  }

  #check(): void {
    this.#expire();
    for (const { ctx, due, end } of this.#models) {
      assertEquals(ctx.err?.name, end, String(ctx));
      const left = end === undefined ? due - this.#now : 0;
      assertEquals(remaining(ctx), left, String(ctx));
    }
    this.#checkSignals();
  }

  #checkSignals(): void {
    for (const { ctx, signal, end } of this.#models) {
      if (signal === undefined) continue;
      assertEquals(signal.aborted, end !== undefined, String(ctx));
    }
  }
}

Deno.test("random deadlines and sleeps end as a simple model says, on one fake clock after another", async () => {
  const seeds = only === undefined
    ? Array.from({ length: 200 }, (_, i) => i)
    : [Number(only)];
  for (const seed of seeds) {
    const start = Date.UTC(2026, 10, 22, 5);
    const deadlines = new Deadlines(new Random(seed), start);
    try {
      for (let i = 0; i < 3; i++) await deadlines.onOneClock();
    } catch (error) {
      throw new Error(`with CONTEXT_TEST_SEED=${seed}`, { cause: error });
    } finally {
      await deadlines.end();
    }
  }
});
