import { BaseHandler, type BaseHandlerOptions } from "./base_handler.ts";
import { type LevelName, LogLevels } from "./levels.ts";
import type { LogRecord } from "./logger.ts";

/** Options for {@linkcode ConsoleHandler}. */
export interface ConsoleHandlerOptions extends BaseHandlerOptions {
  /** Whether the lines are coloured. By default they are. */
  useColors?: boolean;
}

function blue(text: string): string {
  return `\x1b[34m${text}\x1b[39m`;
}

function yellow(text: string): string {
  return `\x1b[33m${text}\x1b[39m`;
}

function red(text: string): string {
  return `\x1b[31m${text}\x1b[39m`;
}

function bold(text: string): string {
  return `\x1b[1m${text}\x1b[22m`;
}

function colored(text: string, level: number): string {
  switch (level) {
    case LogLevels.INFO:
      return blue(text);
    case LogLevels.WARN:
      return yellow(text);
    case LogLevels.ERROR:
      return red(text);
    case LogLevels.CRITICAL:
      return bold(red(text));
    default:
      return text;
  }
}

/** Logs with `console.log`. */
export class ConsoleHandler extends BaseHandler {
  readonly #useColors: boolean;

  constructor(levelName: LevelName, options: ConsoleHandlerOptions = {}) {
    super(levelName, options);
    this.#useColors = options.useColors ?? true;
  }

  override format(logRecord: LogRecord): string {
    const line = super.format(logRecord);
    return this.#useColors && !Deno.noColor
      ? colored(line, logRecord.level)
      : line;
  }

  log(msg: string): void {
    console.log(msg);
  }
}
