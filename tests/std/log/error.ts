import { getLogger } from "./get_logger.ts";
import type { GenericFunction } from "./logger.ts";

export type { GenericFunction };

/** Logs at the level ERROR with the default logger. */
export function error<T>(msg: () => T, ...args: unknown[]): T | undefined;
export function error<T>(
  msg: T extends GenericFunction ? never : T,
  ...args: unknown[]
): T;
export function error(msg: unknown, ...args: unknown[]): unknown {
  return getLogger().error(msg, ...args);
}
