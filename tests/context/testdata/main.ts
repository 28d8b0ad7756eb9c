// Programs under main. Each prints "ready" when it can be signaled, and
// "stopping" when it has seen the first signal.

import {
  afterFunc,
  background,
  Canceled,
  cause,
  type Context,
  group,
  main,
  SignalError,
  withoutCancel,
  withTimeout,
} from "@curfew/context";

const never = new Promise<never>(() => {});

/** Resolves when the first signal has come. */
async function stopped(ctx: Context): Promise<void> {
  console.log("ready");
  await ctx.done;
  console.log("stopping");
}

const programs: Record<string, () => unknown> = {
  "leaves timers": () =>
    main(() => {
      setInterval(() => {}, 1_000_000);
      withTimeout(background(), 1_000_000).signal
        .addEventListener("abort", () => {});
    }),

  "leaves a socket": () =>
    main(() => {
      Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
        return new Response();
      });
    }),

  "waits for a promise": () => main(stopped),

  "is inspected": () =>
    main((ctx) => {
      // Called after the listener of main.
      Deno.addSignalListener("SIGUSR1", () => {
        setTimeout(() => console.log("shown"));
      });
      const tasks = group(ctx);
      const task = () => {
        console.log("ready");
        return never;
      };
      Object.defineProperty(task, "name", { value: "count\u001b[2J" });
      tasks.go(task);
      withTimeout(withoutCancel(ctx), 3_600_000);
      return tasks.wait();
    }, { inspect: true, grace: 0 }),

  "says why": () =>
    main(async (ctx) => {
      await stopped(ctx);
      const why = cause(ctx);
      if (why instanceof SignalError) console.log(why.signal);
      console.log(ctx.err instanceof Canceled, String(ctx));
    }),

  "fails in fetch": () =>
    main(async (ctx) => {
      // Not awaited: a handler that never ends would never let it go.
      const server = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen() {} },
        () => {
          console.log("ready");
          return never;
        },
      );
      await fetch(`http://127.0.0.1:${server.addr.port}/`, {
        signal: ctx.signal,
      });
    }),

  "has other signals": () =>
    main(async function serve(ctx) {
      await stopped(ctx);
      await never;
    }, { signals: ["SIGUSR1"] }),

  "ends itself": () =>
    main(async function serve(ctx) {
      afterFunc(ctx, () => Deno.exit(7));
      console.log("ready");
      await never;
    }),

  // Lives on after main has returned.
  async "exit"() {
    await main(stopped, { exit: (code) => console.log("exit", code) });
    console.log("main has returned");
    setInterval(() => {}, 1_000_000);
  },

  async "exit once"() {
    const { promise, resolve } = Promise.withResolvers<void>();
    await main(async function serve(ctx) {
      await stopped(ctx);
      await promise;
    }, { exit: (code) => console.log("exit", code) });
    resolve();
    await promise;
    console.log("main has returned");
  },

  "has a signal listener that throws": () => {
    Deno.addSignalListener("SIGTERM", () => {
      throw new Error("out of paper");
    });
    return main(async (ctx) => {
      console.log("ready");
      await ctx.done;
      console.log("drained");
    });
  },

  async "has handlers of node:process"() {
    const { default: process } = await import("node:process");
    process.on("unhandledRejection", (error: Error) => {
      console.log(`rejection: ${error.message}`);
      setTimeout(() => {
        throw new Error("two");
      });
    });
    await main(() =>
      new Promise<void>((resolve) => {
        process.on("uncaughtException", (error: Error) => {
          console.log(`error: ${error.message}`);
          resolve();
        });
        Promise.reject(new Error("one"));
      })
    );
  },

  async "has an exit listener of node:process"() {
    const { default: process } = await import("node:process");
    process.on("exit", (code: number) => console.log(`exit ${code}`));
    await main(() => 3);
  },

  async "has a process of a shim"() {
    Object.assign(globalThis, { process: { env: {} } });
    await main((ctx) => {
      Promise.reject(new Error("out of paper"));
      return ctx.done;
    });
  },

  "has a worker that throws": () =>
    main(async (ctx) => {
      const code = "setTimeout(() => { throw new Error('out of paper'); })";
      const url = `data:text/javascript,${encodeURIComponent(code)}`;
      new Worker(url, { type: "module" });
      await ctx.done;
      console.log("drained");
    }),

  "prints and throws": () =>
    main(() => {
      console.log("x".repeat(100_000));
      throw new Error("out of paper");
    }),

  async "exit and nothing left"() {
    // The grace period must not keep the process alive.
    const exit = (code: number) => console.log("exit", code);
    await main(() => {}, { grace: 100_000_000, exit });
  },
};

// Not awaited: that would keep the process alive, which is for main to do.
programs[Deno.args[0]!]!();
