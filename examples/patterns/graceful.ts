/**
 * Shuts a server down gracefully: it answers the requests in flight, refuses new
 * connections, and cuts what is left when the grace period is over.
 *
 * - In Go: `server.Shutdown(ctx)` with a timeout, and `server.Close()` by hand when
 *   that returns an error. Until its connection is cut, a handler learns nothing,
 *   and nothing counts the requests that were answered or cut.
 * - Here: `shutdown` does both. Handlers learn from their ctx that the grace period
 *   is over, and why. The report says what became of the requests.
 * - The grace period can be shortened while it runs, never extended. This program
 *   does so once every request is answered that ever will be.
 *
 *     deno run --unstable-no-legacy-abort --allow-net=127.0.0.1 examples/patterns/graceful.ts
 *
 * ```text
 * server: listening on http://127.0.0.1:34297
 * main: shutdown, 2 requests are in flight
 * client: /late: the connection is refused
 * main: draining, 2 requests are still in flight
 * client: /work: 200 done
 * main: 3 seconds more for what is left
 * server: /endless is told: Error: serveHttp: the grace period of 3000 ms is over
 * client: /endless: 503 Service Unavailable
 * main: {
 *   cause: "a new version is out",
 *   drained: 1,
 *   refused: 0,
 *   forced: 1,
 *   forcedRequests: [ "GET /endless" ],
 *   lingering: [],
 *   duration: 5002
 * }
 * ```
 *
 * The port and the duration vary. Without --unstable-no-legacy-abort it does the
 * same, and Deno prints a line on stderr about what that flag changes.
 *
 * @module
 */

import {
  cause,
  type Context,
  main,
  orDone,
  serveHttp,
  sleep,
} from "@curfew/context";

const work = Promise.withResolvers<void>();
/** The promise that each path awaits before it answers. */
const paths: Record<string, Promise<void>> = {
  "/work": work.promise,
  "/endless": new Promise(() => {}),
};

async function serveAndEnd(ctx: Context): Promise<void> {
  const begun = new Map<string, () => void>();
  await using server = serveHttp(ctx, {
    hostname: "127.0.0.1",
    port: 0,
    grace: 60_000,
  }, async (ctx, { url }) => {
    const { pathname } = new URL(url);
    begun.get(pathname)?.();
    try {
      await orDone(ctx, paths[pathname] ?? Promise.resolve());
    } catch (error) {
      console.log(`server: ${pathname} is told: ${cause(ctx)}`);
      throw error;
    }
    return new Response("done");
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  console.log(`server: listening on ${url}`);

  /** Sends a client's request. Returns what became of it. */
  async function ask(path: string): Promise<string> {
    try {
      const reply = await fetch(url + path);
      return `client: ${path}: ${reply.status} ${(await reply.text()).trim()}`;
    } catch {
      return `client: ${path}: the connection is refused`;
    }
  }

  /** The same, after waiting for its handler to begin. */
  async function begin(path: string): Promise<{ answer: Promise<string> }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    begun.set(path, resolve);
    const answer = ask(path);
    await promise;
    return { answer };
  }

  const endless = await begin("/endless");
  const slow = await begin("/work");
  console.log(`main: shutdown, ${server.inFlight} requests are in flight`);
  server.shutdown({ cause: "a new version is out" });
  // It reads what has arrived already, for 3 ms, before it refuses connections.
  await sleep(ctx, 50);
  console.log(await ask("/late"));
  console.log(
    `main: ${server.state}, ${server.inFlight} requests are still in flight`,
  );
  await sleep(ctx, 2 * second);
  work.resolve();
  console.log(await slow.answer);
  console.log("main: 3 seconds more for what is left");
  const finished = server.shutdown({ grace: 3 * second });
  console.log(await endless.answer);
  const report = await finished;
  console.log("main:", { ...report, duration: Math.round(report.duration) });
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** Length of a second in ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(serveAndEnd);
