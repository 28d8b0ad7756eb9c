/**
 * Restarts a server without losing a request, even of clients that open a
 * connection for each one: the parent owns the listening socket, and the processes
 * that serve borrow it.
 *
 * - The plain way, `reusePort`, gives each process a listener and a queue of its
 *   own. Connections in the queue of the old process are reset when it closes its
 *   listener. See restart.ts.
 * - Here there is one socket with one queue. A process that stops closes its copy,
 *   and the next process accepts the connections that wait. Deno.serve cannot take
 *   over a socket, so this uses node:http in a node:cluster. The contexts and the
 *   two phases are those of serveHttp, so you can read here how they work:
 *   - draining: take no new connections, finish what is in flight, ask keep-alive
 *     clients to leave;
 *   - the end of the grace period: cancel the contexts and cut the connections.
 * - The price: a request costs about two and a half times the CPU that it costs
 *   with serveHttp. If clients keep their connections, restart.ts is better.
 *
 *     deno run -A examples/patterns/restart_shared_fd.ts --port 8000
 *     kill -HUP <its pid>     # a restart
 *     kill <its pid>          # the end
 *
 * Both times are in ms. `--lame-duck` (500) should be longer than clients pause
 * between two requests; `--grace` (10000) is for the requests in flight.
 *
 * @module
 */

import {
  background,
  cause,
  ClientGone,
  type Context,
  main,
  orDone,
  sleep,
  withCancel,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { parseArgs } from "@std/cli";
import cluster, { type Worker } from "node:cluster";
import { createServer, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import process from "node:process";

/** Time in ms that a new process has to start listening. */
const startTimeout = 30_000;

/** The parent: keeps one worker running, and replaces it at each SIGHUP. */
async function supervise(ctx: Context): Promise<void> {
  // The workers accept by themselves; no connection passes through the parent.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  let asked = Promise.withResolvers<void>();
  const ask = () => asked.resolve();
  // One listener from the start to the end: without one, SIGHUP kills.
  Deno.addSignalListener("SIGHUP", ask);
  let current = await ServerProcess.start(ctx);
  console.log(`${current} is listening on port ${current.port}`);
  try {
    for (;;) {
      await orDone(ctx, Promise.race([asked.promise, current.died]));
      asked = Promise.withResolvers();
      const next = await ServerProcess.start(ctx).catch((error) => {
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

/** A worker of the cluster, told to stop by a message. */
class ServerProcess {
  readonly port: number;
  /** Rejects when the worker has ended and was not told to. */
  readonly died: Promise<never>;
  readonly #worker: Worker;
  readonly #exited: Promise<unknown>;
  #ending = false;

  private constructor(worker: Worker, port: number, exited: Promise<unknown>) {
    this.#worker = worker;
    this.port = port;
    this.#exited = exited;
    this.died = exited.then((how) => {
      if (this.#ending) return new Promise(() => {});
      throw new Error(`${this} has died with ${how}`);
    });
    this.died.catch(() => {});
  }

  /** Starts one, and waits until it listens. */
  static async start(ctx: Context): Promise<ServerProcess> {
    const worker = cluster.fork();
    const listening = Promise.withResolvers<number>();
    const exited = Promise.withResolvers<unknown>();
    worker.once("listening", ({ port }) => listening.resolve(port));
    worker.once("exit", (code, signal) => {
      exited.resolve(signal ?? code);
      listening.reject(new Error("it has ended before it was ready"));
    });
    try {
      using step = withTimeout(ctx, startTimeout);
      const port = await orDone(step, listening.promise);
      return new ServerProcess(worker, port, exited.promise);
    } catch (error) {
      worker.process.kill("SIGKILL");
      await exited.promise;
      throw error;
    }
  }

  /** Tells it to stop, and waits until it has drained. */
  async end(): Promise<void> {
    this.#ending = true;
    if (this.#worker.isConnected()) this.#worker.send("stop");
    await this.#exited;
  }

  toString(): string {
    return `process ${this.#worker.process.pid}`;
  }
}

/** The worker: serves until a signal or the parent ends it. */
async function serve(parent: Context): Promise<void> {
  using ctx = withCancel(parent);
  // Requests outlive ctx, by the grace.
  using work = withCancel(withoutCancel(ctx));
  let inFlight = 0;
  let drained = 0;

  const server = createServer(async (request, response) => {
    using open = withCancel(work);
    response.once("close", () => open.cancel(new ClientGone()));
    inFlight++;
    try {
      const body = await handle(open, request.url ?? "/");
      answer(200, body, response);
    } catch (error) {
      if (error !== open.err) console.error(error);
      answer(500, "Internal Server Error\n", response);
    } finally {
      inFlight--;
      if (ctx.err !== undefined && work.err === undefined) drained++;
    }
  });
  function answer(status: number, body: string, to: ServerResponse): void {
    to.writeHead(status, {
      "content-length": body.length,
      // Asks the client to come back on a new connection, to the next worker.
      ...(ctx.err !== undefined && { connection: "close" }),
    });
    to.end(body);
  }

  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  server.listen(flags.port, "127.0.0.1");
  process.once(
    "message",
    () => ctx.cancel("the parent has no more use for it"),
  );
  // Where the parent has died: drain then too, and do not exit at once.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
  process.once("disconnect", () => ctx.cancel("the parent has died"));
  await ctx.done;

  // Not server.close(): it would also close idle connections, and with them the
  // requests that are on their way. This closes only this worker's listener, and
  // reports "close" once all connections have gone too.
  NetServer.prototype.close.call(server);
  if (!await within(flags.lameDuck, closed)) {
    server.closeIdleConnections();
    if (!await within(flags.grace, closed)) {
      work.cancel(new Error("the grace is over", { cause: cause(ctx) }));
    }
  }
  const forced = inFlight;
  server.closeAllConnections();
  console.error(
    `process ${process.pid} has ended: drained ${drained}, forced ${forced}`,
  );
}

/** Waits for a promise, but no longer than `ms`; says whether it has resolved. */
async function within(ms: number, promise: Promise<void>): Promise<boolean> {
  using limit = withTimeout(background(), ms);
  return await orDone(limit, promise).then(() => true, () => false);
}

/** Answers with the process id; `/?ms=20` takes 20 ms, as real work would. */
async function handle(ctx: Context, target: string): Promise<string> {
  const ms = new URL(target, "http://localhost").searchParams.get("ms");
  if (ms !== null) await sleep(ctx, Number(ms));
  return `process ${process.pid}\n`;
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(2);
}

const options = parseArgs(Deno.args, {
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

if (import.meta.main) await main(cluster.isPrimary ? supervise : serve);
