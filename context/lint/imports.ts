/** The names in a file that come from this package. */

import { type Node, propertyName, unwrap } from "./nodes.ts";
import type { SourceFile } from "./source_file.ts";

/** The root of this package: a folder if it is a checkout. */
const root = new URL("../../", import.meta.url).href;

/** The package by its bare name, from a registry or a CDN, with its entry points. */
const published =
  /(?:^|[:/])@(?:curfew\/context|jsr\/curfew__context)(?=[@/]|$)/;

/** Returns true if `program` imports anything of this package. */
export function importsThisPackage(
  program: Deno.lint.Program,
  filename: string,
): boolean {
  return program.body.some((statement) =>
    statement.type === "ImportDeclaration" &&
    isThisPackage(statement.source.value, filename)
  );
}

/**
 * Returns true for a specifier that names this package: with or without a
 * registry, or, in a checkout, as a relative path. An import map may give the
 * package any other name; a rule cannot see that.
 */
function isThisPackage(specifier: string, filename: string): boolean {
  if (!/^\.\.?\//.test(specifier)) return published.test(specifier);
  const { href } = new URL(specifier, fileUrl(filename));
  if (!href.startsWith(root)) return false;
  return /^(?:mod\.ts$|(?:context|net)\/)/.test(href.slice(root.length));
}

/** Returns the exported name that `node` refers to, such as "withTimeout". */
export function importedName(file: SourceFile, node: Node): string | undefined {
  const expression = unwrap(node);
  if (expression.type === "Identifier") {
    const specifier = file.resolve(expression)?.declaration;
    if (specifier?.type !== "ImportSpecifier") return undefined;
    if (!isImported(file, specifier.parent)) return undefined;
    const { imported } = specifier;
    return imported.type === "Identifier" ? imported.name : imported.value;
  }
  if (expression.type !== "MemberExpression") return undefined;
  const object = unwrap(expression.object);
  if (object.type !== "Identifier" || !isNamespace(file, object)) {
    return undefined;
  }
  return propertyName(expression);
}

/** Returns the exported name of a type, such as "Context". */
export function importedTypeName(
  file: SourceFile,
  type: Node,
): string | undefined {
  if (type.type !== "TSTypeReference") return undefined;
  const { typeName } = type;
  if (typeName.type === "Identifier") return importedName(file, typeName);
  if (typeName.type !== "TSQualifiedName") return undefined;
  const { left, right } = typeName;
  return left.type === "Identifier" && isNamespace(file, left)
    ? right.name
    : undefined;
}

function isNamespace(file: SourceFile, id: Deno.lint.Identifier): boolean {
  const specifier = file.resolve(id)?.declaration;
  return specifier?.type === "ImportNamespaceSpecifier" &&
    isImported(file, specifier.parent);
}

function isImported(file: SourceFile, declaration: Node): boolean {
  return declaration.type === "ImportDeclaration" &&
    isThisPackage(declaration.source.value, file.filename);
}

function fileUrl(filename: string): URL {
  const url = new URL("file:///");
  url.pathname = filename.replaceAll("%", "%25").replaceAll("\\", "/");
  return url;
}
