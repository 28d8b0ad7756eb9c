import { getLogger } from "./get_logger.ts";
import type { GenericFunction } from "./logger.ts";

export type { GenericFunction };

/** Logs at the level DEBUG with the default logger. */
export function debug<T>(msg: () => T, ...args: unknown[]): T | undefined;
export function debug<T>(
  msg: T extends GenericFunction ? never : T,
  ...args: unknown[]
): T;
export function debug(msg: unknown, ...args: unknown[]): unknown {
  return getLogger().debug(msg, ...args);
}
