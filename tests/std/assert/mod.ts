/**
 * A stand-in for `@std/assert` where only the npm registry can be reached: the
 * upstream code from `npm:deno-std`, with its types declared beside it.
 *
 * @module
 */

// @ts-types="./mod.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
