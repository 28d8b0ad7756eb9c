// Programs under notifyContext. Each prints "ready" when it can be signaled;
// the test sends the signals and reads what comes out.

import {
  afterFunc,
  background,
  Canceled,
  cause,
  type Context,
  notifyContext,
  SignalError,
  withCancel,
  withTimeout,
} from "@curfew/context";

/** Keeps the process alive, which a listener for signals does not. */
function stayAlive(): () => void {
  const timer = setInterval(() => {}, 1_000_000);
  return () => clearInterval(timer);
}

/** Describes a context that a signal has ended, in one line. */
function describe(ctx: Context): string {
  const why = cause(ctx);
  const { signal } = ctx;
  return [
    why instanceof SignalError ? why.signal : String(why),
    why instanceof Canceled,
    ctx.err instanceof Canceled,
    ctx.err?.message,
    signal.aborted && signal.reason === ctx.err,
  ].join(", ");
}

/** Prints what ends `ctx`, then lives on. */
function report(ctx: Context): void {
  stayAlive();
  afterFunc(ctx, () => console.log(describe(ctx)));
  console.log("ready");
}

const programs: Record<string, () => unknown> = {
  "first signal": () => report(notifyContext(background())),

  "a signal that was asked for": () =>
    report(notifyContext(background(), "SIGUSR1")),

  "a child": () => report(withCancel(notifyContext(background()))),

  "ends in time"() {
    const release = stayAlive();
    afterFunc(notifyContext(background()), release);
    console.log("ready");
  },

  "kept alive by nothing"() {
    notifyContext(background());
    console.log("ready");
  },

  "disposed"() {
    stayAlive();
    {
      using _ctx = notifyContext(background());
    }
    console.log("ready");
  },

  "canceled"() {
    stayAlive();
    notifyContext(background()).cancel();
    console.log("ready");
  },

  "canceled ten times"() {
    stayAlive();
    const ctx = notifyContext(background());
    for (let i = 0; i < 10; i++) ctx.cancel(i);
    console.log("ready");
  },

  "made and disposed ten times"() {
    stayAlive();
    for (let i = 0; i < 10; i++) notifyContext(background())[Symbol.dispose]();
    console.log("ready");
  },

  "ten at once"() {
    stayAlive();
    const contexts = Array.from(
      { length: 10 },
      () => notifyContext(background()),
    );
    afterFunc(contexts[9]!, () => {
      console.log(contexts.filter((ctx) => ctx.err !== undefined).length);
    });
    console.log("ready");
  },

  "one of two disposed": () => {
    notifyContext(background()).cancel();
    const [one, two] = [
      notifyContext(background()),
      notifyContext(background()),
    ];
    one.cancel();
    report(two);
  },

  "the same signal twice": () =>
    report(notifyContext(background(), "SIGUSR1", "SIGUSR1")),

  "parent canceled"() {
    stayAlive();
    const parent = withCancel(background());
    const ctx = notifyContext(parent);
    parent.cancel("parent's");
    console.log(cause(ctx));
    console.log("ready");
  },

  async "parent's time is over"() {
    stayAlive();
    const ctx = notifyContext(withTimeout(background(), 1));
    await ctx.done;
    console.log(ctx.err?.name);
    console.log("ready");
  },

  "parent done before"() {
    stayAlive();
    const parent = withCancel(background());
    parent.cancel("parent's");
    const ctx = notifyContext(parent);
    console.log(cause(ctx));
    console.log("ready");
  },

  "a listener of the program's own"() {
    stayAlive();
    Deno.addSignalListener("SIGTERM", () => console.log("own"));
    notifyContext(background()).cancel();
    console.log("ready");
  },

  "a signal that cannot be listened to"() {
    stayAlive();
    try {
      notifyContext(background(), "SIGTERM", "SIGKILL");
    } catch (error) {
      if (error instanceof TypeError) console.log(error.message);
    }
    console.log("ready");
  },
};

await programs[Deno.args[0]!]!();
