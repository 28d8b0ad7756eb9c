// The interface that all servers share.

import {
  background,
  cause,
  type Context,
  createKey,
  draining,
  serveHttp,
  type Server,
  type ServerOptions,
  serveTcp,
  serveUdp,
  snapshot,
  udpPeers,
  withCancel,
  withValue,
} from "@curfew/context";
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { RecordingOwner } from "../context/recording_owner.ts";
import { TcpClient } from "./tcp/tcp_client.ts";
import { turn, until } from "./turn.ts";
import { UdpClient } from "./udp/udp_client.ts";

interface Options extends ServerOptions {
  hostname?: string;
  port: number;
  tls?: { cert: string; key: string };
  onError?: (error: unknown) => void;
}

interface Row {
  /** Starts a server that calls `handler` with the context of each piece of work. */
  serve(
    ctx: Context,
    options: Options,
    handler?: (ctx: Context) => void | Promise<void>,
  ): Server;
  /** Makes the server call its handler. Returns the client. */
  knock(addr: Deno.NetAddr): Promise<Disposable>;
  hasTls?: true;
  /** False if the server does not open its socket with `Deno.listen`. */
  listens?: false;
}

async function send(addr: Deno.NetAddr): Promise<Disposable> {
  const client = new UdpClient(addr);
  await client.send("x");
  return client;
}

const rows: Record<string, Row> = {
  serveHttp: {
    serve: (ctx, options, handler = () => {}) =>
      serveHttp(ctx, options, async (ctx) => {
        await handler(ctx);
        return new Response();
      }),
    knock: async (addr) => {
      const client = await TcpClient.connect(addr);
      await client.get("/");
      return client;
    },
    listens: false,
    hasTls: true,
  },
  serveTcp: {
    serve: (ctx, options, handler = () => {}) =>
      serveTcp(ctx, options, (ctx) => handler(ctx)),
    knock: ({ hostname, port }) => Deno.connect({ hostname, port }),
    hasTls: true,
  },
  serveUdp: {
    serve: (ctx, options, handler = () => {}) =>
      serveUdp(ctx, options, (ctx) => handler(ctx)),
    knock: send,
  },
  udpPeers: {
    serve: (ctx, options, handler = () => {}) =>
      udpPeers(ctx, options, (ctx) => handler(ctx)),
    knock: send,
  },
};

const local: Options = { hostname: "127.0.0.1", port: 0 };

/** Closes the socket that `open` opens behind the back of its server. */
function closingSocket<T>(open: () => T): { result: T; close: () => void } {
  const { listen, listenDatagram } = Deno;
  let close = () => {};
  const recorded = (listen: (options: never) => { close(): void }) =>
    ((options: never) => {
      const socket = listen(options);
      close = () => socket.close();
      return socket;
    }) as never;
  Deno.listen = recorded(listen);
  Deno.listenDatagram = recorded(listenDatagram);
  try {
    return { result: open(), close };
  } finally {
    Object.assign(Deno, { listen, listenDatagram });
  }
}

for (
  const [name, { serve, knock, hasTls, listens = true }] of Object.entries(rows)
) {
  Deno.test(`${name}() listens on all addresses by default`, async () => {
    await using server = serve(background(), { port: 0 });
    const { hostname }: Deno.NetAddr = server.addr;
    assertEquals(hostname, "0.0.0.0");
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

  Deno.test(`${name}() takes new work during the lame duck, and draining(ctx) is open until it ends`, async () => {
    using ctx = withCancel(background());
    const entered = Promise.withResolvers<unknown>();
    const seen: unknown[] = [];
    const server = serve(ctx, { ...local, lameDuck: 60_000 }, async (ctx) => {
      const drain = draining(ctx);
      entered.resolve(drain.err);
      await drain.done;
      seen.push(server.state, cause(drain), ctx.err);
    });
    ctx.cancel("deploy");
    using _client = await knock(server.addr);
    assertEquals(await entered.promise, undefined);
    assertEquals(server.state, "lame-duck");
    // Ends the lame duck.
    await server.shutdown({ grace: 60_000 });
    assertEquals(seen, ["draining", "deploy", undefined]);
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

  Deno.test(`shutdown() of ${name}() with a grace period of 0 cuts at once`, async () => {
    const entered = Promise.withResolvers<Context>();
    const server = serve(background(), local, (ctx) => {
      entered.resolve(ctx);
      return new Promise(() => {});
    });
    using _client = await knock(server.addr);
    const ctx = await entered.promise;
    const ended = server.shutdown({ grace: 0, cause: "now" });
    assertInstanceOf(ctx.err, DOMException);
    await ended;
    assertEquals(server.state, "closed");
  });

  Deno.test(`a hook of ${name}() has the values of ctx`, async () => {
    const key = createKey<string>("name");
    const server = serve(withValue(background(), key, "dns"), local);
    const seen = Promise.withResolvers<unknown>();
    server.onShutdown((ctx) => seen.resolve(ctx.value(key)));
    await server.shutdown();
    assertEquals(await seen.promise, "dns");
  });

  if (listens) {
    Deno.test(`finished of ${name}() rejects if other code closes its socket`, async () => {
      using ctx = withCancel(background());
      const errors: unknown[] = [];
      const { result: server, close } = closingSocket(() =>
        serve(ctx, { ...local, onError: (error) => errors.push(error) })
      );
      close();
      const error = await assertRejects(
        () => server.finished,
        Error,
        `at 127.0.0.1:${server.addr.port} was closed by other code`,
      );
      assertInstanceOf(error.cause, Error);
      assertEquals(errors, [error]);
      assertEquals([server.state, ctx.err], ["closed", undefined]);
      assertStrictEquals(
        await assertRejects(() => server.shutdown({ grace: 0 })),
        error,
      );
    });

    Deno.test(`a socket of ${name}() that fails is the program's failure`, async () => {
      const owner = new RecordingOwner();
      const { result: server, close } = closingSocket(() =>
        serve(owner.ctx, local)
      );
      close();
      await until(() => owner.failures.length > 0);
      const error = await assertRejects(() => server.finished);
      assertStrictEquals(owner.failures[0], error);
    });
  }

  Deno.test(`${name}() is owned by the program until it is closed, and leaves nothing on ctx`, async () => {
    const owner = new RecordingOwner();
    using ctx = withCancel(owner.ctx);
    {
      await using server = serve(ctx, local);
      assertEquals(owner.running, [`${name} 127.0.0.1:${server.addr.port}`]);
      assertEquals(snapshot(ctx).children.length, 1);
    }
    assertEquals(owner.running, []);
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
    // The port is free again; Deno.serve takes a turn to close it.
    await turn();
    await turn();
    await using again = serve(ctx, { ...local, port: addr!.port });
    assertEquals(again.ready, true);
  });

  Deno.test(`${name}() checks its arguments before it looks at ctx`, () => {
    const ctx = withCancel(background());
    ctx.cancel();
    for (const wrong of [{ grace: -1 }, { lameDuck: NaN }]) {
      assertThrows(() => serve(ctx, { ...local, ...wrong }), RangeError);
    }
    const tls = { cert: "" } as unknown as { cert: string; key: string };
    if (hasTls) assertThrows(() => serve(ctx, { ...local, tls }), TypeError);
    const error = assertThrows(() => serve(ctx, local));
    assertStrictEquals(error, ctx.err);
  });
}
