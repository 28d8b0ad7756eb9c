/** The tree as text, for a terminal or a log. */

import type { LiveContext, LiveTree, MoreContexts } from "./live_tree.ts";

/** Returns one line for each entry of `tree`, indented by its depth. */
export function treeText(tree: LiveTree): string {
  const lines = [
    tree.open === 1 ? "1 open context" : `${tree.open} open contexts`,
  ];
  const visits: [entry: LiveContext | MoreContexts, depth: number][] = [];
  const visit = (
    { children, more = [] }: Pick<LiveTree, "children" | "more">,
    depth: number,
  ) => {
    for (const entry of [...children, ...more].reverse()) {
      visits.push([entry, depth]);
    }
  };
  visit(tree, 1);
  for (let next; (next = visits.pop()) !== undefined;) {
    const [entry, depth] = next;
    const text = "what" in entry ? moreLine(entry) : line(entry);
    lines.push("  ".repeat(depth) + printable(text));
    if ("children" in entry) visit(entry, depth + 1);
  }
  return lines.join("\n");
}

function line(entry: LiveContext): string {
  const { kind, name, label, age, left, ended, site } = entry;
  const parts = [name ?? label];
  if (age !== undefined) parts.push(`for ${seconds(age)}`);
  if (left !== undefined && kind !== "sleep") {
    parts.push(`${seconds(left)} left`);
  }
  if (ended !== undefined) {
    const what = kind === "server" ? "draining" : "ended";
    parts.push([what, ...ended].join(": "));
  }
  if (site !== undefined) parts.push(`at ${site}`);
  return parts.join(", ");
}

function moreLine({ what, count, oldest }: MoreContexts): string {
  return `and ${count} more: ${what}, the oldest for ${seconds(oldest)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** Escapes control characters, which a terminal would obey. */
function printable(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  );
}
