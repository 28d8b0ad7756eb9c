import { getLogger } from "./get_logger.ts";
import type { GenericFunction } from "./logger.ts";

export type { GenericFunction };

/** Logs at the level CRITICAL with the default logger. */
export function critical<T>(msg: () => T, ...args: unknown[]): T | undefined;
export function critical<T>(
  msg: T extends GenericFunction ? never : T,
  ...args: unknown[]
): T;
export function critical(msg: unknown, ...args: unknown[]): unknown {
  return getLogger().critical(msg, ...args);
}
