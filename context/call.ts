/** Calls of functions that may throw, reject or do neither. */

/** Maximum depth of nested calls: of functions that call the next. */
const deepest = 100;

/** Number of calls that have not returned. */
let depth = 0;

/**
 * Calls `f` and returns its outcome as a promise, whether it throws or rejects.
 *
 * If `f` returns a promise, it is that promise, so that the caller can handle it
 * at once. `new Promise((resolve) => resolve(f()))` handles it only a microtask
 * later, and Deno keeps a list of promises that are rejected before they are
 * handled: 100,000 tasks that one cancellation ends would take 20 s.
 *
 * Tasks that each start the next would fill the stack, which has room for about
 * 2,000 of them. At a depth of 100, `f` is therefore called in a microtask.
 */
export function call<A extends unknown[], T>(
  f: (...args: A) => T | PromiseLike<T>,
  ...args: A
): Promise<T> {
  if (depth === deepest) return later(f, args);
  depth++;
  try {
    return Promise.resolve(f(...args));
  } catch (error) {
    return Promise.reject(error);
  } finally {
    depth--;
  }
}

// A closure within `call` would make each call cost 40 ns more.
function later<A extends unknown[], T>(
  f: (...args: A) => T | PromiseLike<T>,
  args: A,
): Promise<T> {
  return Promise.resolve().then(() => f(...args));
}
