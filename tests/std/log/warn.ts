import { getLogger } from "./get_logger.ts";
import type { GenericFunction } from "./logger.ts";

export type { GenericFunction };

/** Logs at the level WARN with the default logger. */
export function warn<T>(msg: () => T, ...args: unknown[]): T | undefined;
export function warn<T>(
  msg: T extends GenericFunction ? never : T,
  ...args: unknown[]
): T;
export function warn(msg: unknown, ...args: unknown[]): unknown {
  return getLogger().warn(msg, ...args);
}
