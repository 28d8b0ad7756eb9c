import { getLogger } from "./get_logger.ts";
import type { GenericFunction } from "./logger.ts";

export type { GenericFunction };

/** Logs at the level INFO with the default logger. */
export function info<T>(msg: () => T, ...args: unknown[]): T | undefined;
export function info<T>(
  msg: T extends GenericFunction ? never : T,
  ...args: unknown[]
): T;
export function info(msg: unknown, ...args: unknown[]): unknown {
  return getLogger().info(msg, ...args);
}
