import {
  background,
  type Context,
  dialTcp,
  snapshot,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port: 0 });
}

Deno.test("dialTcp() connects, and cancelling afterwards does the connection no harm", async () => {
  using listener = listen();
  const ctx = withCancel(background());
  using conn = await dialTcp(ctx, listener.addr);
  using accepted = await listener.accept();
  ctx.cancel();
  await ctx.done;
  await conn.write(new Uint8Array([1, 2, 3]));
  assertEquals(await accepted.read(new Uint8Array(10)), 3);
  await accepted.write(new Uint8Array([4]));
  assertEquals(await conn.read(new Uint8Array(10)), 1);
});

Deno.test("dialTcp() on a done ctx rejects with its err and does not connect", async () => {
  using listener = listen();
  const ctx = withCancel(background());
  ctx.cancel();
  const error = await assertRejects(() => dialTcp(ctx, listener.addr));
  assertStrictEquals(error, ctx.err);
  using conn = await dialTcp(background(), listener.addr);
  using accepted = await listener.accept();
  assertEquals(
    (accepted.remoteAddr as Deno.NetAddr).port,
    (conn.localAddr as Deno.NetAddr).port,
  );
});

Deno.test("dialTcp() that is cancelled while it connects rejects with ctx.err, and nothing stays open", async () => {
  using listener = listen();
  const ctx = withCancel(background());
  const dialled = dialTcp(ctx, listener.addr);
  ctx.cancel("never mind");
  const error = await assertRejects(() => dialled);
  assertStrictEquals(error, ctx.err);
});

Deno.test("dialTcp() ends at the deadline of ctx", async () => {
  using time = new FakeTime();
  const { connect } = Deno;
  // A peer that never answers: no address here is sure to be one.
  Deno.connect =
    ((options: Deno.ConnectOptions) =>
      new Promise<Deno.TcpConn>((_resolve, reject) => {
        const { signal } = options;
        signal!.addEventListener("abort", () => reject(signal!.reason));
      })) as typeof Deno.connect;
  try {
    using ctx = withTimeout(background(), 1_000);
    const dialled = dialTcp(ctx, { port: 9 });
    dialled.catch(() => {});
    await time.runMicrotasks();
    time.tick(1_000);
    const error = await assertRejects(() => dialled);
    assertStrictEquals(error, ctx.err);
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("dialTcp() names the address where nobody listens", async () => {
  const listener = listen();
  const { port } = listener.addr;
  listener.close();
  await assertRejects(
    () => dialTcp(background(), { port }),
    Deno.errors.ConnectionRefused,
    `dialTcp: nobody listens at 127.0.0.1:${port}`,
  );
});

Deno.test("dialTcp() leaves nothing on ctx", async () => {
  using listener = listen();
  using ctx = withCancel(background());
  using _conn = await dialTcp(ctx, listener.addr);
  using _accepted = await listener.accept();
  assertEquals(snapshot(ctx).afterFuncs, 0);
  assertEquals(snapshot(ctx).children.length, 0);
});

Deno.test("dialTcp() wants a context", async () => {
  await assertRejects(
    () => dialTcp(null as unknown as Context, { port: 9 }),
    TypeError,
    "dialTcp: expected a context, got null",
  );
});

// TLS. That it connects stands with serveTcp().

for (const when of ["cancelled", "left by its peer"]) {
  Deno.test(`a handshake that is ${when} ends`, async () => {
    using listener = listen();
    const { hostname, port } = listener.addr;
    using ctx = withCancel(background());
    const dialled = dialTcp(ctx, { hostname, port, tls: {} });
    dialled.catch(() => {});
    using accepted = await listener.accept();
    // The client says hello; nobody answers.
    await accepted.read(new Uint8Array(1_000));
    if (when === "cancelled") ctx.cancel();
    else accepted.closeWrite();
    const error = await assertRejects(() => dialled);
    if (when === "cancelled") assertStrictEquals(error, ctx.err);
    else assertEquals(ctx.err, undefined);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}

Deno.test("a certificate that is not trusted is an error", async () => {
  const pem = (name: string) =>
    Deno.readTextFileSync(new URL(`../testdata/${name}`, import.meta.url));
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: pem("localhost_cert.pem"),
    key: pem("localhost_key.pem"),
  });
  const { hostname, port } = listener.addr;
  const accepting = listener.accept().then(async (conn) => {
    await conn.handshake().catch(() => {});
    conn.close();
  });
  await assertRejects(
    () => dialTcp(background(), { hostname, port, tls: {} }),
    Deno.errors.InvalidData,
  );
  await accepting;
});

Deno.test("a hostname that TLS does not take is an error, and nothing stays open", async () => {
  using listener = listen();
  const { port } = listener.addr;
  const dialled = dialTcp(background(), { hostname: "127.1", port, tls: {} });
  await assertRejects(() => dialled, TypeError);
  using accepted = await listener.accept();
  assertEquals(await accepted.read(new Uint8Array(1)), null);
});

Deno.test("dialTcp() without what TLS needs does without TLS", async () => {
  using listener = listen();
  const options = { port: listener.addr.port, tls: undefined };
  using conn = await dialTcp(background(), options as { port: number });
  using accepted = await listener.accept();
  await conn.write(new Uint8Array([1]));
  assertEquals(await accepted.read(new Uint8Array(10)), 1);
});

Deno.test("dialTcp() names what it cannot look up", async () => {
  await assertRejects(
    () => dialTcp(background(), { hostname: "no-such-name.invalid", port: 9 }),
    Error,
    "dialTcp: cannot connect to no-such-name.invalid:9: ",
  );
});
