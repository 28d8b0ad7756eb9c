// Programs under main for different surroundings. Each prints "ready" and its
// process id when it can be signaled, "stopping" when its ctx is done, and then
// takes a moment to drain.

import { type Context, main, sleep, withoutCancel } from "@curfew/context";

async function drain(ctx: Context): Promise<void> {
  console.log("ready", Deno.pid);
  await ctx.done;
  console.log("stopping");
  // Longer than it takes a signal to arrive twice.
  await sleep(withoutCancel(ctx), 200);
  console.log("drained");
}

const programs: Record<string, () => unknown> = {
  "drains": () => main(drain),

  "is cut short": () =>
    main((ctx) => {
      console.log("ready", Deno.pid);
      return sleep(ctx, Infinity);
    }),

  "never ends": () =>
    main(async function run(ctx) {
      await drain(ctx);
      await new Promise(() => {});
    }),

  async "signal-exit"() {
    // deno-lint-ignore no-import-prefix
    const { onExit } = await import("npm:signal-exit@4");
    onExit(() => {});
    await main(drain);
  },

  async "execa"() {
    // deno-lint-ignore no-import-prefix
    const { execa } = await import("npm:execa@9");
    await main(async (ctx) => {
      // Loads signal-exit, and stays in its list until it has ended.
      const child = execa("sleep", ["1000"], { reject: false });
      await drain(ctx);
      child.kill();
      await child;
    });
  },
};

await programs[Deno.args[0]!]!();
