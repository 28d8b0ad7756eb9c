// Programs that end under main, one for each way of ending. Each prints "ready"
// when it can be signaled, "stopping" when its ctx is done, and "later" when the
// same signal is another request.

import {
  type Context,
  group,
  main,
  serveHttp,
  serveTcp,
  sleep,
  withCancel,
  withoutCancel,
} from "@curfew/context";
import { EventEmitter, once } from "node:events";

const never = new Promise<never>(() => {});

const local = { hostname: "127.0.0.1", port: 0 };

/** Resolves when ctx is done. */
async function stopped(ctx: Context): Promise<void> {
  console.log("ready");
  await ctx.done;
  console.log("stopping");
}

/** Resolves at the next signal. */
function next(signal: Deno.Signal): Promise<void> {
  return new Promise((resolve) => Deno.addSignalListener(signal, resolve));
}

/** Lets no time pass for `main`, however slow the machine. */
function freezeClock(): void {
  performance.now = () => 0;
}

/** Takes no notice of ctx. */
async function stuck(ctx: Context): Promise<void> {
  await stopped(ctx);
  setTimeout(() => console.log("later"), 150);
  await never;
}

function fail(): never {
  throw new Error("disk full");
}

/** Runs `f` with a way to close the next listener behind the back of its server. */
function withListener(f: (close: () => void) => void): void {
  const { listen } = Deno;
  let listener: Deno.Listener;
  Object.assign(Deno, {
    listen: (options: Deno.TcpListenOptions) => listener = listen(options),
  });
  f(() => listener.close());
  Object.assign(Deno, { listen });
}

const programs: Record<string, () => unknown> = {
  "returns": () => main(() => {}),

  "returns a number": () => main(() => 3),

  "sets Deno.exitCode": () => main(() => void (Deno.exitCode = 3)),

  "sets Deno.exitCode and returns a number": () =>
    main(() => {
      Deno.exitCode = 3;
      return 2;
    }),

  "returns no exit code": () => main(() => 256),

  "throws": () => main(fail),

  "throws and sets Deno.exitCode": () =>
    main(() => {
      Deno.exitCode = 3;
      fail();
    }),

  "throws an error with a cause": () =>
    main(() => {
      throw new Error("cannot save", { cause: new Error("disk full") });
    }),

  "throws several errors": () =>
    main(() =>
      Promise.any([
        Promise.reject(new Error("disk full")),
        Promise.reject(new Error("no route to host")),
      ])
    ),

  "fails and is canceled": () =>
    main(async (ctx) => {
      await using _file = {
        async [Symbol.asyncDispose]() {
          await ctx.done;
          throw ctx.err;
        },
      };
      console.log("ready");
      fail();
    }),

  "leaves a rejection unhandled": () =>
    main(async (ctx) => {
      setTimeout(() => Promise.reject(new Error("disk full")));
      await ctx.done;
    }),

  "leaves a rejection unhandled and returns": () =>
    main(() => void Promise.reject(new Error("disk full"))),

  "leaves an error uncaught": () =>
    main(async (ctx) => {
      setTimeout(fail);
      await ctx.done;
    }),

  "has a listener that throws": () =>
    main(async (ctx) => {
      ctx.signal.addEventListener("abort", fail);
      await stopped(ctx);
    }),

  "loses a listener": () =>
    main((ctx) => {
      withListener((close) => {
        serveTcp(ctx, { ...local, grace: 0, onError: () => {} }, () => {});
        close();
      });
    }),

  "has a group that fails": () =>
    main((ctx) => {
      group(ctx).go(fail);
    }),

  "fails while it drains": () =>
    main(async (ctx) => {
      await stopped(ctx);
      fail();
    }),

  "finishes": () => main(stopped),

  "finishes, and has set Deno.exitCode": () =>
    main(async (ctx) => {
      Deno.exitCode = 3;
      await stopped(ctx);
    }),

  "finishes with a number": () =>
    main(async (ctx) => {
      await stopped(ctx);
      return 3;
    }),

  "is cut short": () =>
    main((ctx) => {
      console.log("ready");
      return sleep(ctx, Infinity);
    }),

  "is cut short, and has set Deno.exitCode": () =>
    main((ctx) => {
      Deno.exitCode = 3;
      console.log("ready");
      return sleep(ctx, Infinity);
    }),

  "is cut short by an AbortError": () =>
    main(async (ctx) => {
      console.log("ready");
      await once(new EventEmitter(), "event", { signal: ctx.signal });
    }),

  "passes on another cancellation": () =>
    main(async (ctx) => {
      await stopped(ctx);
      using connection = withCancel(withoutCancel(ctx));
      connection.cancel(new Error("connection lost"));
      await sleep(connection, 1);
    }),

  "drains a server": () =>
    main((ctx) => {
      serveHttp(ctx, local, () => new Response("hello"));
      console.log("ready");
    }),

  "drains until SIGTERM comes again": () =>
    main(async (ctx) => {
      freezeClock();
      console.log("ready");
      await ctx.done;
      const again = next("SIGTERM");
      console.log("stopping");
      await again;
    }),

  "is stuck": () =>
    main(async function run(ctx) {
      await stuck(ctx);
    }),

  "is stuck in a handler and in tasks": () =>
    main(async function run(ctx) {
      const entered = Promise.withResolvers<void>();
      const server = serveHttp(ctx, local, () => {
        entered.resolve();
        return never;
      });
      const { port } = server.addr;
      fetch(`http://127.0.0.1:${port}/`).catch(() => {});
      await entered.promise;
      const tasks = group(ctx);
      tasks.go(async function flush() {
        await never;
      });
      tasks.go(async function refresh() {
        await never;
      });
      await stuck(ctx);
    }, { grace: 20 }),

  "fails and is stuck": () =>
    main(async function run(ctx) {
      setTimeout(fail);
      await ctx.done;
      await never;
    }, { grace: 20 }),

  "fails, and drains when SIGTERM comes": () =>
    main(async (ctx) => {
      setTimeout(fail);
      await ctx.done;
      const signal = next("SIGTERM");
      console.log("ready");
      await signal;
    }),

  "fails, and is stuck when SIGTERM comes": () =>
    main(async function run(ctx) {
      setTimeout(fail);
      await ctx.done;
      const signal = next("SIGTERM");
      console.log("ready");
      await signal;
      setTimeout(() => console.log("later"), 150);
      await never;
    }),
};

await programs[Deno.args[0]!]!();
