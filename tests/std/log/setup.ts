import type { BaseHandler } from "./base_handler.ts";
import { ConsoleHandler } from "./console_handler.ts";
import { type LogConfig, Logger } from "./logger.ts";
import { handlers, loggers } from "./state.ts";

export type { LogConfig };

const DEFAULTS = {
  handlers: { default: new ConsoleHandler("INFO") },
  loggers: { default: { handlers: ["default"] } },
};

/** Replaces all handlers and loggers. */
export function setup(config: LogConfig): void {
  for (const handler of handlers.values()) handler.destroy();
  handlers.clear();
  loggers.clear();

  const newHandlers: Record<string, BaseHandler> = {
    ...DEFAULTS.handlers,
    ...config.handlers,
  };
  for (const [name, handler] of Object.entries(newHandlers)) {
    handler.setup();
    handlers.set(name, handler);
  }

  const newLoggers: NonNullable<LogConfig["loggers"]> = {
    ...DEFAULTS.loggers,
    ...config.loggers,
  };
  for (const [name, logger] of Object.entries(newLoggers)) {
    const own = (logger.handlers ?? [])
      .map((name) => handlers.get(name))
      .filter((handler) => handler !== undefined);
    loggers.set(
      name,
      new Logger(name, logger.level ?? "INFO", { handlers: own }),
    );
  }
}

setup({});
