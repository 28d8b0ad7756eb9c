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

Deno.test("dialTcp() connects, and a later cancellation leaves the connection open", async () => {
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

Deno.test("dialTcp() rejects with ctx.err and does not connect if ctx is done", async () => {
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

Deno.test("dialTcp() rejects with ctx.err if ctx is canceled while it connects, and leaves nothing open", async () => {
  using listener = listen();
  const ctx = withCancel(background());
  const dialed = dialTcp(ctx, listener.addr);
  ctx.cancel("never mind");
  const error = await assertRejects(() => dialed);
  assertStrictEquals(error, ctx.err);
});

Deno.test("dialTcp() rejects at the deadline of ctx", async () => {
  using time = new FakeTime();
  const { connect } = Deno;
  // There is no address whose peer is sure never to answer.
  Deno.connect =
    ((options: Deno.ConnectOptions) =>
      new Promise<Deno.TcpConn>((_resolve, reject) => {
        const { signal } = options;
        signal!.addEventListener("abort", () => reject(signal!.reason));
      })) as typeof Deno.connect;
  try {
    using ctx = withTimeout(background(), 1_000);
    const dialed = dialTcp(ctx, { port: 9 });
    dialed.catch(() => {});
    await time.runMicrotasks();
    time.tick(1_000);
    const error = await assertRejects(() => dialed);
    assertStrictEquals(error, ctx.err);
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("dialTcp() names the address at which nothing listens", async () => {
  const listener = listen();
  const { port } = listener.addr;
  listener.close();
  await assertRejects(
    () => dialTcp(background(), { port }),
    Deno.errors.ConnectionRefused,
    `dialTcp: nothing listens at 127.0.0.1:${port}`,
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

Deno.test("dialTcp() throws a TypeError without a context", async () => {
  await assertRejects(
    () => dialTcp(null as unknown as Context, { port: 9 }),
    TypeError,
    "dialTcp: expected a context, got null",
  );
});

// TLS. The tests of serveTcp() show that it connects.

for (const when of ["canceled", "closed by its peer"]) {
  Deno.test(`dialTcp() rejects if its handshake is ${when}`, async () => {
    using listener = listen();
    const { hostname, port } = listener.addr;
    using ctx = withCancel(background());
    const dialed = dialTcp(ctx, { hostname, port, tls: {} });
    dialed.catch(() => {});
    using accepted = await listener.accept();
    // The ClientHello, which gets no answer.
    await accepted.read(new Uint8Array(1_000));
    if (when === "canceled") ctx.cancel();
    else accepted.closeWrite();
    const error = await assertRejects(() => dialed);
    if (when === "canceled") assertStrictEquals(error, ctx.err);
    else assertEquals(ctx.err, undefined);
    assertEquals(snapshot(ctx).afterFuncs, 0);
  });
}

Deno.test("dialTcp() rejects if the certificate is not trusted", async () => {
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

Deno.test("dialTcp() rejects if the hostname is no name for TLS, and leaves nothing open", async () => {
  using listener = listen();
  const { port } = listener.addr;
  const dialed = dialTcp(background(), { hostname: "127.1", port, tls: {} });
  await assertRejects(() => dialed, TypeError);
  using accepted = await listener.accept();
  assertEquals(await accepted.read(new Uint8Array(1)), null);
});

Deno.test("dialTcp() rejects with the reason if a CA certificate is invalid, and leaves nothing open", async () => {
  using listener = listen();
  const { hostname, port } = listener.addr;
  const invalid =
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const tls = { caCerts: [invalid] };
  const dialed = dialTcp(background(), { hostname, port, tls });
  const error = await assertRejects(() => dialed, Error);
  assertEquals(error instanceof Deno.errors.BadResource, false);
  using accepted = await listener.accept();
  assertEquals(await accepted.read(new Uint8Array(1)), null);
});

Deno.test("dialTcp() connects without TLS if tls is undefined", async () => {
  using listener = listen();
  const options = { port: listener.addr.port, tls: undefined };
  using conn = await dialTcp(background(), options as { port: number });
  using accepted = await listener.accept();
  await conn.write(new Uint8Array([1]));
  assertEquals(await accepted.read(new Uint8Array(10)), 1);
});

Deno.test("dialTcp() rejects with a RangeError that names the address if the port is out of range", async () => {
  await assertRejects(
    () => dialTcp(background(), { port: 70_000 }),
    RangeError,
    "dialTcp: cannot connect to 127.0.0.1:70000: ",
  );
});

Deno.test("dialTcp() names the host that cannot be looked up", async () => {
  await assertRejects(
    () => dialTcp(background(), { hostname: "no-such-name.invalid", port: 9 }),
    Error,
    "dialTcp: cannot connect to no-such-name.invalid:9: ",
  );
});
