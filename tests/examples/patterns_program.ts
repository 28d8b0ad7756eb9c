/** The programs of examples/patterns, each run as its comment says. */

import { Program } from "./program.ts";

/** The claims in the comment of a program. */
export interface Documented {
  /** The arguments of `deno` in the first command line. */
  command: string[];
  /** Its output. */
  output: string;
}

const root = new URL("../../", import.meta.url);

/** Reads the comment of a program of examples/patterns. */
export async function documented(name: string): Promise<Documented> {
  const file = new URL(`examples/patterns/${name}`, root);
  const [comment = ""] = (await Deno.readTextFile(file)).split(" */");
  const text = comment.replaceAll(/^ \* ?/gm, "");
  const command = /^ {4}deno (run .*)$/m.exec(text)?.[1];
  const output = /^```text\n(.*?)^```$/ms.exec(text)?.[1];
  if (command === undefined || output === undefined) {
    throw new Error(`${name} does not say how it is run and what it prints`);
  }
  return { command: command.split(" "), output };
}

/** Starts one with the permissions its comment gives it, and no more. */
export async function start(name: string, ...args: string[]): Promise<Program> {
  const { command } = await documented(name);
  return new Program([...command, ...args]);
}

/** Starts one on the clock of testdata/patterns_clock.ts; it may do anything. */
export function startOnFakeClock(name: string, ...args: string[]): Program {
  const files = [
    "./tests/examples/testdata/patterns_clock.ts",
    `./examples/patterns/${name}`,
  ];
  const imports = files.map((file) => `import "${file}";`);
  return new Program(["eval", imports.join("\n"), ...args]);
}
