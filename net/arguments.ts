/** Argument checks that the servers share. */

import { assertContext } from "../context/assert_context.ts";
import { assertOptions } from "../context/assert_options.ts";
import type { Context } from "../context/context.ts";
import { shown } from "../context/shown.ts";

/** Throws a TypeError unless a server can be made of these arguments. */
export function assertArguments(
  caller: string,
  ctx: Context,
  options: unknown,
  handler: unknown,
): void {
  assertDeno(caller);
  assertContext(caller, ctx);
  assertOptions(caller, options);
  if (typeof handler !== "function") {
    throw new TypeError(`${caller}: the third argument must be a function`);
  }
}

/** Throws a TypeError in other runtimes, which load this package all the same. */
export function assertDeno(caller: string): void {
  if (typeof Deno === "object") return;
  throw new TypeError(
    `${caller}: this needs Deno; elsewhere, import @curfew/context/context only`,
  );
}

/**
 * Throws a TypeError if `tls` lacks its cert or its key, for example because
 * environment variables are not set, or if these are next to it, where
 * `Deno.serve` takes them. In each case the server would talk plain text.
 */
export function assertTls(
  caller: string,
  options: { tls?: { cert: string; key: string } | undefined },
): void {
  const { tls, cert, key } = options as typeof options & {
    cert?: unknown;
    key?: unknown;
  };
  if (cert !== undefined || key !== undefined) {
    throw new TypeError(
      `${caller}: cert and key are options of tls: write tls: { cert, key }`,
    );
  }
  if (tls === undefined) return;
  if (typeof tls?.cert === "string" && typeof tls.key === "string") return;
  throw new TypeError(
    `${caller}: tls takes a cert and a key, both as PEM text`,
  );
}

/** Throws a RangeError unless every option is from `least` to `most`. */
export function assertRange(
  caller: string,
  options: Record<string, number>,
  least: number,
  most: number = Infinity,
): void {
  for (const [key, value] of Object.entries(options)) {
    const isGood = typeof value === "number" && value >= least && value <= most;
    if (isGood) continue;
    const range = most === Infinity
      ? `${least} or more`
      : `${least} to ${most}`;
    throw new RangeError(
      `${caller}: ${key} must be a number, ${range}, got ${shown(value)}`,
    );
  }
}

/** Throws a RangeError unless every option, a time in ms, is above 0. */
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

/**
 * Throws a TypeError unless `port` is a number. Deno would listen on a free port if
 * it is undefined, for example because an environment variable is not set.
 */
export function assertPort(
  caller: string,
  port: number,
  hint = "; 0 takes a free port",
): void {
  if (typeof port === "number") return;
  throw new TypeError(
    `${caller}: port must be a number, got ${shown(port)}${hint}`,
  );
}

/**
 * Throws a TypeError unless `path` is one. If it is empty, for example because an
 * environment variable is, Linux would listen at an abstract address of its choice.
 */
export function assertPath(caller: string, path: string): void {
  if (typeof path === "string" && path !== "") return;
  throw new TypeError(
    `${caller}: path must be that of a socket, got ${shown(path)}`,
  );
}

/**
 * Throws a TypeError unless Deno runs with its unstable network APIs. Without them
 * the types are there all the same, and `reusePort` ends the process.
 */
export function assertUnstableNet(caller: string, what: string): void {
  if (typeof Deno.listenDatagram === "function") return;
  throw new TypeError(
    `${caller}: Deno has ${what} only with --unstable-net, or with ` +
      '"unstable": ["net"] in the deno.json of your workspace',
  );
}
