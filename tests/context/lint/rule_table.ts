// Tables of code that a rule accepts and code that it reports.

import { assert, assertEquals } from "@std/assert";
import plugin from "../../../context/lint/mod.ts";

type Diagnostic = Deno.lint.Diagnostic;

/** One row of the table of reported code. */
export interface Reported {
  /** The code; «» mark what is reported. */
  readonly code: string;
  /** The code after the fix; absent if none is offered. */
  readonly fixed?: string;
  /** A part of the message. */
  readonly message?: string;
}

/** The tables of one rule, by the names of their rows. */
export interface Tables {
  readonly valid: { readonly [name: string]: string };
  readonly invalid: { readonly [name: string]: Reported };
}

/** The import that every row starts with, unless it has its own. */
const imports = `import {
  afterFunc, background, type CancelableContext, cause, type Context, draining,
  every, group, type Group, isCanceled, main, notifyContext, orDone, remaining,
  retry, serveHttp, serveTcp, sleep, todo, withCancel, withDeadline,
  withoutCancel, withSignal, withTimeout, withValue,
} from "@curfew/context";
`;

/** Runs one rule, or all, on `code`. */
export function lint(
  code: string,
  rule?: string,
  filename = "main.ts",
): Diagnostic[] {
  const { name, rules } = plugin;
  const chosen = rule === undefined ? rules : { [rule]: rules[rule]! };
  return Deno.lint.runPlugin({ name, rules: chosen }, filename, code);
}

/** Applies the fixes of all diagnostics, as `deno lint --fix` does in one pass. */
export function applyFixes(
  code: string,
  diagnostics: readonly Diagnostic[],
): string {
  const fixes = diagnostics.flatMap(({ fix }) => fix ?? [])
    .sort((a, b) => b.range[0] - a.range[0]);
  let text = code;
  for (const { range: [start, end], text: replacement = "" } of fixes) {
    text = text.slice(0, start) + replacement + text.slice(end);
  }
  return text;
}

/** Registers a test for each row of the tables of `rule`. */
export function testRule(rule: string, { valid, invalid }: Tables): void {
  for (const [name, row] of Object.entries(valid)) {
    Deno.test(`${rule} accepts ${name}`, () => {
      assertEquals(
        describe(withImports(row), lint(withImports(row), rule)),
        [],
      );
    });
  }
  for (const [name, { code, fixed, message }] of Object.entries(invalid)) {
    Deno.test(`${rule} reports ${name}`, () => {
      const { plain, marked } = unmark(withImports(code));
      const found = lint(plain, rule);
      assertEquals(describe(plain, found), marked);
      if (message !== undefined) {
        assert(
          found.some((one) => one.message.includes(message)),
          found[0]!.message,
        );
      }
      for (const { id, hint } of found) {
        assertEquals(id, `curfew/${rule}`);
        assert(hint);
      }
      if (fixed === undefined) {
        assertEquals(found.flatMap(({ fix }) => fix ?? []), []);
        return;
      }
      const text = applyFixes(plain, found);
      assertEquals(text, withImports(fixed));
      assertEquals(describe(text, lint(text)), []);
    });
  }
}

function withImports(code: string): string {
  return code.includes("import ") ? code : imports + code;
}

/** The parts of `code` that are reported, in source order. */
function describe(code: string, found: readonly Diagnostic[]): string[] {
  return found.map(({ range }) => range).sort(([a], [b]) => a - b)
    .map(([start, end]) => code.slice(start, end));
}

function unmark(code: string): { plain: string; marked: string[] } {
  const marked = Array.from(code.matchAll(/«([^»]*)»/g), ([, part]) => part!);
  return { plain: code.replaceAll(/[«»]/g, ""), marked };
}
