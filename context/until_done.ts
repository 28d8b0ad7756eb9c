/** Loops that end with a context. */

import { assertContext } from "./assert_context.ts";
import type { Context } from "./context.ts";
import { isCanceled } from "./is_canceled.ts";
import { Iteration, over } from "./iteration.ts";
import { orDone } from "./or_done.ts";
import { Watch } from "./tree.ts";

/**
 * Iterates over `iterable` until `ctx` is done; then the loop ends quietly and
 * the iterable is closed. Use it for sockets, streams and watchers, which know no
 * context.
 *
 * From the call on, the end of `ctx` closes the iterable, even if it is silent or
 * the loop body is busy:
 *
 * - a ReadableStream is canceled and its lock released;
 * - anything else gets `return()`, and then `close()`, or `destroy()` as a stream
 *   of Node, if it has one: a `Deno.Listener`, a `Deno.FsWatcher`.
 *
 * The loop does not wait for that, and errors from it are dropped. An async
 * generator that has no `close()` runs its `finally` blocks only after the item
 * it waits for.
 *
 * If you leave the loop early, the iterable gets `return()` alone, as in any
 * `for await`; a stream is canceled. The loop waits for that, but no longer than
 * until `ctx` is done, and throws what it throws. If `next()` is pending,
 * `return()` does not wait and settles at once.
 *
 * An item that arrives together with the end of `ctx` is dropped, and nothing
 * closes it. Accept connections with `serveTcp`, which loses none.
 *
 * @typeParam T The type of the items.
 * @param ctx The context that ends the loop.
 * @param iterable The source, asynchronous or not. A stream is locked at the call.
 * @returns An iterator over the items. It passes on what the iterable throws.
 * @throws {TypeError} If `ctx` is not a context, `iterable` cannot be iterated, or
 * it is a stream that is already locked.
 *
 * @example Accept until ctx is done
 * ```ts
 * import { background, untilDone, withCancel } from "@curfew/context";
 *
 * const ctx = withCancel(background());
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * queueMicrotask(ctx.cancel);
 * for await (const conn of untilDone(ctx, listener)) conn.close();
 * // Here ctx is done and the listener is closed.
 * ```
 *
 * @example A stream that stays silent
 * ```ts
 * import { background, untilDone, withTimeout } from "@curfew/context";
 *
 * using ctx = withTimeout(background(), 10);
 * const stream = new ReadableStream<string>({
 *   start: (controller) => controller.enqueue("hello"),
 *   cancel: () => console.log("canceled"), // closes the file, the socket
 * });
 * for await (const text of untilDone(ctx, stream)) console.log(text); // hello
 * console.log(stream.locked); // false
 * ```
 */
export function untilDone<T>(
  ctx: Context,
  iterable: AsyncIterable<T> | Iterable<T | PromiseLike<T>>,
): AsyncGenerator<T, void, undefined> {
  assertContext("untilDone", ctx);
  return new Items(ctx, sourceOf(iterable));
}

class Items<T> extends Iteration<T> {
  readonly #ctx: Context;
  readonly #source: Source<T>;
  /** Settles the pending calls of `next()`. */
  readonly #pending = new Set<(result: IteratorResult<T, void>) => void>();
  /** Set by the end of ctx or of the source, or when the consumer leaves. */
  #isOver = false;
  /** Closes the source, in the async context of the call of `untilDone`. */
  #close: () => void = ignore;
  readonly #watch: Watch;

  constructor(ctx: Context, source: Source<T>) {
    super();
    this.#ctx = ctx;
    this.#source = source;
    new Promise<void>((resolve) => this.#close = resolve).then(() => {
      source.close();
    });
    this.#watch = new Watch(ctx, () => this.#end()).start();
  }

  next(): Promise<IteratorResult<T, void>> {
    // Reading err also notices a deadline that no timer has reported yet.
    if (this.#ctx.err !== undefined) this.#end();
    if (this.#isOver) return Promise.resolve(over);
    return new Promise((resolve, reject) => {
      this.#pending.add(resolve);
      this.#source.next().then(
        (result) => {
          if (!this.#pending.delete(resolve)) return;
          if (result.done) this.#exhausted();
          resolve(result.done ? over : result);
        },
        (error) => {
          // The source may have noticed the end of ctx before the watch does.
          if (isCanceled(this.#ctx, error)) this.#end();
          if (!this.#pending.delete(resolve)) return;
          this.#exhausted();
          reject(error);
        },
      );
    });
  }

  /** Called when ctx is done. */
  #end(): void {
    if (!this.#isOver) this.#close();
    this.#isOver = true;
    this.#settle();
  }

  protected override leave(): Promise<void> | void {
    const hadEnded = this.#isOver;
    const wasWaiting = this.#pending.size > 0;
    this.#isOver = true;
    this.#watch.stop();
    this.#settle();
    if (hadEnded) return;
    if (!wasWaiting) return this.#leaveSource();
    // Not at once: a generator that leaves its own consumer is still running.
    Promise.resolve().then(() => this.#source.leave()).catch(ignore);
  }

  async #leaveSource(): Promise<void> {
    const ctx = this.#ctx;
    try {
      await orDone(ctx, this.#source.leave());
    } catch (error) {
      // A source that is stuck holds the loop no longer than ctx.
      if (ctx.err === undefined || error !== ctx.err) throw error;
    }
  }

  /** The source has ended or failed. Other calls of `next()` may be pending. */
  #exhausted(): void {
    if (!this.#isOver) this.#source.release();
    this.#isOver = true;
    if (this.#pending.size === 0) this.#watch.stop();
  }

  #settle(): void {
    for (const settle of this.#pending) settle(over);
    this.#pending.clear();
  }
}

/** A source of items. No method throws: those that fail reject. */
interface Source<T> {
  next(): Promise<Result<T>>;
  /** Tells the source that the consumer has left. */
  leave(): Promise<unknown>;
  /** Closes the source at the end of ctx, even if a `next()` is pending. */
  close(): void;
  /** Called when the source has ended or failed by itself. */
  release(): void;
}

type Result<T> = IteratorResult<T, unknown>;
type AnyIterator<T> = AsyncIterator<T, unknown> | Iterator<T, unknown>;

function sourceOf<T>(
  iterable: AsyncIterable<T> | Iterable<T | PromiseLike<T>>,
): Source<T> {
  if (iterable instanceof ReadableStream) return new StreamSource(iterable);
  // Any value at all: a string can be iterated although it is no object.
  const source = iterable as
    | (Closable & Partial<AsyncIterable<T> & Iterable<T | PromiseLike<T>>>)
    | null
    | undefined;
  const asynchronous = source?.[Symbol.asyncIterator]?.();
  if (asynchronous !== undefined) {
    return new IteratorSource(asynchronous, source!);
  }
  const synchronous = source?.[Symbol.iterator]?.();
  if (synchronous !== undefined) return new SyncSource(synchronous, source!);
  throw new TypeError(
    `untilDone: expected something that can be iterated, got ${nameOf(source)}`,
  );
}

/** Uses a reader, since the `return()` of a stream's iterator waits for `next()`. */
class StreamSource<T> implements Source<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;

  constructor(stream: ReadableStream<T>) {
    if (stream.locked) {
      throw new TypeError(
        "untilDone: the stream is already locked: release the other reader, " +
          "or tee() the stream",
      );
    }
    this.#reader = stream.getReader();
  }

  next(): Promise<Result<T>> {
    return this.#reader.read() as Promise<Result<T>>;
  }

  leave(): Promise<void> {
    const canceled = this.#reader.cancel();
    this.#reader.releaseLock();
    return canceled;
  }

  close(): void {
    this.leave().catch(ignore);
  }

  release(): void {
    this.#reader.releaseLock();
  }
}

/** The ways to close an iterable that is more than that. */
interface Closable {
  /** A listener, a watcher, a directory, a cursor. */
  close?(): unknown;
  /** A stream of Node. */
  destroy?(): unknown;
}

class IteratorSource<Item, T> implements Source<T> {
  protected readonly iterator: AnyIterator<Item>;
  readonly #iterable: Closable;
  #isLeft = false;

  constructor(iterator: AnyIterator<Item>, iterable: Closable) {
    this.iterator = iterator;
    this.#iterable = iterable;
  }

  async next(): Promise<Result<T>> {
    const result = assertResult(await this.iterator.next()) as Result<T>;
    // Read in here: a getter that throws has to reject.
    return result.done ? over : { done: false, value: result.value };
  }

  async leave(): Promise<void> {
    if (this.#isLeft) return;
    this.#isLeft = true;
    await this.iterator.return?.();
  }

  close(): void {
    this.leave().catch(ignore);
    this.#close().catch(ignore);
  }

  async #close(): Promise<void> {
    const iterable = this.#iterable;
    if (typeof iterable.close === "function") await iterable.close();
    else await iterable.destroy?.();
  }

  release(): void {}
}

/** Waits for items that are promises, as `for await` does. */
class SyncSource<T> extends IteratorSource<T | PromiseLike<T>, T> {
  override async next(): Promise<Result<T>> {
    const { done, value } = assertResult(await this.iterator.next());
    try {
      return { done: Boolean(done), value: await value } as Result<T>;
    } catch (error) {
      // The iterator itself has not failed, so it gets return(). Its own error is
      // dropped: of two errors, `for await` throws the first.
      this.leave().catch(ignore);
      throw error;
    }
  }
}

/** Guards against an endless loop over `undefined`. */
function assertResult<T>(result: T): T {
  if (typeof result === "object" && result !== null) return result;
  throw new TypeError(
    "untilDone: expected next() of the iterable to return an object, got " +
      nameOf(result),
  );
}

function nameOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function ignore(): void {}
