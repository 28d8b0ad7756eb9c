/**
 * Makes the npm package: the tarball of `deno pack`, with the fields of package.json
 * that it leaves out. Takes the path of the tarball, or writes it beside deno.json.
 *
 *     deno task pack [FILE]
 *
 * `deno pack` warns about modules that export nothing public, whose types nobody
 * needs; only other lines are passed on.
 *
 * @module
 */

const root = new URL("../", import.meta.url);
const expectedWarning = /^(Warning )?Could not generate types for /;

const fields = {
  description: "Go's context for Deno, and servers that shut down with it",
  keywords: [
    ...["context", "cancellation", "deadline", "timeout", "abortsignal"],
    ...["graceful-shutdown", "deno", "go"],
  ],
  engines: { node: ">=20" },
  sideEffects: false,
};

async function run(
  command: string,
  args: string[],
  cwd: string | URL = root,
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  const lines = text.decode(stderr);
  if (!success) throw new Error(`${command} ${args[0]} failed:\n${lines}`);
  for (const line of lines.split("\n")) {
    if (line !== "" && !expectedWarning.test(line)) console.error(line);
  }
  return text.decode(stdout);
}

/** The repository that this checkout was cloned from, if it is a public one. */
async function repository(): Promise<{ type: "git"; url: string } | undefined> {
  try {
    const url = (await run("git", ["remote", "get-url", "origin"])).trim();
    return /^(https:|git@)/.test(url) ? { type: "git", url } : undefined;
  } catch {
    return undefined; // no such remote
  }
}

const { name, version } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", root)),
);
const tarball = await Deno.realPath(".") + "/" +
  (Deno.args[0] ?? `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
const file = Deno.args[0]?.startsWith("/") ? Deno.args[0] : tarball;

const folder = await Deno.makeTempDir();
try {
  const raw = `${folder}/raw.tgz`;
  const options = ["--quiet", "--allow-dirty", "--no-source-maps"];
  await run(Deno.execPath(), ["pack", ...options, "--output", raw]);
  await run("tar", ["-xzf", raw, "-C", folder]);
  const manifest = `${folder}/package/package.json`;
  const generated = JSON.parse(await Deno.readTextFile(manifest));
  const complete = { ...generated, ...fields, repository: await repository() };
  await Deno.writeTextFile(manifest, `${JSON.stringify(complete, null, 2)}\n`);
  await run("tar", ["-czf", file, "-C", folder, "package"]);
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(file);
