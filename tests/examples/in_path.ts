/** Programs of others that some tests need. */

/** The first of these programs that is on the PATH; undefined if none is. */
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
