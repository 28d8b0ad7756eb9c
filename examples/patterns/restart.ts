/**
 * Restarts a server without a gap: a new process takes over the port while the old
 * one finishes its requests.
 *
 * - The plain way: end the old process, start the new one. In between, clients are
 *   refused. With `reusePort` both can listen at once, but an old process that
 *   simply shuts down closes keep-alive connections under the next request.
 * - Here: the new process reports that it listens, and then the old one gets
 *   SIGTERM. It serves on as a lame duck, and each reply carries
 *   `Connection: close`, so that keep-alive clients come back on a new connection,
 *   sooner or later to the new process. Only then does it drain.
 * - The remaining loss: a client that opens a connection for each request can be in
 *   the accept queue of the old listener when that closes. The kernel resets it.
 *   restart_shared_fd.ts loses none of these.
 *
 * Linux only: other kernels do not distribute connections over a shared port.
 *
 *     deno run --unstable-net -A examples/patterns/restart.ts --port 8000
 *     kill -HUP <its pid>     # a restart
 *     kill <its pid>          # the end
 *
 * Both times are in ms. `--lame-duck` (500) should be longer than clients pause
 * between two requests; `--grace` (10000) is for the requests in flight.
 *
 * @module
 */

import {
  type Context,
  main,
  orDone,
  serveHttp,
  sleep,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { parseArgs } from "@std/cli";

/** Time in ms that a new process has to start listening. */
const startTimeout = 30_000;

/** The parent: keeps one server running, and replaces it at each SIGHUP. */
async function supervise(ctx: Context): Promise<void> {
  let asked = Promise.withResolvers<void>();
  const ask = () => asked.resolve();
  // One listener from the start to the end: without one, SIGHUP kills.
  Deno.addSignalListener("SIGHUP", ask);
  let current = await ServerProcess.start(ctx, flags.port);
  console.log(`${current} is listening on port ${current.port}`);
  try {
    for (;;) {
      await orDone(ctx, Promise.race([asked.promise, current.died]));
      asked = Promise.withResolvers();
      const next = await ServerProcess.start(ctx, current.port)
        .catch((error) => {
          if (ctx.err !== undefined) throw error;
          console.error(`restart failed, ${current} goes on:`, error);
        });
      if (next === undefined) continue;
      const old = current;
      current = next;
      await old.end();
      console.log(`restarted: ${current} has replaced ${old}`);
    }
  } finally {
    await current.end();
    Deno.removeSignalListener("SIGHUP", ask);
  }
}

/**
 * A server in a process of its own. Two pipes are all it takes: a line on its
 * stdout says that it listens, and the end of its stdin tells it to stop. So it
 * also stops when the parent has died, and Ctrl-C, which the terminal sends to
 * both, does not count as two signals.
 */
class ServerProcess {
  readonly port: number;
  /** Rejects when the process has ended and was not told to. */
  readonly died: Promise<never>;
  readonly #process: Deno.ChildProcess;
  #ending = false;

  private constructor(process: Deno.ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
    const { promise, reject } = Promise.withResolvers<never>();
    this.died = promise;
    this.died.catch(() => {});
    process.status.then(({ code }) => {
      if (!this.#ending) reject(new Error(`${this} has died with ${code}`));
    });
  }

  /** Starts one, and waits until it listens. */
  static async start(ctx: Context, port: number): Promise<ServerProcess> {
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--unstable-net", "--allow-net", import.meta.url],
        ...["--worker", "--port", `${port}`],
        ...["--lame-duck", `${flags.lameDuck}`, "--grace", `${flags.grace}`],
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const lines = process.stdout.pipeThrough(new TextDecoderStream());
    try {
      using step = withTimeout(ctx, startTimeout);
      const port = Number(await orDone(step, firstLine(lines)));
      return new ServerProcess(process, port);
    } catch (error) {
      process.stdin.close().catch(() => {});
      killIfAlive(process);
      await process.status;
      throw error;
    }
  }

  /** Tells it to stop, and waits until it has drained. */
  async end(): Promise<void> {
    this.#ending = true;
    // Fails if the process has died.
    await this.#process.stdin.close().catch(() => {});
    await this.#process.status;
  }

  toString(): string {
    return `process ${this.#process.pid}`;
  }
}

function killIfAlive(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function firstLine(chunks: ReadableStream<string>): Promise<string> {
  let text = "";
  // The stream is closed with the loop: nothing else is to come.
  for await (const chunk of chunks) {
    text += chunk;
    const end = text.indexOf("\n");
    if (end !== -1) return text.slice(0, end);
  }
  throw new Error("the new process has ended before it was ready");
}

/** The child: an ordinary server, until a signal or the parent ends it. */
async function serve(parent: Context): Promise<void> {
  using ctx = withCancel(parent);
  const { port, lameDuck, grace } = flags;
  await using server = serveHttp(
    ctx,
    { hostname: "127.0.0.1", port, reusePort: true, lameDuck, grace },
    handle,
  );
  console.log((server.addr as Deno.NetAddr).port);
  endOfInput().then(() => ctx.cancel("the parent has no more use for it"));
  const { drained, forced } = await server.finished;
  console.error(
    `process ${Deno.pid} has ended: drained ${drained}, forced ${forced}`,
  );
}

async function endOfInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
}

/** Answers with the process id; `/?ms=20` takes 20 ms, as real work would. */
async function handle(ctx: Context, request: Request): Promise<Response> {
  const ms = new URL(request.url).searchParams.get("ms");
  if (ms !== null) await sleep(ctx, Number(ms));
  return new Response(`process ${Deno.pid}\n`);
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(2);
}

const options = parseArgs(Deno.args, {
  boolean: ["worker"],
  string: ["port", "lame-duck", "grace"],
  default: { "port": "8000", "lame-duck": "500", "grace": "10000" },
  unknown: (arg) =>
    refuse(
      `unknown argument "${arg}"; there are --port, --lame-duck and --grace`,
    ),
});

/** Reads the number of a flag. */
function numberOf(flag: "port" | "lame-duck" | "grace", most: number): number {
  const text = options[flag];
  if (!/^\d+$/.test(text) || Number(text) > most) {
    refuse(`--${flag} must be a number from 0 to ${most}, got "${text}"`);
  }
  return Number(text);
}

/** An hour in ms. */
const hour = 3_600_000;
const flags = {
  port: numberOf("port", 65_535),
  /** Lame duck in ms: longer than clients pause between two requests. */
  lameDuck: numberOf("lame-duck", hour),
  /** Grace period in ms. */
  grace: numberOf("grace", hour),
};

if (import.meta.main) await main(options.worker ? serve : supervise);
