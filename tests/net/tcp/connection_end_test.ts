// How TcpConnection ends, and what it makes of the errors of its socket.

import { cause, ClientGone } from "@curfew/context";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { ManualTimers } from "../manual_timers.ts";
import { encode } from "./connections.ts";
import { ScriptedConnection, settled } from "./scripted_socket.ts";

const turn = 0;
const linger = 1_000;

Deno.test("end() ends the ctx, and closes a connection with nothing unread after a turn", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, ctx, socket } = scripted;
  const ended = conn.end();
  assert(ctx.err !== undefined);
  await settled();
  assertEquals(socket.calls, []);
  timers.fire(turn);
  await ended;
  assertEquals(socket.calls, ["close"]);
  assertEquals(timers.pending, []);
});

Deno.test("end() closes a connection as soon as it finds the end of the stream", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const ended = scripted.conn.end();
  await scripted.socket.receiveEnd();
  await ended;
  assertEquals(scripted.socket.calls, ["close"]);
  assertEquals(timers.pending, []);
});

Deno.test("end() half-closes a connection with unread data, and closes it at the end of the stream", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  const ended = conn.end();
  await socket.receive("unread");
  assertEquals(socket.calls, ["closeWrite"]);
  assertEquals(timers.pending, [linger]);
  await socket.receive("more");
  assertEquals(socket.calls, ["closeWrite"]);
  await socket.receiveEnd();
  await ended;
  assertEquals(socket.calls, ["closeWrite", "close"]);
  assertEquals(timers.pending, []);
});

Deno.test("end() closes a connection after the linger time", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  const ended = conn.end();
  await socket.receive("unread");
  timers.fire(linger);
  await ended;
  assertEquals(socket.calls.slice(0, 2), ["closeWrite", "close"]);
  assertEquals(timers.pending, []);
});

Deno.test("end() lingers at once if data was read ahead", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  scripted.readAhead();
  await socket.receive("unread");
  const ended = conn.end();
  await settled();
  assertEquals(socket.calls, ["closeWrite"]);
  await socket.receiveEnd();
  await ended;
  assertEquals(timers.set, [linger]);
});

Deno.test("end() closes at once if the end of the stream was found before", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  scripted.readAhead();
  await socket.receiveEnd();
  await conn.end();
  assertEquals([socket.calls, socket.reads], [["close"], 1]);
  assertEquals(timers.set, []);
});

Deno.test("end() waits for a read-ahead instead of a second read", async () => {
  using timers = new ManualTimers();
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  scripted.readAhead();
  const ended = conn.end();
  assertEquals(socket.reads, 1);
  timers.fire(turn);
  await ended;
});

Deno.test("end() does not touch the socket of a connection that the handler has closed", async () => {
  using scripted = new ScriptedConnection();
  const { conn, socket } = scripted;
  conn.close();
  await conn.end();
  assertEquals(socket.reads, 0);
  assertEquals(socket.calls.includes("closeWrite"), false);
});

Deno.test("the idle timeout does not cut a connection that lingers", async () => {
  using timers = new ManualTimers();
  using time = new FakeTime();
  using scripted = new ScriptedConnection({ idleTimeout: 500 });
  const { conn, socket } = scripted;
  const ended = conn.end();
  await socket.receive("unread");
  await time.tickAsync(500);
  await settled();
  assertEquals(socket.calls, ["closeWrite"]);
  timers.fire(linger);
  await ended;
});

Deno.test("the idle timeout leaves a connection alone that is closed", async () => {
  using time = new FakeTime();
  using scripted = new ScriptedConnection({ idleTimeout: 500 });
  scripted.conn.close();
  await time.tickAsync(500);
  await settled();
  assertEquals(scripted.socket.calls, ["close"]);
});

// Errors of the socket.

for (
  const Mistake of [TypeError, RangeError] as (new (text: string) => Error)[]
) {
  Deno.test(`a ${Mistake.name} of a write leaves the ctx open`, async () => {
    using scripted = new ScriptedConnection();
    const mistake = new Mistake("no buffer");
    scripted.socket.writeError = mistake;
    const error = await assertRejects(() => scripted.conn.write(encode("x")));
    assertStrictEquals(error, mistake);
    assertEquals(scripted.ctx.err, undefined);
  });
}

const resets = [
  ["BrokenPipe", false],
  ["ConnectionReset", false],
  ["ConnectionReset", true],
  ["ConnectionAborted", false],
  ["UnexpectedEof", false],
  ["TimedOut", false],
] as const;
for (const [name, writeClosed] of resets) {
  Deno.test(`a write that rejects with ${name} ${writeClosed ? "after closeWrite() " : ""}ends the ctx`, async () => {
    using scripted = new ScriptedConnection();
    const { conn, ctx, socket } = scripted;
    if (writeClosed) await conn.closeWrite();
    const failure = socket.writeError = new Deno.errors[name]("gone");
    const error = await assertRejects(() => conn.write(encode("x")));
    assertStrictEquals(error, failure);
    const why = cause(ctx);
    assertInstanceOf(why, ClientGone);
    assertStrictEquals(why.cause, failure);
    assertEquals(conn.explains(failure), true);
  });
}

Deno.test("an open connection explains no error, not even undefined", () => {
  using scripted = new ScriptedConnection();
  for (const error of [undefined, null, new Error("no")]) {
    assertEquals(scripted.conn.explains(error), false);
  }
});

// The rest of Deno.Conn.

Deno.test("ref() and unref() of a connection are those of its socket", () => {
  using scripted = new ScriptedConnection();
  scripted.conn.unref();
  scripted.conn.ref();
  assertEquals(scripted.socket.calls, ["unref", "ref"]);
});

Deno.test("the streams of a connection are the same each time", () => {
  using scripted = new ScriptedConnection();
  const { conn } = scripted;
  assertStrictEquals(conn.readable, conn.readable);
  assertStrictEquals(conn.writable, conn.writable);
});
