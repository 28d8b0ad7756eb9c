// Reads stdin in a loop that its context ends while stdin is open and silent.

import { background, untilDone, withCancel } from "@curfew/context";

const ctx = withCancel(background());
const { readable } = Deno.stdin;
let text = "";
for await (const bytes of untilDone(ctx, readable)) {
  text += new TextDecoder().decode(bytes);
  setTimeout(ctx.cancel); // once the loop waits again
}
console.log(`${text}, ${readable.locked ? "locked" : "not locked"}`);
