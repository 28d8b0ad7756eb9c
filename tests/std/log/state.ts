import type { BaseHandler } from "./base_handler.ts";
import type { Logger } from "./logger.ts";

/** The handlers in use, by name. */
export const handlers = new Map<string, BaseHandler>();

/** The loggers there are, by name. */
export const loggers = new Map<string, Logger>();
