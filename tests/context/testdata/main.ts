// Programs under main. Each prints "ready" when it can be signalled, and
// "stopping" when it has seen the first signal.

import {
  afterFunc,
  background,
  Canceled,
  cause,
  type Context,
  main,
  SignalError,
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
  "returns": () => main(() => 7),

  "resolves": () =>
    main(async () => {
      await Promise.resolve();
      console.log("done");
    }),

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

  "throws": () =>
    main(() => {
      throw new Error("out of paper");
    }),

  "rejects": () => main(() => Promise.reject(new Error("out of paper"))),

  "rejects with a value": () =>
    main(() => Promise.reject("no more than a string")),

  "rejects with Canceled without a signal": () =>
    main(() => Promise.reject(new Canceled("nobody's"))),

  "waits for a promise": () => main(stopped),

  "says why": () =>
    main(async (ctx) => {
      await stopped(ctx);
      const why = cause(ctx);
      if (why instanceof SignalError) console.log(why.signal);
      console.log(ctx.err instanceof Canceled, String(ctx));
    }),

  "fails with err": () =>
    main(async (ctx) => {
      await stopped(ctx);
      throw ctx.err;
    }),

  "fails with the cause": () =>
    main(async (ctx) => {
      await stopped(ctx);
      throw cause(ctx);
    }),

  "fails in fetch": () =>
    main(async (ctx) => {
      // Not waited for: a handler that never ends would never let it go.
      const server = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen() {} },
        () => {
          console.log("ready");
          return never;
        },
      );
      await fetch(`http://127.0.0.1:${server.addr.port}/`, ctx);
    }),

  "fails with err wrapped": () =>
    main(async (ctx) => {
      await stopped(ctx);
      throw new Error("cannot read the file", { cause: ctx.err });
    }),

  "fails with several errs": () =>
    main(async (ctx) => {
      await stopped(ctx);
      await Promise.any([Promise.reject(ctx.err), Promise.reject(ctx.err)]);
    }),

  "fails with several errs, one of another kind": () =>
    main(async (ctx) => {
      await stopped(ctx);
      throw new AggregateError([ctx.err, new Error("out of paper")]);
    }),

  "fails with several errs that wrap the same one": () =>
    main(async (ctx) => {
      await stopped(ctx);
      const wrapped = new Error("could not go on", { cause: ctx.err });
      throw new AggregateError([wrapped, wrapped]);
    }),

  "fails with an error that is its own cause": () =>
    main(async (ctx) => {
      await stopped(ctx);
      const error = new Error("out of paper");
      error.cause = new AggregateError([error]);
      throw error;
    }),

  "fails otherwise": () =>
    main(async (ctx) => {
      await stopped(ctx);
      throw new Error("out of paper");
    }),

  "never ends": () =>
    main(async function serve(ctx) {
      await stopped(ctx);
      await never;
    }),

  "never ends, without a name": () =>
    main(async (ctx) => {
      await stopped(ctx);
      await never;
    }),

  "is over its grace period": () =>
    main(async function serve(ctx) {
      await stopped(ctx);
      await never;
    }, { grace: 20 }),

  "ends within its grace period": () =>
    main(async (ctx) => {
      await stopped(ctx);
      await withTimeout(background(), 20).done;
      console.log("ended");
    }, { grace: 1_000_000 }),

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

  // With an exit of its own main returns, and all is as it was before.
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

  async "exit and nothing left"() {
    await main(() => {}, { exit: (code) => console.log("exit", code) });
  },
};

// Not awaited: that would keep the process alive, which is for main to do.
programs[Deno.args[0]!]!();
