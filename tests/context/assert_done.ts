/** Assertions about contexts: done or open, and consistent. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { cause, type Context, type ContextError } from "@curfew/context";

/** Asserts that every view of `ctx` shows it done; returns its err. */
export function assertDone(
  ctx: Context,
  name: "AbortError" | "TimeoutError" = "AbortError",
): ContextError {
  const { err } = ctx;
  assertEquals(err?.name, name);
  assertEquals(ctx.signal.aborted, true);
  assertStrictEquals(ctx.signal.reason, err);
  assertStrictEquals(ctx.err, err);
  return err!;
}

/** Asserts that every view of `ctx` shows it open. */
export function assertOpen(ctx: Context): void {
  assertEquals(ctx.err, undefined);
  assertEquals(ctx.signal.aborted, false);
  assertEquals(cause(ctx), undefined);
}
