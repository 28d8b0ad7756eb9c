// The interface that all servers share.

import {
  background,
  type Context,
  createKey,
  type Server,
  type ServerOptions,
  serveTcp,
  serveUdp,
  snapshot,
  udpPeers,
  withCancel,
  withValue,
} from "@curfew/context";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { RecordingOwner } from "../context/recording_owner.ts";

interface Options extends ServerOptions {
  hostname?: string;
  port: number;
  onError?: (error: unknown) => void;
}

type Serve = (ctx: Context, options: Options) => Server;

const servers: Record<string, Serve> = {
  serveTcp: (ctx, options) => serveTcp(ctx, options, () => {}),
  serveUdp: (ctx, options) => serveUdp(ctx, options, () => {}),
  udpPeers: (ctx, options) => udpPeers(ctx, options, () => {}),
};

const local: Options = { hostname: "127.0.0.1", port: 0 };

for (const [name, serve] of Object.entries(servers)) {
  Deno.test(`${name}() listens on all addresses by default`, async () => {
    await using server = serve(background(), { port: 0 });
    assertEquals(server.addr.hostname, "0.0.0.0");
  });

  Deno.test(`${name}() goes through its states, and calls onStateChange for each`, async () => {
    using ctx = withCancel(background());
    const seen: string[] = [];
    const server = serve(ctx, {
      ...local,
      onListen: ({ port }) => seen.push(`listening: ${port > 0}`),
      onStateChange: (state) => seen.push(`${state}: ${server.state}`),
      lameDuck: 1,
    });
    assertEquals([server.state, server.ready], ["serving", true]);
    ctx.cancel();
    assertEquals([server.state, server.ready], ["lame-duck", false]);
    await server.finished;
    assertEquals(seen, [
      "listening: true",
      "lame-duck: lame-duck",
      "draining: draining",
      "closed: closed",
    ]);
  });

  Deno.test(`shutdown() of ${name}() runs the hooks and gives the same report each time`, async () => {
    using ctx = withCancel(background());
    const server = serve(ctx, local);
    const seen: unknown[] = [];
    server.onShutdown((ctx) => void seen.push(ctx.err));
    const report = await server.shutdown({ cause: "deploy", grace: 1_000 });
    assertStrictEquals(await server.shutdown(), report);
    assertStrictEquals(await server.finished, report);
    assertEquals([server.state, seen], ["closed", [undefined]]);
    assertEquals(ctx.err, undefined);
  });

  Deno.test(`a hook of ${name}() has the values of ctx`, async () => {
    const key = createKey<string>("name");
    const server = serve(withValue(background(), key, "dns"), local);
    const seen = Promise.withResolvers<unknown>();
    server.onShutdown((ctx) => seen.resolve(ctx.value(key)));
    await server.shutdown();
    assertEquals(await seen.promise, "dns");
  });

  Deno.test(`${name}() leaves nothing on ctx and nothing running`, async () => {
    const owner = new RecordingOwner();
    using ctx = withCancel(owner.ctx);
    {
      await using _server = serve(ctx, local);
      assertEquals(owner.works.size, 1);
      assertEquals(snapshot(ctx).children.length, 1);
    }
    assertEquals(owner.works.size, 0);
    assertEquals(snapshot(ctx).children.length, 0);
    assertEquals(ctx.err, undefined);
  });

  Deno.test(`${name}() throws what onListen throws, and closes its socket`, async () => {
    using ctx = withCancel(background());
    let addr: Deno.NetAddr | undefined;
    assertThrows(
      () =>
        serve(ctx, {
          ...local,
          onListen: (at) => {
            addr = at;
            throw new Error("no");
          },
        }),
      Error,
      "no",
    );
    assertEquals(snapshot(ctx).children.length, 0);
    // The port is free again.
    await using again = serve(ctx, { ...local, port: addr!.port });
    assertEquals(again.ready, true);
  });

  Deno.test(`${name}() checks its arguments before it looks at ctx`, () => {
    const ctx = withCancel(background());
    ctx.cancel();
    for (const wrong of [{ grace: -1 }, { lameDuck: NaN }]) {
      assertThrows(() => serve(ctx, { ...local, ...wrong }), RangeError);
    }
    const error = assertThrows(() => serve(ctx, local));
    assertStrictEquals(error, ctx.err);
  });
}
