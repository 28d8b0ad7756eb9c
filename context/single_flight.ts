/** Concurrent calls that share one execution. */

import { assertContext } from "./assert_context.ts";
import { assertFunction } from "./assert_function.ts";
import { assertOptions } from "./assert_options.ts";
import { call } from "./call.ts";
import { cause } from "./cause.ts";
import type { CancelableContext, Context } from "./context.ts";
import { createKey, type Key } from "./key.ts";
import { Watch } from "./tree.ts";
import { withCancel } from "./with_cancel.ts";
import { withValue } from "./with_value.ts";
import { withoutCancel } from "./without_cancel.ts";

/** Options for {@linkcode singleFlight}. */
export interface SingleFlightOptions<Args extends unknown[]> {
  /**
   * Derives the key of a call from its arguments without ctx. Calls with the same
   * key, as a Map compares, share one execution. By default the key is the first
   * argument.
   */
  key?: ((...args: Args) => unknown) | undefined;
}

/**
 * Wraps `f` so that concurrent calls with the same key share one execution: fifty
 * requests for one name become one query. Nothing is cached, so a call after the
 * result is a new one. Follows Go's `singleflight`.
 *
 * The execution lasts for as long as a caller waits. Its ctx has the values of the
 * call that started it and no deadline; it is done when the last caller gives up.
 * From that moment on, a call with the same key starts a new execution. Each caller
 * waits no longer than its own ctx.
 *
 * - The result, or the error, is shared as it is. Read the body of a response
 *   inside `f`, and do not change an object that others have received, too.
 * - If the result depends on who asks, on a user or a tenant in the values of ctx,
 *   put that into the key.
 * - For a time limit of the execution, use `withTimeout` inside `f`.
 * - A call that would wait for itself, because `f` makes it with its own ctx,
 *   directly or through other functions like this one, rejects at once.
 *
 * @typeParam Args The types of the arguments after ctx.
 * @typeParam T The type of the result.
 * @param f The function to share. It should pass on its ctx.
 * @param options The key.
 * @returns The wrapped function. It calls `f` before it returns. Its promise
 * settles as the execution does, or rejects with `ctx.err` once its own ctx is
 * done; a ctx that is already done starts nothing. It throws a TypeError if its
 * first argument is not a context.
 * @throws {TypeError} If `f` or `key` is not a function, or `options` not an object.
 *
 * @example Three callers, one execution
 * ```ts
 * import { background, singleFlight, sleep } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * let calls = 0;
 * const lengthOf = singleFlight(async (ctx, name: string) => {
 *   calls++;
 *   await sleep(ctx, 1);
 *   return name.length;
 * });
 *
 * const ctx = background();
 * const lengths = await Promise.all([
 *   lengthOf(ctx, "example"),
 *   lengthOf(ctx, "example"),
 *   lengthOf(ctx, "example"),
 * ]);
 * assertEquals([lengths, calls], [[7, 7, 7], 1]);
 * ```
 *
 * @example A key of several arguments, and a time limit
 * ```ts
 * import { background, singleFlight, withTimeout } from "@curfew/context";
 *
 * const lookUp = singleFlight(
 *   async (ctx, name: string, type: "A" | "AAAA") => {
 *     using step = withTimeout(ctx, 5_000);
 *     const reply = await fetch(`data:,${name}/${type}`, { signal: step.signal });
 *     return await reply.text();
 *   },
 *   { key: (name, type) => `${name}/${type}` },
 * );
 * console.log(await lookUp(background(), "example", "AAAA")); // example/AAAA
 * ```
 */
export function singleFlight<Args extends unknown[], T>(
  f: (ctx: Context, ...args: Args) => T | PromiseLike<T>,
  options: SingleFlightOptions<Args> = {},
): (ctx: Context, ...args: Args) => Promise<T> {
  assertOptions("singleFlight", options);
  const { key = firstOf } = options;
  assertFunction("singleFlight", f, "f to be a function");
  assertFunction("singleFlight", key, "key to be a function");
  const flights = new Map<unknown, Flight<T>>();
  return (ctx, ...args) => {
    assertContext("singleFlight", ctx);
    return new Promise((resolve, reject) => {
      if (ctx.err !== undefined) throw ctx.err;
      const id = key(...args);
      const running = flights.get(id);
      if (running !== undefined) return running.join(ctx, resolve, reject);
      const flight = new Flight<T>(ctx, () => flights.delete(id));
      flights.set(id, flight);
      flight.join(ctx, resolve, reject);
      flight.start((ctx) => f(ctx, ...args));
    });
  };
}

function firstOf(...args: unknown[]): unknown {
  return args[0];
}

/** A call that waits for a flight. */
interface Caller<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Scope that the call was made in, if `f` of another flight made it. */
  readonly scope: Scope | undefined;
  /** Watches the caller's ctx. Set right after the caller has joined. */
  watch: Watch | undefined;
}

/** One execution of `f`, and the calls that wait for it. */
class Flight<T> {
  readonly #ctx: CancelableContext;
  readonly #scope = new Scope();
  readonly #callers = new Set<Caller<T>>();
  /** Makes the next call with the same key start a new flight. */
  readonly #land: () => void;
  /** True once there is an outcome, or no caller that waits for one. */
  #over = false;

  constructor(parent: Context, land: () => void) {
    const values = withValue(withoutCancel(parent), scopeKey, this.#scope);
    this.#ctx = withCancel(values);
    this.#land = land;
  }

  /** @throws {Error} If the caller is a part of this flight. */
  join(
    ctx: Context,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ): void {
    const scope = ctx.value(scopeKey);
    if (scope !== undefined) {
      if (this.#scope.waitsFor(scope)) {
        throw new Error(
          "singleFlight: the call waits for itself, f has to use another key",
        );
      }
      scope.add(this.#scope);
    }
    const caller: Caller<T> = { resolve, reject, scope, watch: undefined };
    this.#callers.add(caller);
    caller.watch = new Watch(ctx, (ending) => {
      this.#remove(caller);
      reject(ctx.err ?? ending.err);
      if (this.#callers.size === 0) this.#end(cause(ctx));
    }).start();
  }

  /** Calls `f`, unless its only caller has already given up. */
  start(f: (ctx: Context) => T | PromiseLike<T>): void {
    if (this.#over) return;
    call(f, this.#ctx).then(
      (value) => this.#settle(({ resolve }) => resolve(value)),
      (error) => this.#settle(({ reject }) => reject(error)),
    );
  }

  #settle(tell: (caller: Caller<T>) => void): void {
    for (const caller of this.#callers) {
      caller.watch?.stop();
      this.#remove(caller);
      tell(caller);
    }
    this.#end();
  }

  #remove(caller: Caller<T>): void {
    this.#callers.delete(caller);
    caller.scope?.delete(this.#scope);
  }

  #end(cause?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    // First, because listeners of the ctx may call again.
    this.#land();
    this.#ctx.cancel(cause);
  }
}

/**
 * Identity of a flight inside its ctx, with the flights that its `f` waits for.
 *
 * It exists to reject calls that would wait for themselves. As a caller of its own
 * flight, such a call would keep that flight alive after all others have given up,
 * and every later call would join a flight that never ends.
 */
class Scope {
  /** Flights that `f` waits for, with the number of its calls. */
  readonly #pending = new Map<Scope, number>();

  add(scope: Scope): void {
    this.#pending.set(scope, (this.#pending.get(scope) ?? 0) + 1);
  }

  delete(scope: Scope): void {
    const calls = this.#pending.get(scope) ?? 0;
    if (calls > 1) this.#pending.set(scope, calls - 1);
    else this.#pending.delete(scope);
  }

  /** Returns whether this is `target`, or waits for it through others. */
  waitsFor(target: Scope): boolean {
    const seen = new Set<Scope>([this]);
    // A Set iterates over what is added meanwhile.
    for (const scope of seen) {
      if (scope === target) return true;
      for (const next of scope.#pending.keys()) seen.add(next);
    }
    return false;
  }
}

const scopeKey: Key<Scope> = createKey<Scope>("singleFlight");
