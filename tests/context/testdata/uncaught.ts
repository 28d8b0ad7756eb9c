// Callbacks that throw, in a process of its own: uncaught errors end a process,
// and a test runner takes them for failures.

import { afterFunc, background, withCancel } from "@curfew/context";

function fail(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

function prevent(): void {
  addEventListener("error", (event) => {
    event.preventDefault();
    console.log(`uncaught: ${event.error.message}`);
  });
}

const programs: Record<string, () => void> = {
  "abort listeners that throw"() {
    prevent();
    const parent = withCancel(background());
    const child = withCancel(parent);
    for (const [name, ctx] of Object.entries({ parent, child })) {
      ctx.signal.addEventListener("abort", fail(`${name}'s`));
      ctx.signal.addEventListener("abort", () => {
        console.log(`second of ${name}`);
      });
    }
    parent.cancel();
    console.log("cancel() has returned");
    console.log(parent.signal.aborted, child.signal.aborted);
  },

  "nobody prevents it"() {
    const ctx = withCancel(background());
    ctx.signal.addEventListener("abort", fail("from the listener"));
    ctx.cancel();
  },

  "afterFuncs that throw"() {
    prevent();
    const ctx = withCancel(background());
    afterFunc(ctx, fail("first"));
    afterFunc(ctx, () => console.log("second"));
    afterFunc(withCancel(ctx), fail("third"));
    afterFunc(ctx, () => console.log("fourth"));
    ctx.cancel();
    console.log("cancel() has returned");
  },
};

programs[Deno.args[0]!]!();
