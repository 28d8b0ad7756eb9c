/** What a user is told whose arguments make no sense. */

import type { Context } from "../context/context.ts";
import { assertContext } from "../context/tree.ts";

/** Throws unless these are what a server can be made of. */
export function assertArguments(
  caller: string,
  ctx: Context,
  options: unknown,
  handler: unknown,
): void {
  assertContext(caller, ctx);
  assertOptions(caller, options);
  if (typeof handler !== "function") {
    throw new TypeError(`${caller}: the third argument must be a function`);
  }
}

/** Throws unless this is what options come in. */
export function assertOptions(caller: string, options: unknown): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(
    `${caller}: the second argument must be an object with options`,
  );
}

/**
 * Throws unless there is all that TLS takes. With neither of the two, such as
 * variables of the environment that are not set, Deno serves in plain text.
 */
export function assertTls(
  caller: string,
  tls: { cert: string; key: string } | undefined,
): void {
  if (tls === undefined) return;
  if (typeof tls?.cert === "string" && typeof tls.key === "string") return;
  throw new TypeError(
    `${caller}: tls takes a cert and a key, both as PEM text`,
  );
}

/** Throws unless every option lies in the range. */
export function assertRange(
  caller: string,
  options: Record<string, number>,
  least: number,
  most: number = Infinity,
): void {
  for (const [key, value] of Object.entries(options)) {
    const good = typeof value === "number" && value >= least && value <= most;
    if (good) continue;
    const range = most === Infinity
      ? `${least} or more`
      : `${least} to ${most}`;
    throw new RangeError(
      `${caller}: ${key} must be a number, ${range}, got ${shown(value)}`,
    );
  }
}

/** Throws unless every option, a time in ms, is more than none. */
export function assertAbove0(
  caller: string,
  options: Record<string, number>,
): void {
  for (const [key, value] of Object.entries(options)) {
    if (typeof value === "number" && value > 0) continue;
    throw new RangeError(
      `${caller}: ${key} must be a number of ms above 0, got ${shown(value)}`,
    );
  }
}

/** A number that came as text must not look as if it were one. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/**
 * Throws unless Deno runs with what it calls unstable of the network. The types
 * are there without it, and some of it ends the process where it is used.
 */
export function assertUnstableNet(caller: string, what: string): void {
  if (typeof Deno.listenDatagram === "function") return;
  throw new TypeError(
    `${caller}: Deno has ${what} only with --unstable-net, or with ` +
      '"unstable": ["net"] in the deno.json of your workspace',
  );
}
