// A context shows nothing of what is behind it: no own properties, no JSON.

import { assertEquals } from "@std/assert";
import {
  background,
  type CancelableContext,
  type Context,
  contextPort,
  createKey,
  draining,
  group,
  notifyContext,
  retry,
  singleFlight,
  todo,
  withCancel,
  withDeadline,
  withGrace,
  withoutCancel,
  withPort,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import { serveHttp, serveTcp, serveUdp, udpPeers } from "@curfew/context/net";

const hour = 3_600_000;
const key = createKey<number>("key");

function cancelable(): CancelableContext {
  return withCancel(background());
}

/** A way to get a context of each kind, and to end it, if that is possible. */
const kinds: { [kind: string]: () => [ctx: Context, end?: () => void] } = {
  background: () => [background()],
  todo: () => [todo()],
  withCancel: () => endable(cancelable()),
  withDeadline: () => endable(withDeadline(background(), Date.now() + hour)),
  "withDeadline that has passed": () => [withDeadline(background(), 0)],
  withTimeout: () =>
    endable(withTimeout(background(), hour, { cause: "late" })),
  withSignal: () => {
    const controller = new AbortController();
    const ctx = withSignal(background(), controller.signal);
    return [ctx, () => controller.abort("enough")];
  },
  withValue: () => {
    const parent = cancelable();
    return [withValue(parent, key, 1), () => parent.cancel()];
  },
  "withValue of a root": () => [withValue(background(), key, 1)],
  withoutCancel: () => [withoutCancel(withTimeout(background(), 0))],
  withGrace: () => endable(withGrace(cancelable(), hour)),
  draining: () => {
    const ctx = withGrace(cancelable(), hour);
    return [draining(ctx), () => ctx.cancel()];
  },
  group: () => {
    const parent = cancelable();
    // deno-lint-ignore curfew/floating-group
    return [group(parent).ctx, () => parent.cancel()];
  },
};

function endable(ctx: CancelableContext): [CancelableContext, () => void] {
  return [ctx, () => ctx.cancel("enough")];
}

function assertNothingShows(ctx: Context): void {
  assertEquals(Reflect.ownKeys(ctx), [], String(ctx));
  assertEquals(JSON.stringify({ ctx }), '{"ctx":{}}');
  assertEquals(JSON.stringify(ctx), "{}");
  // deno-lint-ignore curfew/spread-context
  assertEquals({ ...ctx } as unknown, {});
}

/** Uses everything that is created when it is first asked for. */
function use(ctx: Context): void {
  ctx.signal.addEventListener("abort", () => {});
  ctx.done.then(() => {});
  void ctx.err;
  void ctx.deadline;
  void (ctx as Partial<CancelableContext>).cancel;
}

for (const [kind, make] of Object.entries(kinds)) {
  Deno.test(`a context has no own properties: ${kind}`, () => {
    const [ctx, end] = make();
    assertNothingShows(ctx);
    use(ctx);
    assertNothingShows(ctx);
    end?.();
    use(ctx);
    assertNothingShows(ctx);
  });
}

Deno.test("a context has no own properties: notifyContext", () => {
  using ctx = notifyContext(background(), "SIGINT");
  assertNothingShows(ctx);
});

Deno.test("a context has no own properties: withPort", () => {
  using parent = withCancel(background());
  using ctx = withPort(background(), contextPort(parent));
  assertNothingShows(ctx);
});

Deno.test("a context has no own properties: retry and singleFlight", async () => {
  await retry(background(), assertNothingShows);
  await singleFlight((ctx) => assertNothingShows(ctx), {
    key: () => 1,
  })(background());
});

Deno.test("a context has no own properties: of a request, and of its server", async () => {
  const ctx = withTimeout(background(), hour);
  const seen: Context[] = [];
  await using server = serveHttp(
    ctx,
    { hostname: "127.0.0.1", port: 0, requestTimeout: hour },
    (ctx) => {
      use(ctx);
      seen.push(ctx, draining(ctx));
      return new Response();
    },
  );
  server.onShutdown((ctx) => void seen.push(ctx));
  const { port } = server.addr as Deno.NetAddr;
  await (await fetch(`http://127.0.0.1:${port}/`)).body?.cancel();
  ctx.cancel();
  await server.finished;
  assertEquals(seen.length, 3);
  seen.forEach(assertNothingShows);
});

Deno.test("a context has no own properties: of a TCP connection", async () => {
  const ctx = withCancel(background());
  const seen = Promise.withResolvers<Context>();
  await using server = serveTcp(
    ctx,
    { hostname: "127.0.0.1", port: 0 },
    (ctx) => seen.resolve(ctx),
  );
  const { port } = server.addr as Deno.NetAddr;
  using _conn = await Deno.connect({ hostname: "127.0.0.1", port });
  assertNothingShows(await seen.promise);
  ctx.cancel();
});

for (const [name, serve] of Object.entries({ serveUdp, udpPeers })) {
  Deno.test(`a context has no own properties: of a datagram, ${name}`, async () => {
    const ctx = withCancel(background());
    const seen = Promise.withResolvers<Context>();
    await using server = serve(
      ctx,
      { hostname: "127.0.0.1", port: 0 },
      (ctx) => seen.resolve(ctx),
    );
    const socket = Deno.listenDatagram({
      ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
    });
    await socket.send(new Uint8Array(1), server.addr as Deno.NetAddr);
    assertNothingShows(await seen.promise);
    socket.close();
    ctx.cancel();
  });
}
