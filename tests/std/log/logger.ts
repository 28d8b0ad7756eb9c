import type { BaseHandler } from "./base_handler.ts";
import {
  getLevelByName,
  getLevelName,
  type LevelName,
  type LogLevel,
  LogLevels,
} from "./levels.ts";

/** Any function. */
// deno-lint-ignore no-explicit-any
export type GenericFunction = (...args: any[]) => any;

/** Options for {@linkcode LogRecord}. */
export interface LogRecordOptions {
  /** The message. */
  msg: string;
  /** What came with the message. */
  args: unknown[];
  /** The level. */
  level: LogLevel;
  /** The name of the logger. */
  loggerName: string;
}

/** What to log: a message with what belongs to it. */
export class LogRecord {
  /** The message. */
  readonly msg: string;
  /** The number of the level. */
  readonly level: number;
  /** The name of the level. */
  readonly levelName: string;
  /** The name of the logger. */
  readonly loggerName: string;
  readonly #args: unknown[];
  readonly #time = Date.now();

  constructor(options: LogRecordOptions) {
    this.msg = options.msg;
    this.level = options.level;
    this.levelName = getLevelName(options.level);
    this.loggerName = options.loggerName;
    this.#args = [...options.args];
  }

  /** What came with the message. */
  get args(): unknown[] {
    return [...this.#args];
  }

  /** When it was logged. */
  get datetime(): Date {
    return new Date(this.#time);
  }
}

/** The configuration of a logger. */
export class LoggerConfig {
  /** The lowest level that it logs. */
  level?: LevelName;
  /** The names of its handlers. */
  handlers?: string[];
}

/** The configuration of all loggers. */
export interface LogConfig {
  /** The handlers by name. */
  handlers?: {
    [name: string]: BaseHandler;
  };
  /** The loggers by name. */
  loggers?: {
    [name: string]: LoggerConfig;
  };
}

/** Options for {@linkcode Logger}. */
export interface LoggerOptions {
  /** Where its records go. */
  handlers?: BaseHandler[];
}

function asString(data: unknown): string {
  if (data instanceof Error) return data.stack ?? String(data);
  if (typeof data === "function") return "undefined";
  if (typeof data !== "object" || data === null) return String(data);
  const properties = Object.entries(data).map(([key, value]) =>
    `"${key}":${typeof value === "string" ? `"${value}"` : asString(value)}`
  );
  return `{${properties.join(",")}}`;
}

/**
 * Logs messages. Each method gives its message back; one that is a function is
 * called only if the level is high enough, and its result is given back.
 */
export class Logger {
  /** Where its records go. */
  handlers: BaseHandler[];
  #level: LogLevel;
  readonly #loggerName: string;

  constructor(
    loggerName: string,
    levelName: LevelName,
    options: LoggerOptions = {},
  ) {
    this.#loggerName = loggerName;
    this.#level = getLevelByName(levelName);
    this.handlers = options.handlers ?? [];
  }

  /** The lowest level that it logs. */
  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    if (!Object.values(LogLevels).includes(level)) {
      throw new TypeError(`Invalid log level: ${level}`);
    }
    this.#level = level;
  }

  /** The name of the lowest level that it logs. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /** Its name. */
  get loggerName(): string {
    return this.#loggerName;
  }

  #log(level: LogLevel, msg: unknown, args: unknown[]): unknown {
    const lazy = typeof msg === "function";
    if (level < this.#level) return lazy ? undefined : msg;
    const data = lazy ? msg() : msg;
    const record = new LogRecord({
      msg: asString(data),
      args,
      level,
      loggerName: this.#loggerName,
    });
    for (const handler of this.handlers) handler.handle(record);
    return data;
  }

  /** Logs at the level DEBUG. */
  debug<T>(msg: () => T, ...args: unknown[]): T | undefined;
  debug<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  debug(msg: unknown, ...args: unknown[]): unknown {
    return this.#log(LogLevels.DEBUG, msg, args);
  }

  /** Logs at the level INFO. */
  info<T>(msg: () => T, ...args: unknown[]): T | undefined;
  info<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  info(msg: unknown, ...args: unknown[]): unknown {
    return this.#log(LogLevels.INFO, msg, args);
  }

  /** Logs at the level WARN. */
  warn<T>(msg: () => T, ...args: unknown[]): T | undefined;
  warn<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  warn(msg: unknown, ...args: unknown[]): unknown {
    return this.#log(LogLevels.WARN, msg, args);
  }

  /** Logs at the level ERROR. */
  error<T>(msg: () => T, ...args: unknown[]): T | undefined;
  error<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  error(msg: unknown, ...args: unknown[]): unknown {
    return this.#log(LogLevels.ERROR, msg, args);
  }

  /** Logs at the level CRITICAL. */
  critical<T>(msg: () => T, ...args: unknown[]): T | undefined;
  critical<T>(
    msg: T extends GenericFunction ? never : T,
    ...args: unknown[]
  ): T;
  critical(msg: unknown, ...args: unknown[]): unknown {
    return this.#log(LogLevels.CRITICAL, msg, args);
  }
}
