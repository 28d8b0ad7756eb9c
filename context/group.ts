/** Tasks that belong together. */

import { afterFunc } from "./after_func.ts";
import type { Context } from "./context.ts";
import { isCanceled } from "./is_canceled.ts";
import { ownerOf } from "./owner.ts";
import { assertContext, label, Node } from "./tree.ts";

/** What {@linkcode group} can be told. */
export interface GroupOptions {
  /** How many tasks may run at once; no limit by default, or if negative. */
  limit?: number;
}

/** Tasks that are cancelled and waited for together; made by {@linkcode group}. */
export interface Group extends AsyncDisposable {
  /** What the tasks get. Done at the first error, with that as its cause, and
   * after `wait` in any case. */
  readonly ctx: Context;
  /** How many tasks run. */
  readonly active: number;
  /**
   * Runs `f(ctx)`, as soon as the limit allows. Once the group's ctx is done, a
   * task that still had to wait for its turn never runs.
   *
   * @param f The task; what it throws or rejects with is the group's error.
   * @returns A promise that resolves when the task has started, or never will.
   * It never rejects.
   * @throws {TypeError} If `f` is not a function.
   */
  go(f: (ctx: Context) => unknown): Promise<void>;
  /**
   * Runs `f(ctx)` if the limit allows that now.
   *
   * @param f The task.
   * @returns Whether it runs.
   * @throws {TypeError} If `f` is not a function.
   */
  tryGo(f: (ctx: Context) => unknown): boolean;
  /**
   * Waits until all tasks have ended, then cancels the group's ctx.
   *
   * @returns A promise that rejects with the first error of a task, each time it
   * is asked for; later errors are dropped.
   */
  wait(): Promise<void>;
}

/**
 * Makes a group of tasks under `ctx`. The first that fails cancels the others,
 * and its error is what `wait` rejects with. Follows Go's `errgroup`.
 *
 * Left by `await using` it cancels what still runs, waits for it, and throws the
 * first error nobody has waited for, so that no task is left behind. That it
 * cancelled them itself is no error.
 *
 * @param ctx The context to derive from.
 * @param options The limit.
 * @returns The group.
 * @throws {TypeError} If `ctx` is not a context, or `limit` not a number.
 *
 * @example
 * ```ts
 * import { background, group, sleep } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const lengths: number[] = [];
 * await using tasks = group(background(), { limit: 2 });
 * for (const name of ["ada", "grace", "barbara"]) {
 *   tasks.go(async (ctx) => {
 *     await sleep(ctx, 1);
 *     lengths.push(name.length);
 *   });
 * }
 * await tasks.wait();
 * assertEquals(lengths, [3, 5, 7]);
 * ```
 */
export function group(ctx: Context, options: GroupOptions = {}): Group {
  assertContext("group", ctx);
  const { limit = -1 } = options;
  if (typeof limit !== "number" || Number.isNaN(limit)) {
    throw new TypeError("group: limit must be a number");
  }
  return new TaskGroup(ctx, limit < 0 ? Infinity : limit);
}

type Task = (ctx: Context) => unknown;

/** A task that waits for its turn. */
interface Waiting {
  readonly task: Task;
  readonly started: () => void;
  next: Waiting | undefined;
}

class TaskGroup implements Group {
  readonly #node: Node;
  readonly #limit: number;
  readonly #tasks = new Set<Task[]>();
  // A list, for shift() of a long array moves all that is left.
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #stopWatch: (() => boolean) | undefined;
  #failure: { error: unknown; told: boolean } | undefined;
  #disposing = false;
  /** True once an `await using` will see the first failure. */
  #isHeld = false;
  /** Tells the program that no task is running. */
  #release: (() => void) | undefined;
  #idle: Promise<void> | undefined;
  #reached: (() => void) | undefined;

  constructor(ctx: Context, limit: number) {
    this.#node = new GroupNode(ctx);
    this.#limit = limit;
  }

  get ctx(): Context {
    return this.#node;
  }

  get active(): number {
    return this.#tasks.size;
  }

  go(task: Task): Promise<void> {
    if (this.tryGo(task)) return Promise.resolve();
    if (this.ctx.err !== undefined) return Promise.resolve();
    this.#stopWatch ??= afterFunc(this.ctx, () => this.#dropQueue());
    return new Promise((started) => this.#append(task, started));
  }

  tryGo(task: Task): boolean {
    if (typeof task !== "function") {
      throw new TypeError("group: a task must be a function");
    }
    if (this.active >= this.#limit) return false;
    this.#start(task);
    return true;
  }

  async wait(): Promise<void> {
    if (this.active > 0 || this.#first !== undefined) {
      this.#idle ??= new Promise((resolve) => this.#reached = resolve);
      await this.#idle;
    }
    this.#node.cancel();
    if (this.#failure === undefined) return;
    this.#failure.told = true;
    throw this.#failure.error;
  }

  // A getter, since `await using` reads it at the declaration: from then on the
  // group has somebody who waits for it.
  get [Symbol.asyncDispose](): () => Promise<void> {
    this.#isHeld = true;
    return this.#dispose;
  }

  async #dispose(): Promise<void> {
    const told = this.#failure?.told;
    this.#disposing ||= this.ctx.err === undefined;
    this.#node.cancel();
    this.#dropQueue();
    try {
      await this.wait();
    } catch (error) {
      if (!told) throw error;
    }
  }

  #start(task: Task): void {
    // A box, for one function may run more than once.
    const entry = [task];
    this.#tasks.add(entry);
    if (this.active === 1) this.#register();
    new Promise((resolve) => resolve(task(this.ctx))).then(
      () => this.#ended(entry),
      (error) => {
        this.#failed(error);
        this.#ended(entry);
      },
    );
  }

  #failed(error: unknown): void {
    if (this.#failure !== undefined) return;
    // Our own cancellation, passed on.
    if (this.#disposing && error === this.ctx.err) return;
    const failure = this.#failure = { error, told: false };
    if (!isCanceled(this.ctx, error)) {
      const isHandled = () =>
        failure.told || this.#isHeld || this.#idle !== undefined;
      ownerOf(this.ctx)?.fail(error, isHandled);
    }
    this.#node.cancel(error);
  }

  #register(): void {
    ownerOf(this.ctx)?.own({
      describe: this.#describe,
      finished: new Promise<void>((resolve) => this.#release = resolve),
    });
  }

  #ended(entry: Task[]): void {
    this.#tasks.delete(entry);
    if (this.ctx.err !== undefined) this.#dropQueue();
    const next = this.#first;
    if (next !== undefined) {
      this.#first = next.next;
      if (this.#first === undefined) this.#last = undefined;
      this.#start(next.task);
      next.started();
    }
    this.#settle();
  }

  #append(task: Task, started: () => void): void {
    const waiting: Waiting = { task, started, next: undefined };
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.next = waiting;
    this.#last = waiting;
  }

  /** Nothing starts any more once the group has ended. */
  #dropQueue(): void {
    let waiting = this.#first;
    this.#first = this.#last = undefined;
    for (; waiting !== undefined; waiting = waiting.next) waiting.started();
    this.#settle();
  }

  #settle(): void {
    if (this.active > 0 || this.#first !== undefined) return;
    this.#release?.();
    this.#stopWatch?.();
    this.#stopWatch = undefined;
    this.#reached?.();
    this.#idle = this.#reached = undefined;
  }

  /** The tasks by the names of their functions. */
  readonly #describe = (): string => {
    const names = [...this.#tasks].map(([task]) => task!.name || "a task");
    return `group with ${names.join(", ")}`;
  };
}

class GroupNode extends Node {
  override get [label](): string {
    return "group";
  }
}
