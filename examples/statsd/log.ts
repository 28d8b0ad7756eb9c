/**
 * Log of the service.
 *
 * @module
 */

import { ConsoleHandler, setup } from "@std/log";

/** Levels of the log, from the most to the least talkative. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** Level of the log. */
export type LogLevel = typeof LOG_LEVELS[number];

/** Writes the log to stdout, one line per record. */
export function setUpLog(level: LogLevel = "info"): void {
  const levelName = level.toUpperCase() as Uppercase<LogLevel>;
  setup({
    handlers: {
      console: new ConsoleHandler(levelName, {
        useColors: false,
        formatter: ({ datetime, levelName, msg }) =>
          `${datetime.toISOString()} ${levelName} ${msg}`,
      }),
    },
    loggers: { default: { level: levelName, handlers: ["console"] } },
  });
}
