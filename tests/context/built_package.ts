/** The package as `deno pack` makes it, for programs that other runtimes run. */

const root = new URL("../../", import.meta.url);
const testdata = new URL("testdata/", import.meta.url);

/** Runs `command` and returns its stdout; throws with all output if it fails. */
export async function run(
  command: string,
  args: string[],
  cwd: URL | string,
): Promise<string> {
  const child = new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  });
  const { success, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(`${command}: ${text}${new TextDecoder().decode(stderr)}`);
}

/** Returns whether `command` is installed. */
export async function exists(command: string): Promise<boolean> {
  try {
    await run(command, ["--version"], ".");
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A folder with the tarball and copies of `programs`, which are in testdata/. */
export class BuiltPackage implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async build(...programs: string[]): Promise<BuiltPackage> {
    const built = new BuiltPackage(await Deno.makeTempDir());
    await run(
      Deno.execPath(),
      [
        ...["run", "--allow-read", "--allow-write", "--allow-run"],
        ...["tools/pack.ts", built.#tarball],
      ],
      root,
    );
    for (const name of programs) {
      await Deno.copyFile(new URL(name, testdata), `${built.path}/${name}`);
    }
    return built;
  }

  /** Puts the package where Node and TypeScript find it. */
  async extract(): Promise<void> {
    const home = `${this.path}/node_modules/@curfew/context`;
    await Deno.mkdir(home, { recursive: true });
    const args = ["-xzf", this.#tarball, "-C", home, "--strip-components=1"];
    await run("tar", args, this.path);
  }

  /** Installs the package beside `others` from npm. */
  async install(...others: string[]): Promise<void> {
    const quietly = ["--no-audit", "--no-fund", "--ignore-scripts"];
    const args = ["install", ...quietly, "--prefer-offline", this.#tarball];
    await run("npm", [...args, ...others], this.path);
  }

  get #tarball(): string {
    return `${this.path}/package.tgz`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
