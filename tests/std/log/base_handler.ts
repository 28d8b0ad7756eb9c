import {
  getLevelByName,
  getLevelName,
  type LevelName,
  type LogLevel,
} from "./levels.ts";
import type { LogRecord } from "./logger.ts";

export type { LevelName, LogLevel, LogRecord };

/** Makes the line of a record. */
export type FormatterFunction = (logRecord: LogRecord) => string;

/** Options for {@linkcode BaseHandler}. */
export interface BaseHandlerOptions {
  /** Makes the line of a record, by default the level and the message. */
  formatter?: FormatterFunction;
}

/** Where records go; subclasses say what becomes of a line. */
export abstract class BaseHandler {
  #level: LogLevel;
  /** Makes the line of a record. */
  formatter: FormatterFunction;

  constructor(levelName: LevelName, options?: BaseHandlerOptions) {
    this.#level = getLevelByName(levelName);
    this.formatter = options?.formatter ??
      (({ levelName, msg }) => `${levelName} ${msg}`);
  }

  /** The lowest level that it handles. */
  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    this.#level = level;
  }

  /** The name of the lowest level that it handles. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /** Logs the record unless its level is too low. */
  handle(logRecord: LogRecord): void {
    if (logRecord.level >= this.#level) this.log(this.format(logRecord));
  }

  /** The line of a record. */
  format(logRecord: LogRecord): string {
    return this.formatter(logRecord);
  }

  /** Logs a line. */
  abstract log(msg: string): void;

  /** Called when the handler is put to use. */
  setup(): void {}

  /** Called when the handler is given up. */
  destroy(): void {}

  [Symbol.dispose](): void {
    this.destroy();
  }
}
