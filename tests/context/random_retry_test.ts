// Random schedules of failures, stalls and Retry-After, against a model that
// knows the whole schedule in advance.

import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  type CancelableContext,
  type Context,
  DeadlineExceeded,
  retry,
  snapshot,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { type AutoAdvance, autoAdvance } from "@curfew/context/testing";
import { Random } from "./random.ts";
import { unhandledIn } from "./unhandled.ts";

/** The course of one attempt, and its duration in ms. */
interface Step {
  does: "succeed" | "fail" | "throw" | "stall" | "heed";
  ms: number;
  /** The result of retryIf for its failure. */
  decision: boolean | number;
  /** The random part of the wait after it. */
  fraction: number;
}

/**
 * One run of retry. No two things happen at the same time in it, because attempts
 * and waits take a multiple of 4 ms, attempts time out after 4 n + 2 ms, and ctx
 * ends after an odd number of ms. Times after an attempt that timed out are even.
 */
interface Schedule {
  steps: Step[];
  attempts: number;
  attemptTimeout: number | undefined;
  /** Deadline of ctx, and the time at which it is canceled, in ms. */
  deadline: number | undefined;
  cancel: number | undefined;
}

const BACKOFF = { first: 256, factor: 2, max: 4_096 };

/** The outcome of a run. */
interface Outcome {
  /** Times in ms at which the attempts began. */
  starts: number[];
  /** Time in ms at which it was over. */
  end: number;
  /** The number of the attempt for its result or its failure. */
  result: `result ${number}` | `failure ${number}` | "attempt timeout" | "ctx";
}

function scheduleOf(random: Random): Schedule {
  const attempts = random.of([1, 2, 3, 5, 8, Infinity]);
  const count = attempts === Infinity ? 12 : attempts;
  const steps = Array.from({ length: count }, (): Step => ({
    does: random.of(["fail", "fail", "throw", "stall", "heed", "succeed"]),
    ms: random.of([0, 4, 100, 2_000]),
    decision: random.of([true, true, true, 0, 8, 400, 60_000, -4, false]),
    fraction: random.below(65) / 64,
  }));
  // An unlimited run has to come to an end, too.
  if (attempts === Infinity) {
    steps.push({ ...steps[0]!, does: "succeed", ms: 0 });
  }
  // Without a limit, a stall would never end.
  const stalls = steps.some(({ does }) => does === "stall" || does === "heed");
  const deadline = random.of([undefined, 1, 401, 4_001, 20_001]);
  const mustEnd = stalls && deadline === undefined;
  return {
    steps,
    attempts,
    attemptTimeout: random.of(mustEnd ? [302] : [undefined, 302, 1_002]),
    deadline,
    cancel: random.of([undefined, undefined, 3, 303, 3_003]),
  };
}

function modelOf(schedule: Schedule): Outcome {
  const { steps, attempts, attemptTimeout = Infinity } = schedule;
  const { deadline = Infinity, cancel = Infinity } = schedule;
  const over = Math.min(deadline, cancel);
  const starts: number[] = [];
  let now = 0;
  let limit = BACKOFF.first;
  for (let attempt = 1;; attempt++) {
    starts.push(now);
    const { does, ms, decision, fraction } = steps[attempt - 1]!;
    const stalls = does === "stall" || does === "heed";
    const took = stalls ? Infinity : does === "throw" ? 0 : ms;
    const timedOut = took > attemptTimeout;
    now += Math.min(took, attemptTimeout);
    if (now > over) return { starts, end: over, result: "ctx" };
    if (does === "succeed" && !timedOut) {
      return { starts, end: now, result: `result ${attempt}` };
    }
    const result = timedOut ? "attempt timeout" : `failure ${attempt}` as const;
    if (attempt === attempts || decision === false) {
      return { starts, end: now, result };
    }
    const wait = decision === true ? fraction * limit : Math.max(0, decision);
    limit = Math.min(limit * BACKOFF.factor, BACKOFF.max);
    if (now + wait >= deadline) return { starts, end: now, result };
    now += wait;
    if (now > over) return { starts, end: over, result: "ctx" };
  }
}

/** The random part of the next wait; retryIf sets it right before it is drawn. */
let fraction = 0;

/** Replaces Math.random until it is disposed. */
function fractionForRandom(): Disposable {
  const { random } = Math;
  Math.random = () => fraction;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** Runs retry itself, under a clock that begins at 0. */
async function runOf(schedule: Schedule, clock: AutoAdvance): Promise<Outcome> {
  const { steps, attempts, attemptTimeout, deadline, cancel } = schedule;
  const top: CancelableContext = withCancel(background());
  const ctx = deadline === undefined ? top : withTimeout(top, deadline);
  if (cancel !== undefined) setTimeout(top.cancel, cancel);
  const starts: number[] = [];
  const settled = await retry(ctx, (ctx, attempt) => {
    assertEquals(ctx.err, undefined);
    assertEquals(attempt, starts.length + 1);
    starts.push(Date.now());
    return perform(ctx, steps[attempt - 1]!, attempt);
  }, {
    attempts,
    attemptTimeout,
    backoff: BACKOFF,
    retryIf() {
      const step = steps[starts.length - 1]!;
      fraction = step.fraction;
      return step.decision;
    },
  }).catch((error) => error);
  const outcome: Outcome = {
    starts: [...starts],
    end: Date.now(),
    result: settled === ctx.err ? "ctx" : describe(settled),
  };
  const { children, afterFuncs } = snapshot(top);
  const own = ctx === top || ctx.err !== undefined ? 0 : 1;
  assertEquals([children.length, afterFuncs], [own, 0]);
  await clock.idle();
  assertEquals(starts, outcome.starts, "an attempt after the end");
  top.cancel();
  return outcome;
}

function describe(settled: unknown): Outcome["result"] {
  if (settled instanceof DeadlineExceeded) return "attempt timeout";
  const text = settled instanceof Error ? settled.message : settled;
  return text as Outcome["result"];
}

function perform(ctx: Context, step: Step, attempt: number): Promise<string> {
  const failure = new Error(`failure ${attempt}`);
  if (step.does === "throw") throw failure;
  return new Promise((resolve, reject) => {
    if (step.does === "heed") {
      ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
    } else if (step.does !== "stall") {
      // Also after its ctx has ended, when the outcome is no longer awaited.
      setTimeout(
        () =>
          step.does === "succeed"
            ? resolve(`result ${attempt}`)
            : reject(failure),
        step.ms,
      );
    }
  });
}

Deno.test("retry() follows the model through 1,000 random schedules", async () => {
  const seed = Number(
    Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  );
  console.log(`SEED=${seed}`);
  const random = new Random(seed);
  const results = new Map<string, number>();
  using _random = fractionForRandom();
  const reasons = await unhandledIn(async () => {
    for (let batch = 0; batch < 20; batch++) {
      using time = new FakeTime(0);
      using clock = autoAdvance(time);
      const schedules = Array.from({ length: 50 }, () => scheduleOf(random));
      const outcomes = await Promise.all(
        schedules.map((schedule) => runOf(schedule, clock)),
      );
      for (const [i, schedule] of schedules.entries()) {
        const actual = outcomes[i]!;
        assertEquals(actual, modelOf(schedule), Deno.inspect(schedule));
        const { deadline = Infinity } = schedule;
        assert(actual.end <= deadline);
        assert(actual.starts.every((at) => at < deadline));
        const kind = actual.result.replace(/ \d+$/, "");
        results.set(kind, (results.get(kind) ?? 0) + 1);
      }
    }
  });
  assertEquals(reasons, []);
  // Every kind of outcome occurs often.
  assertEquals(
    [...results].filter(([, count]) => count > 50).map(([kind]) => kind).sort(),
    ["attempt timeout", "ctx", "failure", "result"],
  );
});
