/**
 * A stand-in for `@std/async` for machines that reach only the npm registry: the
 * upstream code from `npm:deno-std`, with types declared beside it. It exports
 * what the version in its deno.json exports, so that nothing newer is used by
 * accident.
 *
 * @module
 */

export * from "./abortable.ts";
export * from "./deadline.ts";
export * from "./debounce.ts";
export * from "./delay.ts";
export * from "./mux_async_iterator.ts";
export * from "./pool.ts";
export * from "./retry.ts";
export * from "./tee.ts";
