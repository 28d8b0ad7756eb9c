/** Describes a failure with everything that led to it. */

import {
  errorsOf,
  isError,
  isObject,
  isPresent,
  isSuppressedError,
  type Parts,
} from "./error_parts.ts";

/** Formats a value that is no error, or the extra properties of one. */
export type Inspect = (value: unknown) => string;

/** Maximum number of errors and causes shown; a chain of causes may be endless. */
const maxErrors = 100;

/** Properties that the report shows by itself, or that the stack contains. */
const shownElsewhere: ReadonlySet<string> = new Set<string>(
  ["name", "message", "stack", "cause", "errors", "error", "suppressed"],
);

/**
 * Describes `error` with its stack, its properties, its causes, all errors of an
 * AggregateError and both parts of a SuppressedError. Deno's own inspector leaves
 * out the parts of a SuppressedError and the cause of a DOMException.
 *
 * @param error Any value that was thrown. The report says which part of it cannot be
 * read.
 * @param inspect Formats what is no error.
 * @returns Lines without a newline at the end.
 */
export function failureReport(error: unknown, inspect: Inspect): string {
  const report = new FailureReport(inspect);
  report.add("", "", error);
  return report.lines.join("\n");
}

class FailureReport {
  readonly lines: string[] = [];
  readonly #inspect: Inspect;
  readonly #shown = new Set<unknown>();
  /** Number of errors and other values so far. */
  #count = 0;

  constructor(inspect: Inspect) {
    this.#inspect = inspect;
  }

  /** Adds the lines of `error`; throws nothing. */
  add(indent: string, label: string, error: unknown): void {
    if (this.#count > maxErrors) return;
    if (this.#count++ === maxErrors) {
      this.#write(indent, `${label}... and more`);
      return;
    }
    this.#try(indent, `${label}a value that cannot be read`, () => {
      if (this.#shown.has(error)) {
        this.#write(indent, `${label}${firstLine(error)} (see above)`);
      } else if (isObject(error) && isError(error)) {
        this.#shown.add(error);
        this.#addError(indent, label, error);
      } else {
        this.#write(indent, label + this.#inspect(error));
      }
    });
  }

  #addError(indent: string, label: string, error: Error & Parts): void {
    const inner = `${indent}  `;
    this.#write(indent, label + textOf(error));
    this.#try(`${inner}  `, "properties that cannot be read", () => {
      this.#addProperties(`${inner}  `, error);
    });
    this.#try(inner, "errors that cannot be read", () => {
      this.#addParts(inner, error);
    });
    this.#try(indent, "Caused by: a value that cannot be read", () => {
      const { cause } = error;
      if (isPresent(cause)) this.add(indent, "Caused by: ", cause);
    });
  }

  #addProperties(indent: string, error: Parts): void {
    const extra = Object.entries(error)
      .filter(([name]) => !shownElsewhere.has(name));
    if (extra.length === 0) return;
    this.#write(indent, this.#inspect(Object.fromEntries(extra)));
  }

  #addParts(indent: string, error: Parts): void {
    const errors = errorsOf(error) ?? [];
    errors.forEach((each, at) => {
      this.add(indent, `Error ${at + 1} of ${errors.length}: `, each);
    });
    if (isSuppressedError(error)) {
      this.add(indent, "Thrown: ", error.error);
      this.add(indent, "Suppressed: ", error.suppressed);
    }
  }

  /** Calls `f`, and writes `instead` if what it reads throws. */
  #try(indent: string, instead: string, f: () => void): void {
    try {
      f();
    } catch {
      this.#write(indent, instead);
    }
  }

  #write(indent: string, text: string): void {
    this.lines.push(indent + text.replaceAll("\n", `\n${indent}`));
  }
}

/** Returns the stack, which begins with the name and the message, if it has one. */
function textOf(error: Error): string {
  try {
    if (typeof error.stack === "string") return error.stack;
    return String(error);
  } catch {
    return "an error that cannot be read";
  }
}

function firstLine(error: unknown): string {
  return textOf(error as Error).split("\n", 1)[0]!;
}
