/**
 * Rolling restarts of servers behind a proxy, under load, with counts of the
 * requests that did not get 200.
 *
 * Two servers run behind nginx or haproxy. Clients send one request after the other
 * through the proxy, each on one connection. The servers are restarted one after the
 * other, each with a slow request in flight. All of it on free ports of 127.0.0.1.
 */

/** The proxies, from the Debian packages of the same names. */
export type Proxy = "nginx" | "haproxy";

/**
 * Kinds of servers: ours, `Deno.serve` with a plain `shutdown()` on SIGTERM, and
 * Go's net/http with `Shutdown`.
 */
export type Kind = "curfew" | "plain" | "go";

/** One rolling restart. */
export interface Restart {
  readonly proxy: Proxy;
  readonly method: "GET" | "POST";
  /** True if the proxy keeps its connections to the servers. */
  readonly keepAlive: boolean;
}

/** Load during a rolling restart. */
export interface Load {
  /** Number of clients. */
  readonly clients: number;
  /** Number of servers that are restarted, of two. */
  readonly restarts: number;
  /** Time in ms that the slow request takes. */
  readonly slow: number;
}

/** The outcome of a rolling restart. */
export interface Outcome {
  /** Number of requests. */
  readonly total: number;
  /** Number of those that failed, by status or name of the error. */
  readonly failed: Readonly<Record<string, number>>;
}

/** Every combination. */
export const restarts: readonly Restart[] = (["nginx", "haproxy"] as const)
  .flatMap((proxy) =>
    (["GET", "POST"] as const).flatMap((method) =>
      [true, false].map((keepAlive) => ({ proxy, method, keepAlive }))
    )
  );

/** Number of requests that failed. */
export function failures({ failed }: Outcome): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0);
}

const hostname = "127.0.0.1";

/** nginx and haproxy are where only root's PATH leads. */
const path = `${Deno.env.get("PATH")}:/usr/sbin:/usr/local/sbin`;

/** The commands that a rolling restart needs and this machine lacks. */
export async function missing(): Promise<string[]> {
  const lacking: string[] = [];
  for (const command of ["nginx", "haproxy", "go"]) {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `command -v ${command}`],
      env: { PATH: path },
      stdout: "null",
    }).output();
    if (!success) lacking.push(command);
  }
  return lacking;
}

const testdata = new URL("testdata/", import.meta.url).pathname;

/** Starts servers and proxies; disposing of it removes what it has built. */
export class Site implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Builds the Go server. */
  static async build(): Promise<Site> {
    const dir = await Deno.makeTempDir();
    // nginx started by root gives up its rights.
    await Deno.chmod(dir, 0o755);
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", `${dir}/server`, `${testdata}rolling_restart.go`],
      env: { PATH: path },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new Site(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#dir, { recursive: true });
  }

  /** Runs one rolling restart of servers of one kind. */
  async restart(kind: Kind, how: Restart, load: Load): Promise<Outcome> {
    await using processes = new AsyncDisposableStack();
    const start = (command: string, args: string[], env = {}) =>
      processes.use(new Process(command, args, env));
    const launch = (port: number) => {
      const env = { PORT: `${port}`, SLOW_MS: `${load.slow}` };
      if (kind === "go") return start(`${this.#dir}/server`, [], env);
      const script = `${testdata}rolling_restart.ts`;
      const flags = ["run", "-A", "--quiet", "--no-check", "--unstable-net"];
      return start(Deno.execPath(), [...flags, script, kind], env);
    };
    const ports = freePorts(3);
    const front = ports.shift()!;
    const servers = ports.map(launch);
    const conf = `${this.#dir}/conf`;
    await Deno.writeTextFile(conf, config(how, this.#dir, front, ports));
    const args = how.proxy === "nginx"
      ? ["-p", this.#dir, "-c", conf]
      : ["-db", "-f", conf];
    start(how.proxy, args);
    for (const port of [...ports, front]) await untilReady(port);
    if (how.proxy === "haproxy") await pause(2 * checkInterval);

    const clients = new Clients(front, how.method, load.clients);
    await pause(300);
    for (const [i, port] of ports.slice(0, load.restarts).entries()) {
      // nginx leaves a server alone for 2 s after a failure.
      if (i > 0) await pause(2_200);
      const answer = send(port, "/slow", how.method);
      await pause(100);
      await servers[i]!.terminateByOther();
      clients.count(answer);
      await answer.catch(() => {});
      launch(port);
      await untilReady(port);
    }
    await pause(300);
    return await clients.stop();
  }
}

/** A process; disposing of it ends it. */
class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  #hasEnded = false;

  constructor(command: string, args: string[], env: Record<string, string>) {
    this.#child = new Deno.Command(command, {
      args,
      env: { PATH: path, ...env },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#child.status.then(() => this.#hasEnded = true);
  }

  async terminate(): Promise<void> {
    if (!this.#hasEnded) this.#child.kill("SIGTERM");
    await this.#child.status;
  }

  /**
   * The same, from another process and at a random time. All clients run in this
   * process, so none of them is about to send something when it sends a signal.
   */
  async terminateByOther(): Promise<void> {
    const delay = (0.02 + 0.02 * Math.random()).toFixed(4);
    await new Deno.Command("sh", {
      args: ["-c", `sleep ${delay}; kill -TERM ${this.#child.pid}`],
    }).output();
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate();
  }
}

/** Clients that send one request after the other through the proxy. */
class Clients {
  readonly #port: number;
  readonly #method: string;
  readonly #running: Promise<void>[];
  readonly #failed: Record<string, number> = {};
  #total = 0;
  #isStopped = false;

  constructor(port: number, method: string, count: number) {
    this.#port = port;
    this.#method = method;
    this.#running = Array.from({ length: count }, () => this.#run());
  }

  /** Counts one more request. */
  count(answer: Promise<number>): void {
    this.#running.push(this.#count(answer).then(() => {}));
  }

  async stop(): Promise<Outcome> {
    this.#isStopped = true;
    await Promise.all(this.#running);
    return { total: this.#total, failed: this.#failed };
  }

  async #run(): Promise<void> {
    let conn: Deno.Conn | undefined;
    while (!this.#isStopped) {
      const success = await this.#count((async () => {
        conn ??= await Deno.connect({ hostname, port: this.#port });
        return await send(this.#port, "/", this.#method, conn);
      })());
      if (!success) {
        conn?.close();
        conn = undefined;
      }
      // Not all in step.
      await pause(4 + 8 * Math.random());
    }
    conn?.close();
  }

  /** True if the connection is good for another request. */
  async #count(answer: Promise<number>): Promise<boolean> {
    this.#total++;
    const result = await answer.catch((error: Error) => error.name);
    if (result !== 200) this.#failed[result] = (this.#failed[result] ?? 0) + 1;
    return typeof result === "number";
  }
}

/** Sends one request on `conn`, or on a connection of its own. Returns the status. */
async function send(
  port: number,
  path: string,
  method: string,
  conn?: Deno.Conn,
): Promise<number> {
  using own = conn === undefined
    ? await Deno.connect({ hostname, port })
    : undefined;
  const body = method === "POST" ? "x".repeat(200) : "";
  const head = [`${method} ${path} HTTP/1.1`, "Host: localhost"];
  if (own !== undefined) head.push("Connection: close");
  if (body !== "") head.push(`Content-Length: ${body.length}`);
  const text = `${head.join("\r\n")}\r\n\r\n${body}`;
  await (conn ?? own!).write(new TextEncoder().encode(text));
  return await readReply(conn ?? own!);
}

/** Reads one response. Returns its status. */
async function readReply(conn: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(8_192);
  let text = "";
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) throw new Deno.errors.UnexpectedEof("no whole response");
    text += new TextDecoder().decode(buffer.subarray(0, n));
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) continue;
    const isWhole = /transfer-encoding: chunked/i.test(text)
      ? text.endsWith("0\r\n\r\n")
      : text.length >= end + 4 + lengthIn(text);
    if (isWhole) return Number(text.slice(9, 12));
  }
}

function lengthIn(text: string): number {
  return Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
}

/** Waits until a GET of /ready is answered with 200. */
async function untilReady(port: number): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    if (await send(port, "/ready", "GET").catch(() => 0) === 200) return;
    await pause(20);
  }
  throw new Error(`nothing answers on port ${port}`);
}

function freePorts(count: number): number[] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname, port: 0 }),
  );
  const ports = listeners.map(({ addr }) => addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Interval in ms at which haproxy checks that its servers are ready. */
const checkInterval = 250;

function config(
  { proxy, keepAlive }: Restart,
  dir: string,
  front: number,
  ports: number[],
): string {
  if (proxy === "nginx") {
    const temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${dir}/${name};`);
    const servers = ports.map((port) =>
      `server ${hostname}:${port} fail_timeout=1s;`
    );
    return `
daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log warn;
events { worker_connections 512; }
http {
  access_log off;
  ${temps.join("\n  ")}
  upstream app { ${servers.join(" ")} ${keepAlive ? "keepalive 32;" : ""} }
  server {
    listen ${hostname}:${front};
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "${keepAlive ? "" : "close"}";
    }
  }
}
`;
  }
  return `
global
  maxconn 500
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option redispatch 1
  ${keepAlive ? "http-reuse always" : "option http-server-close"}
frontend in
  bind ${hostname}:${front}
  default_backend app
backend app
  balance roundrobin
  option httpchk GET /ready
  http-check expect status 200
  default-server check inter ${checkInterval}ms fall 2 rise 1
${ports.map((port, i) => `  server s${i} ${hostname}:${port}`).join("\n")}
`;
}
