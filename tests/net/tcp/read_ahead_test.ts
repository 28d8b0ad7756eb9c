// TcpConnection, which reads ahead while its handler does not read.

import { cause, ClientGone } from "@curfew/context";
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { ScriptedConnection, settled } from "./scripted_socket.ts";

/** Reads up to `length` bytes; null at the end of the stream. */
async function readSome(
  { conn }: ScriptedConnection,
  length: number,
): Promise<string | null> {
  const buffer = new Uint8Array(length);
  const n = await conn.read(buffer);
  return n === null ? null : new TextDecoder().decode(buffer.subarray(0, n));
}

Deno.test("watch() reads ahead when the handler has not read between two calls", () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  conn.watch();
  assertEquals(socket.reads, 0);
  conn.watch();
  assertEquals(socket.reads, 1);
  conn.watch();
  conn.watch();
  assertEquals(socket.reads, 1);
});

Deno.test("watch() does not read ahead right after a read of the handler", async () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  conn.watch();
  const read = readSome(scripted, 1);
  await socket.receive("x");
  assertEquals(await read, "x");
  conn.watch();
  assertEquals(socket.isRead, false);
  conn.watch();
  assertEquals(socket.isRead, true);
});

Deno.test("watch() does not read while the handler reads", async () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  const read = readSome(scripted, 1);
  for (let n = 0; n < 3; n++) conn.watch();
  assertEquals(socket.reads, 1);
  await socket.receive("x");
  assertEquals(await read, "x");
});

Deno.test("watch() keeps no more than 16,384 bytes", async () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  for (let n = 0; n < 32; n++) {
    scripted.readAhead();
    await socket.receive("x".repeat(512));
  }
  for (let n = 0; n < 3; n++) conn.watch();
  assertEquals(socket.reads, 32);
  assertEquals(await readSome(scripted, 20_000), "x".repeat(16_384));
  scripted.readAhead();
});

Deno.test("watch() reads nothing after the end of the stream, an error or close()", async () => {
  for (const how of ["end", "error", "close"] as const) {
    using scripted = new ScriptedConnection();
    const { conn, socket } = scripted;
    scripted.readAhead();
    if (how === "end") await socket.receiveEnd();
    if (how === "error") await socket.fail(new Error("no"));
    if (how === "close") conn.close();
    await settled();
    for (let n = 0; n < 3; n++) conn.watch();
    assertEquals([how, socket.reads], [how, 1]);
  }
});

Deno.test("watch() does not read from a connection that is closed before", () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  conn.close();
  for (let n = 0; n < 3; n++) conn.watch();
  assertEquals(socket.reads, 0);
});

Deno.test("the end of the stream ends the ctx of a handler that does not read", async () => {
  using scripted = new ScriptedConnection();
  scripted.readAhead();
  await scripted.socket.receiveEnd();
  assertInstanceOf(cause(scripted.ctx), ClientGone);
  assertEquals(await readSome(scripted, 1), null);
});

Deno.test("with allowHalfOpen the end of the stream leaves the ctx of a handler open that does not read", async () => {
  using scripted = new ScriptedConnection({ allowHalfOpen: true });
  scripted.readAhead();
  await scripted.socket.receiveEnd();
  assertEquals(scripted.ctx.err, undefined);
  assertEquals(await readSome(scripted, 1), null);
  assertEquals(scripted.ctx.err, undefined);
});

for (const reads of [true, false]) {
  Deno.test(`data before the end of the stream keeps the ctx open until it is read, if the handler ${reads ? "reads" : "does not read"} then`, async () => {
    using scripted = new ScriptedConnection();
    const { ctx, socket } = scripted;
    scripted.readAhead();
    await socket.receive("abc");
    scripted.readAhead();
    const read = reads ? readSome(scripted, 2) : undefined;
    await socket.receiveEnd();
    assertEquals(ctx.err, undefined);
    assertEquals(await (read ?? readSome(scripted, 2)), "ab");
    assertEquals(ctx.err, undefined);
    assertEquals(await readSome(scripted, 2), "c");
    assertEquals(ctx.err, undefined);
    assertEquals(await readSome(scripted, 2), null);
    assertInstanceOf(cause(ctx), ClientGone);
  });
}

Deno.test("a read during a read-ahead gets its data, and the next one that of the socket", async () => {
  using scripted = new ScriptedConnection();
  const { socket } = scripted;
  scripted.readAhead();
  const first = readSome(scripted, 5);
  await socket.receive("ahead");
  assertEquals(await first, "ahead");
  const second = readSome(scripted, 5);
  await settled();
  await socket.receive("later");
  assertEquals(await second, "later");
});

Deno.test("a read rejects with the error of a read-ahead that has failed, after its data", async () => {
  using scripted = new ScriptedConnection();
  const { conn, ctx, socket } = scripted;
  scripted.readAhead();
  await socket.receive("data");
  scripted.readAhead();
  const reset = new Deno.errors.ConnectionReset("reset");
  await socket.fail(reset);
  const why = cause(ctx);
  assertInstanceOf(why, ClientGone);
  assertStrictEquals(why.cause, reset);
  assertEquals(await readSome(scripted, 4), "data");
  const error = await assertRejects(() => readSome(scripted, 1));
  assertStrictEquals(error, reset);
  assertEquals(conn.explains(reset), true);
});

for (const what of ["data", "the end of the stream"]) {
  Deno.test(`a read rejects with ctx.err after close(), though ${what} was read ahead`, async () => {
    using scripted = new ScriptedConnection();
    const { conn, ctx, socket } = scripted;
    scripted.readAhead();
    if (what === "data") await socket.receive("x");
    else await socket.receiveEnd();
    conn.close();
    const error = await assertRejects(() => readSome(scripted, 1));
    assertStrictEquals(error, ctx.err);
  });
}

Deno.test("a connection whose data is read ahead is not idle", async () => {
  using time = new FakeTime();
  using scripted = new ScriptedConnection({ idleTimeout: 1_000 });
  for (let n = 0; n < 3; n++) {
    scripted.readAhead();
    await time.tickAsync(900);
    await scripted.socket.receive("x");
  }
  await time.tickAsync(999);
  assertEquals(scripted.ctx.err, undefined);
  await time.tickAsync(1);
  await settled();
  assertEquals(scripted.socket.calls, ["close"]);
});
