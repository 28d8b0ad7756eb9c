// Programs that sleep, and end when nothing keeps them alive.

import { background, notifyContext, sleep, withCancel } from "@curfew/context";

const hour = 3_600_000;

/** Prints the outcome of the sleep. */
function report(slept: Promise<void>): Promise<void> {
  return slept.then(
    () => console.log("slept"),
    (error) => console.log(error.message),
  );
}

const programs: Record<string, () => unknown> = {
  "sleeps": () => report(sleep(background(), 20)),

  "sleeps without being waited for": () => {
    report(sleep(background(), 20));
    console.log("started");
  },

  "sleeps for ever": async () => {
    // A listener for signals holds no process, so it is the sleep that does.
    using ctx = notifyContext(background(), "SIGTERM");
    const slept = sleep(ctx, Infinity);
    console.log("ready");
    await report(slept);
  },

  "is canceled": async () => {
    const ctx = withCancel(background());
    const slept = sleep(ctx, hour);
    ctx.cancel();
    await report(slept);
  },

  "is canceled one of two": async () => {
    const ctx = withCancel(background());
    const other = report(sleep(background(), 20));
    const slept = sleep(ctx, hour);
    ctx.cancel();
    await report(slept);
    await other;
  },

  "has a done ctx": async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    await report(sleep(ctx, hour));
  },
};

await programs[Deno.args[0]!]!();
