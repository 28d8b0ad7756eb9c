import { Logger } from "./logger.ts";
import { loggers } from "./state.ts";
import "./setup.ts";

export type { Logger };

/** The logger of this name, or the default one. */
export function getLogger(name?: string): Logger {
  const known = loggers.get(name || "default");
  if (known) return known;
  if (!name) throw new Error(`There is no "default" logger`);
  const logger = new Logger(name, "INFO");
  loggers.set(name, logger);
  return logger;
}
