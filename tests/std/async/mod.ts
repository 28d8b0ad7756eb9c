/**
 * A stand-in for `@std/async` where only the npm registry can be reached: the
 * upstream code from `npm:deno-std`, with its types declared beside it. Only
 * the channel is our own.
 *
 * @module
 */

export * from "./abortable.ts";
export * from "./all_keyed.ts";
export * from "./channel.ts";
export * from "./deadline.ts";
export * from "./debounce.ts";
export * from "./delay.ts";
export * from "./lazy.ts";
export * from "./mux_async_iterator.ts";
export * from "./poll.ts";
export * from "./pool.ts";
export * from "./retry.ts";
export * from "./tee.ts";
