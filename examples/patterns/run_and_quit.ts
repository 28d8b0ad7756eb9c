/**
 * Lets a request shut its server down and nothing else: `run(ctx)` ends with a
 * context of its own, or with its caller's.
 *
 * - In Go: `run` derives `ctx, cancel := context.WithCancel(ctx)`, the handler of
 *   /quit calls `cancel`, and a goroutine waits for `<-ctx.Done()` to call
 *   `server.Shutdown`. It is easy to forget to wait for that goroutine, and then
 *   the answer to /quit is lost.
 * - Here: the server is given the local ctx and ends with it, after the answer to
 *   /quit has been sent; `run` returns what it has to report. The caller's context
 *   stays open: it can run another server, as it does below.
 *
 *     deno run --allow-net=127.0.0.1 examples/patterns/run_and_quit.ts
 *
 * ```text
 * server: listening on http://127.0.0.1:45717
 * client: /api says 42
 * client: /quit says bye
 * server: ended, somebody asked for /quit; requests cut: 0
 * main: my own context is open, I run another
 * server: listening on http://127.0.0.1:37445
 * client: /api says 42
 * server: ended, main has ended it; requests cut: 0
 * main: my own context is done, AbortError: context canceled
 * ```
 *
 * The ports vary.
 *
 * @module
 */

import {
  type Context,
  main,
  serveHttp,
  type ShutdownReport,
  withCancel,
} from "@curfew/context";

/** Serves until the caller's context is done, or a client requests /quit. */
async function run(
  parent: Context,
  listening: (url: string) => void,
): Promise<ShutdownReport> {
  using ctx = withCancel(parent);
  const routes: Record<string, () => Response> = {
    "/api": () => new Response("42"),
    "/quit": () => {
      ctx.cancel("somebody asked for /quit");
      return new Response("bye");
    },
  };
  await using server = serveHttp(ctx, {
    hostname: "127.0.0.1",
    port: 0,
    onListen: (addr) => listening(`http://127.0.0.1:${addr.port}`),
  }, (_ctx, { url }) => {
    const route = routes[new URL(url).pathname];
    return route?.() ?? new Response("not found", { status: 404 });
  });
  return await server.finished;
}

/** Runs a server, and calls `client` with its address. */
async function runWith(
  ctx: Context,
  client: (url: string) => unknown,
): Promise<void> {
  const listening = Promise.withResolvers<string>();
  const running = run(ctx, listening.resolve);
  const url = await listening.promise;
  console.log(`server: listening on ${url}`);
  await client(url);
  const { cause, forced } = await running;
  console.log(`server: ended, ${cause}; requests cut: ${forced}`);
}

async function get(url: string): Promise<void> {
  const reply = await fetch(url);
  console.log(`client: ${new URL(url).pathname} says ${await reply.text()}`);
}

async function runTwice(parent: Context): Promise<void> {
  using ctx = withCancel(parent);
  await runWith(ctx, async (url) => {
    await get(`${url}/api`);
    await get(`${url}/quit`);
  });
  console.log(`main: my own context is ${ctx.err ?? "open"}, I run another`);

  await runWith(ctx, async (url) => {
    await get(`${url}/api`);
    ctx.cancel("main has ended it");
  });
  console.log(`main: my own context is done, ${ctx.err}`);
}

// Nothing here takes a time, so --fast has nothing to change.
const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}

await main(runTwice);
