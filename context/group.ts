/** Tasks that belong together. */

import { afterFunc } from "./after_func.ts";
import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { assertOptions } from "./assert_options.ts";
import { Backlog } from "./backlog.ts";
import { call } from "./call.ts";
import type { CancelableContext, Context } from "./context.ts";
import { isCanceled } from "./is_canceled.ts";
import { ownerOf } from "./owner.ts";
import { shown } from "./shown.ts";
import { label, Node } from "./tree.ts";
import { observer } from "./tree_observer.ts";
import { withoutCancel } from "./without_cancel.ts";

/** Options for {@linkcode group}. */
export interface GroupOptions {
  /** Maximum number of tasks that run at once. `Infinity` by default. */
  limit?: number;
}

/** Tasks that are canceled and waited for together; see {@linkcode group}. */
export interface Group extends AsyncDisposable {
  /**
   * Context of the tasks. It is done at the first failure, with that failure as
   * its cause, and after `wait` in any case. From then on the group has ended
   * and starts nothing.
   */
  readonly ctx: Context;
  /** Number of tasks that run. */
  readonly active: number;
  /**
   * Runs `f(ctx)` as soon as the limit allows. If the group ends before that, or
   * has already ended, the task is dropped: it never runs, and `wait` rejects.
   *
   * A queued task runs in the async context (AsyncLocalStorage) of its caller.
   *
   * @param f The task. If it throws or rejects, that is a failure of the group:
   * `wait` rejects with it, or else the end of the `await using` block throws it.
   * If the block itself throws, JavaScript wraps both in a SuppressedError.
   * @returns A promise that resolves when `f` has started or never will. It never
   * rejects.
   * @throws {TypeError} If `f` is not a function.
   */
  go(f: (ctx: Context) => unknown): Promise<void>;
  /**
   * Runs `f(ctx)` like `go`, and returns its result.
   *
   * @typeParam T The type of the result.
   * @param f The task. If it throws or rejects, that is a failure of the group,
   * which cancels the other tasks. A failure that you get from this promise does
   * not come again at the end of the `await using` block. If nothing awaits the
   * promise, it does, unless another task failed before.
   * @returns A promise that settles as the task does. It rejects with `ctx.err` if
   * the task is dropped. It never becomes an unhandled rejection.
   * @throws {TypeError} If `f` is not a function.
   */
  run<T>(f: (ctx: Context) => T | PromiseLike<T>): Promise<T>;
  /**
   * Runs `f(ctx)` if the limit allows it now and the group has not ended.
   *
   * @param f The task, as for `go`.
   * @returns True if the task has started; false if it never will.
   * @throws {TypeError} If `f` is not a function.
   */
  tryGo(f: (ctx: Context) => unknown): boolean;
  /**
   * Waits until all tasks have ended, then cancels the group's ctx.
   *
   * @returns A promise that resolves if every task was run and ended well. It
   * rejects with the first failure; without one, with the first error that only
   * passes on the end of ctx; without that, with `ctx.err` if a task was dropped.
   * Later errors are dropped. Later calls get the same result, unless a task has
   * been dropped since.
   */
  wait(): Promise<void>;
}

/**
 * Creates a group of tasks under `ctx`. The first task that fails cancels the
 * others, and `wait` rejects with its error. Follows Go's `errgroup`.
 *
 * Declare it with `await using`, so that no task outlives the block. Leaving the
 * block cancels what still runs, waits for it, and throws the first failure that
 * neither `wait` nor `run` has given to you. Errors that only pass on the end of
 * the group's ctx (see `isCanceled`) are not failures, and neither are dropped
 * tasks: call `wait` to learn that everything ran. Under `main`, a failure that
 * nothing waits for ends the program.
 *
 * @param ctx The context to derive from.
 * @param options The limit.
 * @returns The group.
 * @throws {TypeError} If `ctx` is not a context or `options` not an object.
 * @throws {RangeError} If `limit` is neither an integer of at least 1 nor
 * `Infinity`.
 *
 * @example Results, two at a time
 * ```ts
 * import { background, group, sleep } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * await using tasks = group(background(), { limit: 2 });
 * const lengths = await Promise.all(
 *   ["ada", "grace", "barbara"].map((name) =>
 *     tasks.run(async (ctx) => {
 *       await sleep(ctx, 1);
 *       return name.length;
 *     })
 *   ),
 * );
 * assertEquals(lengths, [3, 5, 7]);
 * ```
 *
 * @example Leaving the block adds nothing to what it throws, if no task fails
 * ```ts
 * import { background, group, sleep, withCancel } from "@curfew/context";
 *
 * try {
 *   using parent = withCancel(background());
 *   await using tasks = group(parent);
 *   tasks.go((ctx) => sleep(ctx, 60_000)); // only passes the cancellation on
 *   parent.cancel();
 *   throw new Error("disk full");
 * } catch (error) {
 *   console.log(String(error)); // Error: disk full
 * }
 * ```
 *
 * @example A cancellation by the block is no failure, however wrapped
 * ```ts
 * import { background, group, sleep } from "@curfew/context";
 *
 * await using tasks = group(background());
 * tasks.go((ctx) =>
 *   sleep(ctx, 60_000).catch((cause) => {
 *     throw new Error("job 7", { cause });
 *   })
 * );
 * // Leaving the block cancels job 7 and throws nothing.
 * ```
 *
 * @example If a task and the block both fail, the failure of the task comes first
 * ```ts
 * import { background, group } from "@curfew/context";
 * import { assertInstanceOf, assertRejects } from "@std/assert";
 *
 * const error = await assertRejects(async () => {
 *   await using tasks = group(background());
 *   await tasks.go(() => Promise.reject(new Error("disk full")));
 *   throw new Error("bad request");
 * });
 * assertInstanceOf(error, SuppressedError);
 * console.log(error.error.message); // disk full
 * console.log(error.suppressed.message); // bad request
 * ```
 */
export function group(ctx: Context, options: GroupOptions = {}): Group {
  assertContext("group", ctx);
  assertOptions("group", options);
  const { limit = Infinity } = options;
  if (!(limit === Infinity || (Number.isInteger(limit) && limit >= 1))) {
    throw new RangeError(
      "group: expected limit to be an integer >= 1 or Infinity, got " +
        shown(limit),
    );
  }
  return new TaskGroup(ctx, limit);
}

type Task<T> = (ctx: Context) => T | PromiseLike<T>;

/** One run of a task. */
interface Run<T = unknown> {
  readonly task: Task<T>;
  /** Index in the list of runs. */
  place: number;
  /** Set once the caller waits for the result that `run` has returned. */
  isAwaited: boolean;
  /** True for a task of `run`, whose caller has a promise for the result. */
  readonly hasResult: boolean;
  /** The entry that an inspector shows, if there is one. */
  shown: CancelableContext | undefined;
}

/** The error that `wait` rejects with, if any. */
type Outcome = { readonly error: unknown } | undefined;

/** A failure of a group. */
interface Failure {
  readonly error: unknown;
  readonly run: Run;
  /** Set when `wait` or the end of the block gives the error to its caller. */
  isTold: boolean;
}

class TaskGroup implements Group {
  readonly #node: Node;
  readonly #limit: number;
  /** Number of tasks that run, and of queued ones whose turn has come. */
  #active = 0;
  /**
   * Tasks that run. The last one takes the place of one that has ended; a Set
   * would make up a quarter of the cost of a task.
   */
  readonly #runs: Run[] = [];
  /** Tells each queued task that its turn has come, or that it never will. */
  readonly #queue = new Backlog<(hasTurn: boolean) => void>();
  /** Stops watching for the end of ctx, which drops the queue. */
  #stopWatch: (() => boolean) | undefined;
  #hasDropped = false;
  /** The first failure. */
  #failure: Failure | undefined;
  /** The first one of `go` after one of `run`, which its caller may have got. */
  #goFailure: Failure | undefined;
  /** The first error that only passed on the end of ctx. */
  #cancellation: Outcome;
  /** Called once no task runs and none is queued. */
  #onIdle: (() => void)[] = [];
  /** Set once the end of an `await using` block will see the first failure. */
  #isHeld = false;
  /** Tells the program that the group is idle; set while it waits for that. */
  #release: (() => void) | undefined;

  constructor(ctx: Context, limit: number) {
    this.#node = new GroupNode(ctx);
    observer?.described(this.#node, "group", this.#describe);
    this.#limit = limit;
  }

  get ctx(): Context {
    return this.#node;
  }

  get active(): number {
    return this.#active;
  }

  go(task: Task<unknown>): Promise<void> {
    if (this.tryGo(task)) return Promise.resolve();
    return this.#turn().then((hasTurn) => {
      if (hasTurn && this.#stillOpen()) this.#start(newRun(task));
    });
  }

  run<T>(task: Task<T>): Promise<T> {
    assertTask(task);
    const run = newRun(task, true);
    if (this.#takeSlot()) return new Result(run, this.#start(run));
    const outcome = this.#turn().then((hasTurn) => {
      if (hasTurn && this.#stillOpen()) return this.#start(run);
      throw this.ctx.err;
    });
    return new Result(run, outcome);
  }

  tryGo(task: Task<unknown>): boolean {
    assertTask(task);
    if (!this.#takeSlot()) return false;
    this.#start(newRun(task));
    return true;
  }

  async wait(): Promise<void> {
    const outcome = this.#isIdle ? this.#conclude() : await this.#end();
    if (outcome !== undefined) throw outcome.error;
  }

  /**
   * Concludes as soon as the last task has ended. A task that comes before the
   * caller of `wait` goes on is dropped, not left running.
   */
  #end(): Promise<Outcome> {
    return new Promise((resolve) =>
      this.#onIdle.push(() => resolve(this.#conclude()))
    );
  }

  // A getter, since `await using` reads it at the declaration: from then on the
  // end of the block will see the first failure.
  get [Symbol.asyncDispose](): () => Promise<void> {
    this.#isHeld = true;
    return this.#dispose;
  }

  async #dispose(): Promise<void> {
    this.#node.cancel();
    if (!this.#isIdle) {
      await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    }
    const failure = this.#unseenFailure;
    if (failure === undefined) return;
    failure.isTold = true;
    throw failure.error;
  }

  /** The failure that the end of the block throws. */
  get #unseenFailure(): Failure | undefined {
    const failure = this.#failure;
    // After `wait`, later failures are dropped.
    if (failure === undefined || failure.isTold) return undefined;
    if (!failure.run.isAwaited) return failure;
    const later = this.#goFailure;
    return later === undefined || later.isTold ? undefined : later;
  }

  get #isIdle(): boolean {
    return this.#active === 0 && this.#queue.size === 0;
  }

  /** Ends the group, whose tasks have all ended, and returns its outcome. */
  #conclude(): Outcome {
    this.#node.cancel();
    if (this.#failure !== undefined) this.#failure.isTold = true;
    return this.#failure ?? this.#cancellation ??
      (this.#hasDropped ? { error: this.ctx.err } : undefined);
  }

  #takeSlot(): boolean {
    if (this.#active >= this.#limit || this.ctx.err !== undefined) return false;
    this.#active++;
    return true;
  }

  /**
   * Waits for a slot. Resolves with false if the task is dropped instead. The
   * caller chains the start to the promise, so that the task runs in the async
   * context of its own caller and not of the task that made room.
   */
  #turn(): Promise<boolean> {
    if (this.ctx.err !== undefined) {
      this.#hasDropped = true;
      return Promise.resolve(false);
    }
    this.#stopWatch ??= afterFunc(this.ctx, () => this.#dropQueue());
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  /** Gives the slot back if the group has ended since the turn came. */
  #stillOpen(): boolean {
    if (this.ctx.err === undefined) return true;
    this.#hasDropped = true;
    this.#leaveSlot();
    return false;
  }

  /** Runs a task in a slot that has been taken. */
  #start<T>(run: Run<T>): Promise<T> {
    if (this.#runs.length === 0) this.#register();
    run.place = this.#runs.length;
    this.#runs.push(run);
    if (observer !== undefined) run.shown = shownTask(this.ctx, run.task);
    const outcome = call(run.task, this.ctx);
    outcome.then(
      () => this.#ended(run),
      (error) => {
        this.#failed(run, error);
        this.#ended(run);
      },
    );
    return outcome;
  }

  #failed(run: Run, error: unknown): void {
    run.shown?.cancel(error);
    // Before the failure itself becomes the cause of ctx.
    if (isCanceled(this.ctx, error)) {
      this.#cancellation ??= { error };
      return;
    }
    const failure = { error, run, isTold: false };
    if (this.#failure === undefined) {
      this.#failure = failure;
    } else if (
      this.#goFailure === undefined && this.#failure.run.hasResult &&
      !run.hasResult
    ) {
      this.#goFailure = failure;
    } else {
      return;
    }
    ownerOf(this.ctx)?.fail(
      error,
      () =>
        this.#unseenFailure !== failure || this.#isHeld ||
        this.#onIdle.length > 0,
    );
    this.#node.cancel(error);
  }

  /** Makes the program wait for the group until it is idle. */
  #register(): void {
    const owner = ownerOf(this.ctx);
    if (owner === undefined || this.#release !== undefined) return;
    const finished = new Promise<void>((resolve) => this.#release = resolve);
    owner.own({ describe: this.#describe, finished });
  }

  #ended(run: Run): void {
    run.shown?.[Symbol.dispose]();
    const last = this.#runs.pop()!;
    if (last !== run) {
      this.#runs[run.place] = last;
      last.place = run.place;
    }
    this.#leaveSlot();
  }

  #leaveSlot(): void {
    this.#active--;
    if (this.ctx.err !== undefined) return this.#dropQueue();
    const giveTurn = this.#queue.shift();
    if (giveTurn !== undefined) {
      this.#active++;
      giveTurn(true);
    }
    this.#settle();
  }

  /** Nothing starts once the group has ended. */
  #dropQueue(): void {
    for (let giveTurn; (giveTurn = this.#queue.shift()) !== undefined;) {
      this.#hasDropped = true;
      giveTurn(false);
    }
    this.#settle();
  }

  #settle(): void {
    if (!this.#isIdle) return;
    this.#release?.();
    this.#release = undefined;
    this.#stopWatch?.();
    this.#stopWatch = undefined;
    const onIdle = this.#onIdle;
    this.#onIdle = [];
    for (const f of onIdle) f();
  }

  /** Names the functions of the tasks. */
  readonly #describe = (): string => {
    if (this.#runs.length === 0) return "group";
    const names = this.#runs.slice(0, maxNames)
      .map(({ task }) => nameOf(task));
    const more = this.#runs.length - names.length;
    if (more > 0) names.push(`${more} more`);
    return `group with ${names.join(", ")}`;
  };
}

/** Number of tasks that are named where what still runs is described. */
const maxNames = 10;

function newRun<T>(task: Task<T>, hasResult = false): Run<T> {
  return { task, place: -1, isAwaited: false, hasResult, shown: undefined };
}

function assertTask(task: unknown): void {
  assertFunction("group", task, "a task to be a function");
}

/** Promise of `run`: never an unhandled rejection, and it knows its readers. */
class Result<T> extends Promise<T> {
  readonly #run: Run;

  constructor(run: Run, outcome: Promise<T>) {
    super((resolve) => resolve(outcome));
    this.#run = run;
    super.then(undefined, () => {});
  }

  /** `then()`, `catch()` and `finally()` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // `await` calls this too, because the constructor is not Promise itself.
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#run.isAwaited = true;
    return super.then(onFulfilled, onRejected);
  }
}

class GroupNode extends Node {
  override get [label](): string {
    return "group";
  }
}

/** A task that runs, for inspectors. It does not end with ctx: the task may not. */
class TaskNode extends Node {
  override get [label](): string {
    return "task";
  }
}

function shownTask(ctx: Context, task: Task<unknown>): CancelableContext {
  const node = new TaskNode(withoutCancel(ctx));
  observer?.described(node, "task", () => nameOf(task));
  return node;
}

function nameOf(task: Task<unknown>): string {
  return task.name || "a task";
}
