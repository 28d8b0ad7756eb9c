/**
 * A stand-in for `@std/cli` where only the npm registry can be reached: the
 * upstream code from `npm:deno-std`, with its types declared beside it.
 * `unicodeWidth` is missing: the npm package leaves out the data it needs.
 *
 * @module
 */

export * from "./parse_args.ts";
export * from "./prompt_secret.ts";
