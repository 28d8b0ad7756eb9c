/** The check of every argument that must be a context. */

import type { Context } from "./context.ts";
import { TreeContext } from "./tree.ts";

/**
 * Throws a TypeError unless `ctx` is a context.
 *
 * @param caller The public function that was called, for the message.
 */
export function assertContext(caller: string, ctx: Context): void {
  if (ctx instanceof TreeContext || isContext(ctx)) return;
  throw new TypeError(`${caller}: expected a context, got ${described(ctx)}`);
}

function isContext(ctx: unknown): boolean {
  return typeof ctx === "object" && ctx !== null && "signal" in ctx &&
    typeof (ctx as Partial<Context>).value === "function";
}

/** Names what was given instead of a context, and what to do about it. */
function described(given: unknown): string {
  if (given instanceof AbortSignal) {
    return "an AbortSignal: derive a context with " +
      "withSignal(background(), signal)";
  }
  if (given instanceof AbortController) {
    return "an AbortController: use withCancel(), or derive a context with " +
      "withSignal(background(), controller.signal)";
  }
  if (given === undefined || given === null) {
    return `${given}: pass the ctx you were given, or background() at the top`;
  }
  if (typeof given === "function") {
    return `a function: call it, or pass the ctx before it`;
  }
  return `${typeof given}: pass the ctx you were given, or background()`;
}
