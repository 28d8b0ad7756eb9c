/** `dig` (Debian: bind9-dnsutils) and `kdig` (knot-dnsutils) as clients. */

import { inPath } from "./in_path.ts";

/** A command-line client. */
export type Tool = "dig" | "kdig";

/** Tells if a client is installed. */
export function hasTool(tool: Tool): boolean {
  return inPath(tool) !== undefined;
}

/** Asks 127.0.0.1; returns the output, with each run of blanks as one space. */
export async function lookUp(
  tool: Tool,
  port: number,
  ...args: string[]
): Promise<string> {
  // Neither of them reads a file of the user.
  const own = tool === "dig"
    ? ["-r", "+tries=1", "+time=30"]
    : ["+retry=0", "+time=30"];
  const { stdout, stderr } = await new Deno.Command(tool, {
    args: [...own, "@127.0.0.1", "-p", `${port}`, ...args],
    env: { HOME: "/nonexistent" },
  }).output();
  const decoder = new TextDecoder();
  return (decoder.decode(stdout) + decoder.decode(stderr))
    .replace(/[ \t]+/g, " ");
}
