/**
 * A stand-in for `@std/log` where only the npm registry can be reached. There
 * is no npm build of it, so this is a small log of our own with the upstream
 * API, without the handlers that write to files.
 *
 * @module
 */

export * from "./base_handler.ts";
export * from "./console_handler.ts";
export * from "./levels.ts";
export * from "./logger.ts";
export * from "./formatters.ts";
export * from "./critical.ts";
export * from "./debug.ts";
export * from "./error.ts";
export * from "./get_logger.ts";
export * from "./info.ts";
export * from "./setup.ts";
export * from "./warn.ts";
