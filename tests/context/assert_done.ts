/** What is asserted of a context throughout: is it done, and in one piece? */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { cause, type Context, type ContextError } from "@curfew/context";

/** Asserts that `ctx` is done whichever way one looks; returns its err. */
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

/** Asserts that `ctx` is not done whichever way one looks. */
export function assertOpen(ctx: Context): void {
  assertEquals(ctx.err, undefined);
  assertEquals(ctx.signal.aborted, false);
  assertEquals(cause(ctx), undefined);
}
