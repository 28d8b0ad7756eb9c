// deno-lint-ignore-file curfew/floating-group curfew/lost-cancel -- what nothing waits for is the subject
// Programs under main in which something fails, or only seems to. Each prints
// "ready" when it can be signaled, and "drained" once it has ended well.

import {
  afterFunc,
  background,
  type Context,
  group,
  main,
  orDone,
  serveHttp,
  serveTcp,
  serveUdp,
  sleep,
  udpPeers,
  withCancel,
  withoutCancel,
  withSignal,
  withTimeout,
} from "@curfew/context";
import { setTimeout as delay } from "node:timers/promises";

const local = { hostname: "127.0.0.1", port: 0 };

function fail(): never {
  throw new Error("disk full");
}

function rejection(): Promise<never> {
  return Promise.reject(new Error("disk full"));
}

/** Runs a program that calls `start`, waits for the end of its ctx, and drains. */
function draining(start: (ctx: Context) => unknown): Promise<void> {
  return main(async (ctx) => {
    start(ctx);
    console.log("ready");
    await ctx.done;
    await sleep(withoutCancel(ctx), 1);
    console.log("drained");
  });
}

async function throwLater(): Promise<void> {
  await Promise.resolve();
  fail();
}

/** Runs a program that ends as `f` does, which is called when ctx is done. */
function ending(f: (ctx: Context) => unknown): Promise<void> {
  return main(async (ctx) => {
    console.log("ready");
    await ctx.done;
    await f(ctx);
  });
}

/** Runs a program that rejects as `f` does, which is called while ctx is open. */
function waiting(f: (ctx: Context) => unknown): Promise<void> {
  return main(async (ctx) => {
    const result = f(ctx);
    console.log("ready");
    await result;
  });
}

const programs: Record<string, () => unknown> = {
  // What nothing handles. Each fails by itself.

  "a timer": () => draining(() => setTimeout(fail)),
  "an interval": () =>
    draining(() => {
      const timer = setInterval(() => {
        clearInterval(timer);
        fail();
      });
    }),
  "a microtask": () => draining(() => queueMicrotask(fail)),
  "a promise": () => draining(() => void rejection()),
  "an async function": () => draining(() => void throwLater()),
  "reportError()": () => draining(() => reportError(new Error("disk full"))),
  "an event listener": () =>
    draining(() => {
      const target = new EventTarget();
      target.addEventListener("event", fail);
      setTimeout(() => target.dispatchEvent(new Event("event")));
    }),
  "an abort listener": () =>
    draining((ctx) => {
      const child = withCancel(ctx);
      child.signal.addEventListener("abort", fail);
      setTimeout(() => child.cancel());
    }),
  "an afterFunc": () => draining((ctx) => afterFunc(withTimeout(ctx, 1), fail)),
  "a MessagePort": () =>
    draining(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = fail;
      port2.postMessage("");
    }),
  "what a handler leaves behind": () =>
    draining((ctx) => {
      const server = serveTcp(ctx, local, async (_ctx, conn) => {
        setTimeout(fail);
        await conn.closeWrite();
      });
      Deno.connect({ ...local, port: server.addr.port }).then((conn) =>
        conn.close()
      );
    }),
  "a group": () => draining((ctx) => void group(ctx).go(fail)),
  "a group that fails later": () =>
    draining((ctx) => {
      group(ctx).go(async (ctx) => {
        await sleep(ctx, 1);
        fail();
      });
    }),
  "a group under withoutCancel()": () =>
    draining((ctx) => void group(withoutCancel(ctx)).go(fail)),
  "a group with a task that goes on": () =>
    draining((ctx) => {
      const tasks = group(ctx);
      tasks.go(() => sleep(withoutCancel(ctx), 20));
      tasks.go(fail);
    }),

  // What only looks like the end of ctx. Each fails at the signal.

  "another cancellation": () =>
    ending(async (ctx) => {
      using connection = withCancel(withoutCancel(ctx));
      setTimeout(() => connection.cancel(new Error("connection lost")));
      await orDone(connection, new Promise(() => {}));
    }),
  "another cancellation without a cause": () =>
    ending(async (ctx) => {
      using connection = withCancel(withoutCancel(ctx));
      setTimeout(() => connection.cancel());
      await sleep(connection, 60_000);
    }),
  "the timeout of a flush": () =>
    ending(async (ctx) => {
      using step = withTimeout(withoutCancel(ctx), 1);
      await sleep(step, 60_000);
    }),
  "an aborted signal": () =>
    ending(async () => {
      const controller = new AbortController();
      setTimeout(() => controller.abort());
      using step = withSignal(background(), controller.signal);
      await sleep(step, 60_000);
    }),
  "an AbortError with a cause": () =>
    ending(() =>
      delay(60_000, undefined, {
        signal: AbortSignal.abort(new Error("connection lost")),
      })
    ),
  "a wrapped cancellation of another": () =>
    ending(async (ctx) => {
      using connection = withCancel(withoutCancel(ctx));
      connection.cancel(new Error("connection lost"));
      await sleep(connection, 1).catch((cause) => {
        throw new Error("cannot flush", { cause });
      });
    }),
  "a cancellation on top of a failure": () =>
    ending(async (ctx) => {
      await using _file = {
        [Symbol.asyncDispose]: () => Promise.reject(ctx.err),
      };
      await Promise.resolve();
      fail();
    }),
  "a failure on top of a cancellation": () =>
    ending(async (ctx) => {
      await using _file = {
        [Symbol.asyncDispose]: rejection,
      };
      await sleep(ctx, 1);
    }),
  "several errors, one a failure": () =>
    ending((ctx) => Promise.any([Promise.reject(ctx.err), rejection()])),

  // What passes on the end of ctx. Each ends well at the signal.

  "sleep()": () => waiting((ctx) => sleep(ctx, 60_000)),
  "a child": () => waiting((ctx) => sleep(withTimeout(ctx, 60_000), 60_000)),
  "a child of another signal": () =>
    waiting((ctx) => sleep(withSignal(background(), ctx.signal), 60_000)),
  "node:timers": () =>
    waiting((ctx) => delay(60_000, undefined, { signal: ctx.signal })),
  "wrapped errors": () =>
    waiting((ctx) =>
      sleep(ctx, 60_000).catch((cause) => {
        throw new Error("cannot poll", { cause });
      })
    ),
  "await using": () =>
    waiting(async (ctx) => {
      await using _connection = {
        [Symbol.asyncDispose]: () => sleep(ctx, 10),
      };
      await sleep(ctx, 60_000);
    }),
  "using, three times": () =>
    waiting(async (ctx) => {
      await using stack = new AsyncDisposableStack();
      stack.defer(() => ctx.signal.throwIfAborted());
      stack.defer(() => sleep(ctx, 1));
      await sleep(ctx, 60_000);
    }),
  "Promise.any()": () =>
    waiting((ctx) => Promise.any([sleep(ctx, 60_000), sleep(ctx, 70_000)])),
  "the tasks of a group": () =>
    waiting(async (ctx) => {
      const tasks = group(ctx);
      tasks.go((ctx) => sleep(ctx, 60_000));
      await tasks.wait();
    }),
  "promises that nothing handles": () =>
    draining((ctx) => {
      sleep(ctx, 60_000);
      fetch("http://127.0.0.1:1/", { signal: AbortSignal.abort(ctx.err) })
        .catch(() => {});
      new Promise((_resolve, reject) => {
        ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
      });
    }),

  // Work that nothing awaits. Each answers one client, then drains.

  "serveHttp()": () =>
    main((ctx) => {
      const server = serveHttp(ctx, local, () => new Response("hello"));
      const { port } = server.addr;
      setTimeout(async () => {
        const reply = await fetch(`http://127.0.0.1:${port}/`);
        console.log(await reply.text());
      });
    }),
  "serveTcp()": () =>
    main((ctx) => {
      const server = serveTcp(ctx, local, async (_ctx, conn) => {
        await conn.write(new TextEncoder().encode("hello"));
      });
      setTimeout(async () => {
        const conn = await Deno.connect({ ...local, port: server.addr.port });
        console.log(await new Response(conn.readable).text());
      });
    }),
  "serveUdp()": () =>
    main((ctx) => {
      const server = serveUdp(ctx, local, async (_ctx, datagram) => {
        await datagram.reply(new TextEncoder().encode("hello"));
      });
      setTimeout(() => ask(server.addr));
    }),
  "udpPeers()": () =>
    main((ctx) => {
      const server = udpPeers(ctx, local, async (_ctx, peer) => {
        await peer.send(new TextEncoder().encode("hello"));
      });
      setTimeout(() => ask(server.addr));
    }),
  "group()": () =>
    main((ctx) => {
      group(ctx).go(async (ctx) => {
        console.log("hello");
        await ctx.done;
        await sleep(withoutCancel(ctx), 1);
      });
    }),
};

async function ask(addr: Deno.NetAddr): Promise<void> {
  const conn = Deno.listenDatagram({ ...local, transport: "udp" });
  await conn.send(new Uint8Array(1), addr);
  const [data] = await conn.receive();
  console.log(new TextDecoder().decode(data));
  conn.close();
}

await programs[Deno.args[0]!]!();
