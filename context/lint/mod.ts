/**
 * A plugin for `deno lint` that finds lost cancels and other misuse of
 * contexts. Name it in the `deno.json` of your project:
 *
 * ```json
 * { "lint": { "plugins": ["jsr:@curfew/context/lint"] } }
 * ```
 *
 * The rules look only at files that import this package, and follow aliases and
 * namespaces. `docs/lint.md` has the reason for each rule and pairs of code that
 * it reports and accepts.
 *
 * @module
 */

export { default } from "./plugin.ts";
