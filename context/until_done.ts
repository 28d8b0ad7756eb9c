/** Iterating, but not for longer than a context lasts. */

import type { Context } from "./context.ts";
import { orDone } from "./or_done.ts";
import { assertContext } from "./tree.ts";

/**
 * The items of `iterable` until `ctx` is done: then the loop ends quietly, and
 * the iterable is told by its `return()`, which is not waited for. For sockets,
 * streams and watchers, which know no context.
 *
 * An item that comes at that very moment is dropped, and nobody closes it:
 * connections are better accepted by `serveTcp`, which loses none.
 *
 * @typeParam T The type of the items.
 * @param ctx What ends the loop.
 * @param iterable Asynchronous or not.
 * @returns The items. What the iterable throws is thrown.
 * @throws {TypeError} If `ctx` is not a context, or `iterable` cannot be iterated.
 *
 * @example
 * ```ts
 * import { background, untilDone, withCancel } from "@curfew/context";
 *
 * const ctx = withCancel(background());
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * queueMicrotask(ctx.cancel);
 * for await (const conn of untilDone(ctx, listener)) conn.close();
 * // here ctx is done, and the listener closed
 * ```
 */
export function untilDone<T>(
  ctx: Context,
  iterable: AsyncIterable<T> | Iterable<T | PromiseLike<T>>,
): AsyncGenerator<T, void, undefined> {
  assertContext("untilDone", ctx);
  return items(ctx, iteratorOf(iterable));
}

type AnyIterator<T> = AsyncIterator<T> | Iterator<T | PromiseLike<T>>;

function iteratorOf<T>(
  iterable: AsyncIterable<T> | Iterable<T | PromiseLike<T>>,
): AnyIterator<T> {
  // A string has no properties for `in`, but can be iterated all the same.
  const source = iterable as
    | Partial<AsyncIterable<T> & Iterable<T | PromiseLike<T>>>
    | null
    | undefined;
  const asynchronous = source?.[Symbol.asyncIterator]?.();
  if (asynchronous !== undefined) return asynchronous;
  const synchronous = source?.[Symbol.iterator]?.();
  if (synchronous !== undefined) return synchronous;
  throw new TypeError("untilDone: the second argument cannot be iterated");
}

async function* items<T>(
  ctx: Context,
  iterator: AnyIterator<T>,
): AsyncGenerator<T, void, undefined> {
  let exhausted = false;
  let failed = false;
  try {
    while (ctx.err === undefined) {
      let item: T;
      let asking = true;
      try {
        const next = await orDone(ctx, iterator.next());
        if (next.done) {
          exhausted = true;
          return;
        }
        asking = false;
        item = await orDone(ctx, next.value);
      } catch (error) {
        if (ctx.err !== undefined && error === ctx.err) return;
        // An iterator that has thrown is not asked to return; one whose item
        // was a promise that rejects is.
        exhausted = asking;
        failed = true;
        throw error;
      }
      yield item;
    }
  } finally {
    if (!exhausted) {
      // Of two errors, the first is thrown.
      const closed = close(ctx, iterator);
      await (failed ? closed.catch(() => {}) : closed);
    }
  }
}

/** Waits for `return()`, but not for longer than `ctx` lasts. */
async function close<T>(ctx: Context, iterator: AnyIterator<T>): Promise<void> {
  const returned = (async () => void await iterator.return?.())();
  try {
    // One that is stuck in next() is stuck in return() too.
    await orDone(ctx, returned);
  } catch (error) {
    if (ctx.err === undefined || error !== ctx.err) throw error;
  }
}
