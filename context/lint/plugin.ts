/** The plugin: all rules under one name. */

import { awaitBeforeDispose } from "./await_before_dispose.ts";
import { floatingGroup } from "./floating_group.ts";
import { lostCancel } from "./lost_cancel.ts";
import { parentContext } from "./parent_context.ts";
import { spreadContext } from "./spread_context.ts";
import { uncheckedLoop } from "./unchecked_loop.ts";

/**
 * Rules for `deno lint` that find lost cancels and other misuse of contexts:
 * `curfew/lost-cancel`, `curfew/await-before-dispose`, `curfew/spread-context`,
 * `curfew/floating-group`, `curfew/parent-context` and `curfew/unchecked-loop`.
 * All but the last offer a fix.
 *
 * @example What a rule reports
 * ```ts
 * import plugin from "@curfew/context/lint";
 * import { assertEquals } from "@std/assert";
 *
 * const code = `
 *   import { type Context, sleep, withTimeout } from "@curfew/context";
 *   export async function pause(ctx: Context): Promise<void> {
 *     const step = withTimeout(ctx, 500);
 *     await sleep(step, 1_000);
 *   }`;
 * // Works in `deno test` only.
 * const [found] = Deno.lint.runPlugin(plugin, "pause.ts", code);
 * assertEquals(found?.id, "curfew/lost-cancel");
 * assertEquals(found?.fix?.[0]?.text, "using");
 * ```
 */
const plugin: Deno.lint.Plugin = {
  name: "curfew",
  rules: {
    "await-before-dispose": awaitBeforeDispose,
    "floating-group": floatingGroup,
    "lost-cancel": lostCancel,
    "parent-context": parentContext,
    "spread-context": spreadContext,
    "unchecked-loop": uncheckedLoop,
  },
};

export default plugin;
