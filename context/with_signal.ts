/** Contexts that foreign signals can end. */

import { assertContext } from "./assert_context.ts";
import type { CancelableContext, Context } from "./context.ts";
import { Ending } from "./ending.ts";
import { label, Node, TreeContext } from "./tree.ts";

/**
 * Derives a context that is also done when one of `signals` is aborted: the way in
 * for code that speaks AbortSignal, such as a request, a stream or a user
 * interface. Its `err` is then a `Canceled` whose cause is that signal's reason,
 * whatever that is.
 *
 * The signals are joined by `AbortSignal.any` and released when the context is
 * done. Until then those of `AbortSignal.timeout` keep the process alive.
 *
 * @param parent The context to derive from.
 * @param signals Any number of signals.
 * @returns The child; done from the start if `parent` is done or a signal aborted.
 * @throws {TypeError} If `parent` is not a context, or a signal is not an
 * AbortSignal.
 *
 * @example
 * ```ts
 * import { background, cause, withSignal } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const button = new AbortController();
 * using ctx = withSignal(background(), button.signal);
 * button.abort("the user pressed stop");
 * assertEquals(ctx.err?.name, "AbortError");
 * assertEquals(cause(ctx), "the user pressed stop");
 * ```
 */
export function withSignal(
  parent: Context,
  ...signals: AbortSignal[]
): CancelableContext {
  assertContext("withSignal", parent);
  signals.forEach((signal, index) => {
    if (signal instanceof AbortSignal) return;
    throw new TypeError(
      `withSignal: argument ${index + 2} is not an AbortSignal` +
        insteadOf(signal),
    );
  });
  const node = new SignalNode(parent);
  const [first, ...others] = signals;
  if (first !== undefined) {
    const signal = others.length > 0 ? AbortSignal.any(signals) : first;
    Node.join(node, signal, { signal }, () => Ending.canceled(signal.reason));
  }
  return node;
}

/** Names what to pass instead of `given`, which has a signal. */
function insteadOf(given: unknown): string {
  if (given instanceof AbortController) {
    return ", but an AbortController: pass controller.signal";
  }
  return given instanceof TreeContext ? ", but a context: pass ctx.signal" : "";
}

class SignalNode extends Node {
  override get [label](): string {
    return "withSignal";
  }
}
