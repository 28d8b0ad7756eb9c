/** Programs of other projects that some tests need. */

/** Returns the path of the first of these programs on the PATH; undefined if there
 * is none. */
export function inPath(...names: string[]): string | undefined {
  const windows = Deno.build.os === "windows";
  const folders = (Deno.env.get("PATH") ?? "").split(windows ? ";" : ":");
  const files = names.flatMap((name) =>
    folders.map((folder) => `${folder}/${name}${windows ? ".exe" : ""}`)
  );
  return files.find((file) => {
    try {
      return Deno.statSync(file).isFile;
    } catch {
      return false;
    }
  });
}
