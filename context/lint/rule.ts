/** The frame that all rules share. */

import { importsThisPackage } from "./imports.ts";
import type { Node } from "./nodes.ts";
import { SourceFile } from "./source_file.ts";

/** A finding of a rule. */
export interface Finding {
  /** The part of the source to underline. */
  readonly range: Deno.lint.Range;
  /** The fault, without a period. */
  readonly message: string;
  /** The remedy, as a sentence. */
  readonly hint: string;
  /** The edits that do it; undefined if they depend on what was meant. */
  readonly fix?: ((fixer: Deno.lint.Fixer) => Deno.lint.Fix[]) | undefined;
}

/** The nodes of each file, collected by the first rule that runs on it. */
const nodesOf = new WeakMap<Deno.lint.Program, Node[]>();

/** The files that have been read to the end. */
const files = new WeakMap<Deno.lint.Program, SourceFile>();

/**
 * Makes a rule from a function that checks one file. Files that import nothing
 * of this package are skipped.
 */
export function rule(
  check: (file: SourceFile, report: (finding: Finding) => void) => void,
): Deno.lint.Rule {
  return {
    create(context): Deno.lint.LintVisitor {
      const program = context.sourceCode.ast;
      if (!importsThisPackage(program, context.filename)) return {};
      const visitor: Deno.lint.LintVisitor = {
        "Program:exit": () =>
          check(fileOf(context), ({ fix, ...finding }) => {
            context.report({ ...finding, ...(fix && { fix }) });
          }),
      };
      if (nodesOf.has(program)) return visitor;
      const nodes: Node[] = [];
      nodesOf.set(program, nodes);
      return { ...visitor, "*": (node: Node) => void nodes.push(node) };
    },
  };
}

function fileOf({ filename, sourceCode }: Deno.lint.RuleContext): SourceFile {
  const program = sourceCode.ast;
  let file = files.get(program);
  if (file === undefined) {
    const nodes = nodesOf.get(program) ?? [];
    files.set(program, file = new SourceFile(filename, sourceCode.text, nodes));
  }
  return file;
}
