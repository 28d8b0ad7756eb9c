import type { LogRecord } from "./logger.ts";

/** A record as a line of JSON. */
export function jsonFormatter(logRecord: LogRecord): string {
  const { levelName, datetime, msg, args } = logRecord;
  return JSON.stringify({
    level: levelName,
    datetime: datetime.getTime(),
    message: msg,
    args: args.length > 1 ? args : args[0],
  });
}

/** The formatters there are. */
export const formatters = { jsonFormatter } as const;
