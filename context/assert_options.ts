/** The check of every argument that holds options. */

import { shown } from "./shown.ts";

/**
 * Throws a TypeError unless `options` is an object. Otherwise `group(ctx, 5)` would
 * be a group without a limit.
 *
 * @param caller The public function that was called, for the message.
 */
export function assertOptions(caller: string, options: unknown): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(
    `${caller}: expected an object with options, got ${shown(options)}`,
  );
}
