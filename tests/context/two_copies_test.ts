// What happens where a program has this package twice: two versions of it, say,
// one of them below a library. A context of one is a custom context to the other.

import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import {
  background,
  Canceled,
  cause,
  type Context,
  createKey,
  DeadlineExceeded,
  isCanceled,
  type Key,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { assertDone, assertOpen } from "./assert_done.ts";

const other = await copy();

/** Loads the package's code once more, from files of its own. */
async function copy(): Promise<typeof import("../../context/mod.ts")> {
  const to = await Deno.makeTempDir({ prefix: "context-" });
  try {
    await copyFiles(new URL("../../context/", import.meta.url), to);
    return await import(new URL(`file://${to}/mod.ts`).href);
  } finally {
    await Deno.remove(to, { recursive: true });
  }
}

async function copyFiles(from: URL, to: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile) {
      await Deno.copyFile(new URL(name, from), `${to}/${name}`);
    } else {
      await Deno.mkdir(`${to}/${name}`);
      await copyFiles(new URL(`${name}/`, from), `${to}/${name}`);
    }
  }
}

Deno.test("a child of the other copy's context ends with that, and its err says why", () => {
  const parent = other.withCancel(other.background());
  const child = withCancel(parent);
  const { signal } = child;
  assertOpen(child);
  parent.cancel("why");
  assertEquals(signal.aborted, true);
  const err = assertDone(child);
  assertEquals(err.cause, parent.err);
  assertEquals(cause(child), parent.err);
  assertEquals(parent.err?.cause, "why");
  assertEquals(String(child), "background.withCancel.withCancel");
});

Deno.test("a child of the other copy's context that is too late is too late itself", () => {
  const child = withCancel(other.withTimeout(other.background(), 0));
  assertInstanceOf(assertDone(child, "TimeoutError"), DeadlineExceeded);
});

Deno.test("a child of a custom context whose err is the platform's is too late where that is", () => {
  const err = new DOMException("Signal timed out.", "TimeoutError");
  const custom: Context = {
    signal: AbortSignal.abort(err),
    done: Promise.resolve(),
    err,
    deadline: undefined,
    value: () => undefined,
  };
  const child = withTimeout(custom, 1000);
  assertDone(child, "TimeoutError");
  assertEquals(cause(child), err);
});

Deno.test("values of one copy are found under keys of either, through contexts of both", () => {
  const ours = createKey<string>("ours");
  const theirs = other.createKey<string>("theirs") as unknown as Key<string>;
  const unknown = createKey<string>("unknown");
  const above = other.withCancel(withValue(background(), theirs, "theirs"));
  const ctx = withCancel(
    other.withValue(withValue(above, ours, "ours"), unknown, "shadowed"),
  );
  assertEquals(ctx.value(theirs), "theirs");
  assertEquals(ctx.value(ours), "ours");
  assertEquals(ctx.value(createKey("none")), undefined);
  assertEquals(ctx.value(unknown), "shadowed");
});

Deno.test("what is no key of either copy is a TypeError through both", () => {
  const ctx = withCancel(other.withCancel(other.background()));
  assertThrows(
    () => ctx.value({ name: "key" } as Key<string>),
    TypeError,
    "is not a key of a context",
  );
});

Deno.test("isCanceled() of either copy takes what ended a context of the other", () => {
  const why = new Error("why");
  const parent = other.withCancel(other.background());
  const child = withCancel(parent);
  parent.cancel(why);
  for (const ctx of [parent, child]) {
    for (const error of [parent.err, child.err, why, cause(parent)]) {
      for (const copy of [isCanceled, other.isCanceled]) {
        assertEquals(copy(ctx, error), true);
        assertEquals(copy(ctx, new Error("wrapped", { cause: error })), true);
      }
    }
  }
});

Deno.test("isCanceled() of either copy knows the other's errors of another cancellation", () => {
  const ctx = other.withCancel(other.background());
  const child = withCancel(ctx);
  ctx.cancel(new Error("why"));
  const aborted = new DOMException("aborted", "AbortError");
  for (
    const error of [
      new other.Canceled(),
      new other.Canceled(aborted),
      new other.DeadlineExceeded(),
      new Canceled(),
      new DeadlineExceeded(),
    ]
  ) {
    assertEquals(isCanceled(child, error), false);
    assertEquals(other.isCanceled(ctx, error), false);
  }
});
