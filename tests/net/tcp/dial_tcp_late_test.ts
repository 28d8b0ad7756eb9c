// Outcomes of Deno.connect() that no peer on this machine can cause.

import { background, dialTcp, withCancel } from "@curfew/context";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";

/** Runs `f` while `connect` replaces `Deno.connect`. */
async function connecting(
  connect: () => Promise<Deno.TcpConn>,
  f: () => Promise<void>,
): Promise<void> {
  const real = Deno.connect;
  Deno.connect = connect as unknown as typeof Deno.connect;
  try {
    await f();
  } finally {
    Deno.connect = real;
  }
}

Deno.test("dialTcp() closes a connection that opens after ctx is done, and rejects with ctx.err", async () => {
  const ctx = withCancel(background());
  let closed = 0;
  const late = { close: () => closed++ } as unknown as Deno.TcpConn;
  await connecting(() => {
    ctx.cancel("never mind");
    return Promise.resolve(late);
  }, async () => {
    const error = await assertRejects(() => dialTcp(ctx, { port: 9 }));
    assertStrictEquals(error, ctx.err);
  });
  assertEquals(closed, 1);
});

Deno.test("dialTcp() rejects with errors that need no explanation as they are", async () => {
  const failure = new Deno.errors.TimedOut("no answer");
  await connecting(() => Promise.reject(failure), async () => {
    const dialed = dialTcp(background(), { port: 9 });
    assertStrictEquals(await assertRejects(() => dialed), failure);
  });
});
