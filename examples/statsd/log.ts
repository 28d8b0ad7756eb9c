/**
 * The log of the service.
 *
 * @module
 */

import { ConsoleHandler, setup } from "@std/log";

/** Has the log on stdout, a line for each record. */
export function setUpLog(): void {
  setup({
    handlers: {
      console: new ConsoleHandler("INFO", {
        useColors: false,
        formatter: ({ datetime, levelName, msg }) =>
          `${datetime.toISOString()} ${levelName} ${msg}`,
      }),
    },
    loggers: { default: { level: "INFO", handlers: ["console"] } },
  });
}
