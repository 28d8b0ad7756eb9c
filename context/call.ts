/** Calls of functions that may throw, reject or do neither. */

/**
 * Calls `f` and returns its outcome as a promise, whether it throws or rejects.
 *
 * If `f` returns a promise, it is that promise, so that the caller can handle it
 * at once. `new Promise((resolve) => resolve(f()))` handles it only a microtask
 * later, and Deno keeps a list of promises that are rejected before they are
 * handled: 100,000 tasks that one cancellation ends would take 20 s.
 */
export function call<A extends unknown[], T>(
  f: (...args: A) => T | PromiseLike<T>,
  ...args: A
): Promise<T> {
  try {
    return Promise.resolve(f(...args));
  } catch (error) {
    return Promise.reject(error);
  }
}
