/**
 * The scenarios: those of Go's own context benchmarks and a few more, each beside
 * what you would write without this package.
 */

import {
  afterFunc,
  background,
  type CancelableContext,
  type Context,
  createKey,
  group,
  type Key,
  sleep,
  withCancel,
  withTimeout,
  withValue,
} from "../../context/mod.ts";
import { repeat, type Work } from "./measure.ts";
// deno-lint-ignore no-import-prefix
import pLimit from "npm:p-limit@7.3.3";

/** One row of the table. */
export interface Scenario {
  name: string;
  /** The platform's way, in a few words. */
  platformWay: string;
  /** Go's benchmark of the same, without `Benchmark`, if there is one. */
  go?: string;
  /** Number of our operations in one of Go's. */
  goTimes?: number;
  /** Called when the scenario's turn comes, so that no other pays for it. */
  setUp: () => Sides;
}

/** The two ways, and their cleanup. */
export interface Sides {
  ours: Work;
  platform?: Work;
  tearDown?: () => void;
}

const hour = 3_600_000;
const fanOut = 100_000;
/** Number of contexts polled in turns; the engine would hoist the read of one. */
const several = 16;
/** Created in advance: abort() without a reason takes 10 us to capture a stack. */
const reason = new DOMException("context canceled", "AbortError");

/** Returns all scenarios, in the order of the table. */
export function scenarios(): Scenario[] {
  return [
    createCancel(),
    createCancelSignal(),
    timeoutCancel(),
    timeoutCancelSignal(),
    commonParentCancel(),
    ...[40, 4_000, 400_000].map(tenTimeouts),
    ...[1, 10, 100, 1_000].flatMap((depth) => [
      treeOnBackground(depth),
      treeOnOpen(depth),
      treeOnClosed(depth),
    ]),
    fanOutPlain(),
    fanOutSignals(),
    fanOutAfterFuncs(),
    pollErr("done"),
    pollErr("open"),
    pollSignal("done"),
    pollSignal("open"),
    pollUnderDeadline(),
    addValue(),
    ...[10, 20, 30, 50, 100].map(missValue),
    concurrentSleeps(),
    groupTask(),
  ];
}

function createCancel(): Scenario {
  return {
    name: "create + cancel under a live parent",
    platformWay: "AbortController, any([parent, own]), abort()",
    go: "CreateCancel",
    setUp() {
      const parent = withCancel(background());
      const { signal } = new AbortController();
      return {
        ours: repeat(() => withCancel(parent).cancel()),
        platform: repeat(() => childOf(signal).abort(reason)),
      };
    },
  };
}

function createCancelSignal(): Scenario {
  return {
    name: "create + cancel with signal used",
    platformWay: "the same",
    go: "CreateCancelDone",
    setUp() {
      const parent = withCancel(background());
      const { signal } = new AbortController();
      const used = new Array<AbortSignal>(several);
      return {
        ours: repeat((i) => {
          const ctx = withCancel(parent);
          used[i % several] = ctx.signal;
          ctx.cancel();
        }),
        platform: repeat((i) => {
          const own = new AbortController();
          used[i % several] = AbortSignal.any([signal, own.signal]);
          own.abort(reason);
        }),
      };
    },
  };
}

function timeoutCancel(): Scenario {
  return {
    name: "timeout + cancel",
    platformWay: "setTimeout, clearTimeout",
    go: "TimeoutCancel",
    setUp: () => ({
      ours: repeat(() => withTimeout(background(), hour).cancel()),
      platform: repeat(() => clearTimeout(setTimeout(ignore, hour))),
    }),
  };
}

function timeoutCancelSignal(): Scenario {
  return {
    name: "timeout + cancel with signal used",
    platformWay: "AbortController, setTimeout, clearTimeout, abort()",
    go: "TimeoutCancelDone",
    setUp() {
      const used = new Array<AbortSignal>(several);
      return {
        ours: repeat((i) => {
          const ctx = withTimeout(background(), hour);
          used[i % several] = ctx.signal;
          ctx.cancel();
        }),
        platform: repeat((i) => {
          const own = new AbortController();
          used[i % several] = own.signal;
          const timer = setTimeout(() => own.abort(reason), hour);
          clearTimeout(timer);
          own.abort(reason);
        }),
      };
    },
  };
}

function commonParentCancel(): Scenario {
  return {
    name: "CommonParentCancel",
    platformWay: "Map, AbortController, any([parent, own]), abort()",
    go: "CommonParentCancel",
    setUp() {
      const key = createKey<string>("key");
      const shared = withCancel(withValue(background(), key, "value"));
      const { signal } = new AbortController();
      const values = new Map([[key, "value"]]);
      return {
        ours: repeat((i) => {
          // deno-lint-ignore curfew/lost-cancel -- a throw ends the process
          const ctx = withCancel(shared);
          if (ctx.value(key) !== "value") throw new Error("a value is lost");
          const x = busy(i);
          ctx.cancel();
          return busy(x);
        }),
        platform: repeat((i) => {
          const own = childOf(signal);
          if (values.get(key) !== "value") throw new Error("a value is lost");
          const x = busy(i);
          own.abort(reason);
          return busy(x);
        }),
      };
    },
  };
}

/** Does what Go's benchmark does between its calls. */
function busy(x: number): number {
  for (let i = 0; i < 100; i++) x = (x / (x + 1)) | 0;
  return x;
}

function tenTimeouts(alive: number): Scenario {
  return {
    name: `WithTimeout, ten with ${alive.toLocaleString("en")} alive`,
    platformWay: "ten setTimeout, ten clearTimeout",
    go: `WithTimeout/concurrency=${alive}`,
    setUp() {
      const contexts = make(alive, () => withTimeout(background(), hour));
      const timers = make(alive, () => setTimeout(ignore, hour));
      const tenContexts = new Array<CancelableContext>(10);
      const tenTimers = new Array<ReturnType<typeof setTimeout>>(10);
      return {
        ours: repeat(() => {
          for (let i = 0; i < 10; i++) {
            tenContexts[i] = withTimeout(background(), hour);
          }
          for (let i = 0; i < 10; i++) tenContexts[i]!.cancel();
        }),
        platform: repeat(() => {
          for (let i = 0; i < 10; i++) tenTimers[i] = setTimeout(ignore, hour);
          for (let i = 0; i < 10; i++) clearTimeout(tenTimers[i]);
        }),
        tearDown() {
          for (const ctx of contexts) ctx.cancel();
          for (const timer of timers) clearTimeout(timer);
        },
      };
    },
  };
}

function treeOnBackground(depth: number): Scenario {
  return {
    name: `CancelTree, depth ${depth}, background`,
    platformWay: chainWay(depth),
    go: `CancelTree/depth=${depth}/Root=Background`,
    setUp: () =>
      trees(
        depth,
        () => buildTree(background(), depth),
        () => buildChain(undefined, depth),
      ),
  };
}

function treeOnOpen(depth: number): Scenario {
  return {
    name: `CancelTree, depth ${depth}, open canceler`,
    platformWay: chainWay(depth),
    go: `CancelTree/depth=${depth}/Root=OpenCanceler`,
    setUp: () =>
      trees(
        depth,
        () => {
          const root = withCancel(background());
          const leaf = buildTree(root, depth);
          root.cancel();
          return leaf;
        },
        () => {
          const root = new AbortController();
          const leaf = buildChain(root.signal, depth);
          root.abort(reason);
          return leaf;
        },
      ),
  };
}

function treeOnClosed(depth: number): Scenario {
  return {
    name: `CancelTree, depth ${depth}, closed canceler`,
    platformWay: "a chain of any([parent, own]) of an aborted one",
    go: `CancelTree/depth=${depth}/Root=ClosedCanceler`,
    setUp: () => ({
      ours: repeat(() => {
        const root = withCancel(background());
        root.cancel();
        return buildTree(root, depth);
      }),
      // Nothing is registered on an aborted signal, so the depth does not matter.
      platform: repeat(() => {
        const root = new AbortController();
        root.abort(reason);
        return buildChain(root.signal, depth);
      }),
    }),
  };
}

/** Depth of the deepest chain of signals that takes less than a second. */
const deepestChain = 100;

function chainWay(depth: number): string {
  return depth <= deepestChain
    ? "a chain of any([parent, own])"
    : "takes seconds: left out";
}

function trees(depth: number, ours: () => unknown, chain: () => unknown) {
  return {
    ours: repeat(ours),
    ...(depth <= deepestChain ? { platform: repeat(chain) } : {}),
  };
}

function buildTree(root: Context, depth: number): Context {
  for (let d = 0; d < depth; d++) root = withCancel(root);
  return root;
}

function buildChain(
  root: AbortSignal | undefined,
  depth: number,
): AbortSignal | undefined {
  for (let d = 0; d < depth; d++) {
    const { signal } = new AbortController();
    root = root === undefined ? signal : AbortSignal.any([root, signal]);
  }
  return root;
}

function fanOutPlain(): Scenario {
  return {
    name: "fan-out cancel of 100,000, each",
    platformWay: "any([parent]), abort()",
    go: "FanOut",
    goTimes: fanOut,
    setUp: () => ({
      ours: fanOutOurs((parent) => withCancel(parent)),
      platform: fanOutPlatform(() => {}),
    }),
  };
}

function fanOutSignals(): Scenario {
  return {
    name: "fan-out cancel with signals",
    platformWay: "the same",
    go: "FanOutDone",
    goTimes: fanOut,
    setUp: () => ({
      // deno-lint-ignore curfew/lost-cancel -- ends with the parent
      ours: fanOutOurs((parent) => withCancel(parent).signal),
      platform: fanOutPlatform(() => {}),
    }),
  };
}

function fanOutAfterFuncs(): Scenario {
  return {
    name: "fan-out cancel with afterFuncs",
    platformWay: "any([parent]) with a listener, abort()",
    go: "FanOutAfterFunc",
    goTimes: fanOut,
    setUp() {
      let called = 0;
      const count = () => void called++;
      return {
        ours: fanOutOurs((parent) => afterFunc(parent, count)),
        platform: fanOutPlatform((signal) => {
          signal.addEventListener("abort", count);
        }),
      };
    },
  };
}

/** Times only the cancellation, with the microtasks that it starts. */
function fanOutOurs(child: (parent: Context) => unknown): Work {
  let parent: CancelableContext;
  let children: unknown[];
  return {
    fixed: fanOut,
    prepare() {
      parent = withCancel(background());
      children = make(fanOut, () => child(parent));
    },
    async run() {
      parent.cancel();
      await Promise.resolve();
      return children;
    },
  };
}

function fanOutPlatform(use: (signal: AbortSignal) => void): Work {
  let parent: AbortController;
  let children: AbortSignal[];
  return {
    fixed: fanOut,
    prepare() {
      parent = new AbortController();
      children = make(fanOut, () => AbortSignal.any([parent.signal]));
      children.forEach(use);
    },
    run() {
      parent.abort(reason);
      return children;
    },
  };
}

function pollErr(state: "done" | "open"): Scenario {
  return {
    name: state === "done"
      ? "polling err, done (CheckCanceled/Err)"
      : "polling err, open",
    platformWay: "signal.aborted",
    go: state === "done" ? "CheckCanceled/Err" : "ErrOpen",
    setUp() {
      const contexts = make(several, () => withCancel(background()));
      if (state === "done") contexts.forEach((ctx) => ctx.cancel());
      const aborted = signals(state);
      return {
        ours: repeat((i) => contexts[i % several]!.err !== undefined),
        platform: repeat((i) => aborted[i % several]!.aborted),
      };
    },
  };
}

function pollSignal(state: "done" | "open"): Scenario {
  return {
    name: state === "done"
      ? "polling ctx.signal.aborted, done (CheckCanceled/Done)"
      : "polling ctx.signal.aborted, open (ContextCancelDone)",
    platformWay: "controller.signal.aborted",
    go: state === "done" ? "CheckCanceled/Done" : "ContextCancelDone",
    setUp() {
      const contexts = make(several, () => withCancel(background()));
      const controllers = make(several, () => new AbortController());
      if (state === "done") {
        contexts.forEach((ctx) => ctx.cancel());
        controllers.forEach((controller) => controller.abort(reason));
      }
      return {
        ours: repeat((i) => contexts[i % several]!.signal.aborted),
        platform: repeat((i) => controllers[i % several]!.signal.aborted),
      };
    },
  };
}

function pollUnderDeadline(): Scenario {
  return {
    name: "polling err under a live deadline",
    platformWay: "AbortSignal.timeout().aborted",
    go: "ErrUnderDeadline",
    setUp() {
      const contexts = make(several, () => withTimeout(background(), hour));
      const timeouts = make(several, () => AbortSignal.timeout(hour));
      return {
        ours: repeat((i) => contexts[i % several]!.err !== undefined),
        platform: repeat((i) => timeouts[i % several]!.aborted),
        tearDown: () => contexts.forEach((ctx) => ctx.cancel()),
      };
    },
  };
}

function signals(state: "done" | "open"): AbortSignal[] {
  return make(several, () => {
    const controller = new AbortController();
    if (state === "done") controller.abort(reason);
    return controller.signal;
  });
}

function addValue(): Scenario {
  return {
    name: "withValue",
    platformWay: "new Map(parent).set()",
    go: "WithValue",
    setUp() {
      const key = createKey<number>("key");
      const contexts = new Array<Context>(several);
      const maps = new Array<Map<unknown, unknown>>(several);
      const root = new Map<unknown, unknown>();
      return {
        ours: repeat((i) => {
          contexts[i % several] = withValue(background(), key, i);
        }),
        platform: repeat((i) => {
          maps[i % several] = new Map(root).set(key, i);
        }),
      };
    },
  };
}

function missValue(depth: number): Scenario {
  return {
    name: `DeepValue, a miss through ${depth}`,
    // Not a chain of prototypes: a lookup is cached by shape, so adding a value
    // takes microseconds and invalidates the other lookups.
    platformWay: "Map.get(), the Map copied for each value",
    go: `DeepValueSameGoRoutine/depth=${depth}`,
    setUp() {
      let ctx: Context = background();
      let values = new Map<Key<number>, number>();
      for (let i = 0; i < depth; i++) {
        const key = createKey<number>(`${i}`);
        ctx = withValue(ctx, key, i);
        values = new Map(values).set(key, i);
      }
      const keys = make(several, () => createKey<number>("missing"));
      return {
        ours: repeat((i) => ctx.value(keys[i % several]!) !== undefined),
        platform: repeat((i) => values.get(keys[i % several]!) !== undefined),
      };
    },
  };
}

function concurrentSleeps(): Scenario {
  return {
    name: "sleep, 100,000 at once, each",
    platformWay: "a promise around setTimeout",
    setUp: () => ({
      ours: atOnce((ms) => sleep(background(), ms)),
      platform: atOnce(promisedTimeout),
    }),
  };
}

/** Starts all waits before the first can end. */
function atOnce(wait: (ms: number) => Promise<void>): Work {
  return {
    fixed: fanOut,
    run: () => Promise.all(make(fanOut, () => wait(1))),
  };
}

/** Sleeps the way it is done without this package. */
export function promisedTimeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function groupTask(): Scenario {
  const limit = 10;
  const task = () => Promise.resolve();
  return {
    name: "group, a task at a limit of 10",
    platformWay: "npm:p-limit",
    setUp: () => ({
      ours: {
        run(n) {
          const tasks = group(background(), { limit });
          for (let i = 0; i < n; i++) tasks.go(task);
          return tasks.wait();
        },
      },
      platform: {
        run(n) {
          const limited = pLimit(limit);
          return Promise.all(make(n, () => limited(task)));
        },
      },
    }),
  };
}

/** Returns a controller whose signal is joined to `parent`. */
function childOf(parent: AbortSignal): AbortController {
  const own = new AbortController();
  AbortSignal.any([parent, own.signal]);
  return own;
}

function make<T>(count: number, one: () => T): T[] {
  return Array.from({ length: count }, one);
}

function ignore(): void {}
