/** A PostgreSQL server for tests. */

/** Folder with initdb and postgres, as Debian and the PATH have it. */
async function findFolder(): Promise<string | undefined> {
  const folders = Deno.env.get("PATH")?.split(":") ?? [];
  try {
    for await (const { name } of Deno.readDir("/usr/lib/postgresql")) {
      folders.push(`/usr/lib/postgresql/${name}/bin`);
    }
  } catch {
    // Debian's package is not installed.
  }
  for (const folder of folders) {
    try {
      await Deno.stat(`${folder}/initdb`);
      return folder;
    } catch {
      // The next one.
    }
  }
  return undefined;
}

const folder = await findFolder();

/** False if PostgreSQL is missing here. */
export const hasPostgres: boolean = folder !== undefined;

/** Neither initdb nor postgres runs as root. */
const nobody = 65_534;

/** A server with an empty database, in a temporary folder and on a Unix socket. */
export class Postgres implements AsyncDisposable {
  /** Options for a client. */
  readonly connection: { host: string; username: string; database: string };
  /** Environment by which clients find it. */
  readonly env: Record<string, string>;
  readonly #data: string;
  readonly #server: Deno.ChildProcess;

  private constructor(data: string, server: Deno.ChildProcess) {
    this.#data = data;
    this.#server = server;
    const [username, database] = ["app", "postgres"];
    this.connection = { host: data, username, database };
    this.env = { PGHOST: data, PGUSER: username, PGDATABASE: database };
  }

  static async start(): Promise<Postgres> {
    const data = await Deno.makeTempDir({ prefix: "postgres-" });
    const user = Deno.uid() === 0 ? { uid: nobody, gid: nobody } : {};
    if (user.uid !== undefined) await Deno.chown(data, user.uid, user.gid);
    const { success, stderr } = await new Deno.Command(`${folder}/initdb`, {
      args: ["-D", data, "-A", "trust", "-U", "app", "--no-sync"],
      cwd: data,
      ...user,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const server = new Deno.Command(`${folder}/postgres`, {
      args: ["-D", data, "-k", data, "-h", "", "-F"],
      cwd: data,
      ...user,
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await seen(server.stderr, "ready to accept connections");
    return new Postgres(data, server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A fast shutdown, which waits for no client.
    this.#server.kill("SIGINT");
    await this.#server.status;
    await Deno.remove(this.#data, { recursive: true });
  }
}

/** Waits until `stream` has had `text`, then reads on and throws the rest away. */
async function seen(
  stream: ReadableStream<Uint8Array>,
  text: string,
): Promise<void> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let log = "";
  while (!log.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`postgres has ended: ${log}`);
    log += value;
  }
  (async () => {
    while (!(await reader.read()).done);
  })();
}
