/** The numbers of the levels. */
export const LogLevels = {
  NOTSET: 0,
  DEBUG: 10,
  INFO: 20,
  WARN: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;

/** The number of a level. */
export type LogLevel = typeof LogLevels[LevelName];

/** The name of a level. */
export type LevelName = Exclude<keyof typeof LogLevels, number>;

/** The names of the levels, the lowest first. */
export const LogLevelNames: LevelName[] = Object.keys(LogLevels) as LevelName[];

/** The number of the level of this name. */
export function getLevelByName(name: LevelName): LogLevel {
  const level = LogLevels[name];
  if (level === undefined) {
    throw new Error(`Cannot get log level: no level named ${name}`);
  }
  return level;
}

/** The name of the level of this number. */
export function getLevelName(level: LogLevel): LevelName {
  const name = LogLevelNames.find((name) => LogLevels[name] === level);
  if (name === undefined) {
    throw new Error(`Cannot get log level: no name for level: ${level}`);
  }
  return name;
}
