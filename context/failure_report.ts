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

/** Maximum number of errors shown; a chain of causes may be endless. */
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
 * @param error Any value that was thrown. What cannot be read is left out.
 * @param inspect Formats what is no error.
 * @returns Lines without a newline at the end.
 */
export function failureReport(error: unknown, inspect: Inspect): string {
  const report = new FailureReport(inspect);
  try {
    report.add("", "", error);
  } catch {
    report.lines.push("(the rest cannot be read)");
  }
  return report.lines.join("\n");
}

class FailureReport {
  readonly lines: string[] = [];
  readonly #inspect: Inspect;
  readonly #shown = new Set<unknown>();
  #isFull = false;

  constructor(inspect: Inspect) {
    this.#inspect = inspect;
  }

  add(indent: string, label: string, error: unknown): void {
    if (this.#isFull) return;
    if (this.#shown.size === maxErrors) {
      this.#isFull = true;
      this.#write(indent, `${label}... and more`);
    } else if (this.#shown.has(error)) {
      this.#write(indent, `${label}${firstLine(error)} (see above)`);
    } else if (isObject(error) && isError(error)) {
      this.#shown.add(error);
      this.#write(indent, label + textOf(error));
      this.#addProperties(`${indent}    `, error);
      this.#addParts(indent, error);
    } else {
      this.#write(indent, label + this.#inspect(error));
    }
  }

  #addProperties(indent: string, error: Parts): void {
    const extra = Object.entries(error)
      .filter(([name]) => !shownElsewhere.has(name));
    if (extra.length === 0) return;
    this.#write(indent, this.#inspect(Object.fromEntries(extra)));
  }

  #addParts(indent: string, error: Parts): void {
    const inner = `${indent}  `;
    const errors = errorsOf(error) ?? [];
    errors.forEach((each, at) => {
      this.add(inner, `Error ${at + 1} of ${errors.length}: `, each);
    });
    if (isSuppressedError(error)) {
      this.add(inner, "Thrown: ", error.error);
      this.add(inner, "Suppressed: ", error.suppressed);
    }
    if (isPresent(error.cause)) this.add(indent, "Caused by: ", error.cause);
  }

  #write(indent: string, text: string): void {
    this.lines.push(indent + text.replaceAll("\n", `\n${indent}`));
  }
}

/** Returns the stack, which begins with the name and the message. */
function textOf(error: Error): string {
  return typeof error.stack === "string" ? error.stack : String(error);
}

function firstLine(error: unknown): string {
  return textOf(error as Error).split("\n", 1)[0]!;
}
