import {
  background,
  closeOnDone,
  type Context,
  withCancel,
} from "@curfew/context";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";

Deno.test("closeOnDone() closes the resource once ctx is done", async () => {
  const ctx = withCancel(background());
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closeOnDone(ctx, listener);
  const accepted = listener.accept();
  ctx.cancel();
  await assertRejects(() => accepted, Deno.errors.BadResource);
});

Deno.test("closeOnDone() disposes of a resource without close()", async () => {
  const ctx = withCancel(background());
  let disposed = 0;
  closeOnDone(ctx, { [Symbol.dispose]: () => void disposed++ });
  ctx.cancel();
  await ctx.done;
  assertEquals(disposed, 1);
});

Deno.test("closeOnDone() closes the resource in a microtask if ctx is done", async () => {
  const ctx = withCancel(background());
  ctx.cancel();
  let closed = 0;
  closeOnDone(ctx, { close: () => void closed++ });
  assertEquals(closed, 0);
  await Promise.resolve();
  assertEquals(closed, 1);
});

Deno.test("the function that closeOnDone() returns revokes it", async () => {
  const ctx = withCancel(background());
  let closed = 0;
  const stop = closeOnDone(ctx, { close: () => void closed++ });
  assertEquals(stop(), true);
  assertEquals(stop(), false);
  ctx.cancel();
  await ctx.done;
  assertEquals(closed, 0);
});

Deno.test("closeOnDone() ignores a resource that is closed already", async () => {
  const ctx = withCancel(background());
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closeOnDone(ctx, listener);
  listener.close();
  ctx.cancel();
  await ctx.done;
});

Deno.test("closeOnDone() throws a TypeError without a context or a resource that can be closed", () => {
  for (const wrong of [{}, { close: true }, null, undefined, 5]) {
    assertThrows(
      () => closeOnDone(background(), wrong as unknown as Disposable),
      TypeError,
      "closeOnDone: the second argument has neither close() nor Symbol.dispose",
    );
  }
  assertThrows(
    () => closeOnDone(null as unknown as Context, { close() {} }),
    TypeError,
    "closeOnDone: expected a context, got null",
  );
});

Deno.test("closeOnDone() disposes of a resource whose close is no function", async () => {
  const ctx = withCancel(background());
  let disposed = 0;
  const closer = { close: true, [Symbol.dispose]: () => void disposed++ };
  closeOnDone(ctx, closer as unknown as Disposable);
  ctx.cancel();
  await ctx.done;
  assertEquals(disposed, 1);
});
