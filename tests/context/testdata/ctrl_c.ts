// Run at a terminal: takes a while to end once it has been interrupted, or, asked
// to, for ever.
import { main } from "../../../context/mod.ts";

await main(async (ctx) => {
  console.log("ready");
  await ctx.done;
  console.log("stopping");
  await new Promise((resolve) =>
    setTimeout(resolve, Deno.args[0] === "for ever" ? 1_000_000 : 300)
  );
  console.log("drained");
});
