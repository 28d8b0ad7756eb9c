/** Given values in the messages of errors. */

/** Shows a primitive value as in code, so that "5" and 5n do not read like 5. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  const isPrimitive = value === null ||
    (typeof value !== "object" && typeof value !== "function");
  return isPrimitive ? String(value) : typeof value;
}
