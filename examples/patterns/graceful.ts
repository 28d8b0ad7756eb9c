/**
 * What a graceful end of a server is: what is in flight is answered, what is new
 * is refused, and what has not ended when the grace is over is cut.
 *
 * - In Go: `server.Shutdown(ctx)` with a timeout, and `server.Close()` by hand when
 *   that has returned an error. Until its connection is cut a handler is told
 *   nothing, and nobody counts what was still answered and what was cut.
 * - Here: `shutdown` is both moments. Handlers learn of the hard one by their ctx,
 *   and why. New requests get 503, as long as others are in flight. The report
 *   says what has come of it all.
 * - The grace can be shortened while it runs, never prolonged: a second `shutdown`
 *   with less counts. Main uses that once all is answered that ever will be.
 *
 *     deno run --unstable-no-legacy-abort --allow-net=127.0.0.1 examples/patterns/graceful.ts
 *
 * ```text
 * server: listening on http://127.0.0.1:34297
 * main: shutdown, 2 requests are in flight
 * server: draining
 * client: /late: 503 Service Unavailable
 * main: 2 requests are still in flight
 * client: /work: 200 done
 * main: 3 seconds more for what is left
 * server: /endless is told: Error: serveHttp: the grace of 3000 ms is over
 * server: closed
 * client: /endless: no answer, the connection was cut
 * main: {
 *   cause: "a new version is out",
 *   drained: 1,
 *   refused: 1,
 *   forced: 1,
 *   forcedRequests: [ "GET /endless" ],
 *   duration: 5002
 * }
 * ```
 *
 * The port and the duration vary. Without --unstable-no-legacy-abort it does the
 * same, and Deno has a word on stderr about what that flag changes.
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
/** What has to be over before there is an answer. */
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
    onStateChange: (state) => console.log(`server: ${state}`),
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
  const url = `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}`;
  console.log(`server: listening on ${url}`);

  /** A client's request, and what has come of it. */
  async function ask(path: string): Promise<string> {
    try {
      const reply = await fetch(url + path);
      return `client: ${path}: ${reply.status} ${(await reply.text()).trim()}`;
    } catch {
      return `client: ${path}: no answer, the connection was cut`;
    }
  }

  /** The same, once its handler has begun. */
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
  server.shutdown("a new version is out");
  console.log(await ask("/late"));
  console.log(`main: ${server.inFlight} requests are still in flight`);
  await sleep(ctx, 2 * second);
  work.resolve();
  console.log(await slow.answer);
  console.log("main: 3 seconds more for what is left");
  const report = await server.shutdown({ grace: 3 * second });
  console.log(await endless.answer);
  console.log("main:", { ...report, duration: Math.round(report.duration) });
}

const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}
/** In ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await main(serveAndEnd);
