/**
 * The log of the service.
 *
 * @module
 */

import { ConsoleHandler, type LevelName, setup } from "@std/log";
import type { LogLevel } from "./options.ts";

/** Writes records of `level` and above to stdout, one on each line. */
export function setUpLog(level: LogLevel): void {
  const lowest = level.toUpperCase() as LevelName;
  setup({
    handlers: {
      console: new ConsoleHandler(lowest, {
        useColors: false,
        formatter: ({ datetime, levelName, msg }) =>
          `${datetime.toISOString()} ${levelName} ${msg}`,
      }),
    },
    loggers: { default: { level: lowest, handlers: ["console"] } },
  });
}
