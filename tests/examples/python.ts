/** Python programs that some tests run. */

import { inPath } from "./in_path.ts";

/** Returns a Python that can import `module`: Debian's, which sees Debian's packages,
 * or the first one on the PATH; undefined if neither can. */
export function pythonWith(module: string): string | undefined {
  const pythons = ["/usr/bin/python3", inPath("python3")];
  return pythons.find((python) => {
    if (python === undefined) return false;
    try {
      return new Deno.Command(python, {
        args: ["-c", `import ${module}`],
        stdout: "null",
        stderr: "null",
      }).outputSync().success;
    } catch {
      return false;
    }
  });
}

/** Runs a Python program with `input` on stdin and returns what it prints. */
export async function runPython(
  python: string,
  program: string,
  input = "",
): Promise<string> {
  const process = new Deno.Command(python, {
    args: ["-c", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = process.output();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await output;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
