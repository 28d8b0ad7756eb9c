/**
 * A server and a task that watches for signals, side by side: when one of them
 * ends, so does the other.
 *
 * - In Go: an `errgroup` of three goroutines: one for `ListenAndServe`, one for
 *   `signal.Notify` and a `select`, and one that waits for the group's ctx to call
 *   `server.Shutdown`. Each returns an error to end the others.
 * - Here: a `group` of two, because the server shuts itself down with its context.
 *   `notifyContext` restores the signals when it ends, so that a second Ctrl-C has
 *   its usual effect. A program that does nothing else uses `main`.
 * - `wait` rejects with the first error: which of the two ended it, and why.
 *
 *     deno run --allow-net=127.0.0.1 examples/patterns/signals_and_server.ts
 *
 * ```text
 * server: listening on http://127.0.0.1:46031
 * client: /hello says hello
 * client: asks for /quit
 * server: ended, a client asked for /quit
 * signals: ended, Error: the server has ended, a client asked for /quit
 * main: ended by: Error: the server has ended, a client asked for /quit
 * ```
 *
 * The port varies. Press Ctrl-C in the meantime to end it the other way round. With
 * `--until-signal` there is no client, so that is the only way.
 *
 * @module
 */

import {
  background,
  cause,
  type Context,
  group,
  notifyContext,
  serveHttp,
  sleep,
} from "@curfew/context";

/** Serves until ctx is done, or a client asks for /quit. */
async function serve(
  ctx: Context,
  listening: (url: string) => void,
): Promise<never> {
  await using server = serveHttp(ctx, {
    hostname: "127.0.0.1",
    port: 0,
    onListen: (addr) => listening(`http://127.0.0.1:${addr.port}`),
  }, (_ctx, { url }) => {
    if (new URL(url).pathname !== "/quit") return new Response("hello");
    server.shutdown({ cause: "a client asked for /quit" });
    return new Response("bye");
  });
  const report = await server.finished;
  console.log(`server: ended, ${report.cause}`);
  throw new Error(`the server has ended, ${report.cause}`);
}

/** Waits for a signal until ctx is done. */
async function watchSignals(ctx: Context): Promise<never> {
  using signal = notifyContext(ctx, "SIGINT", "SIGTERM");
  await signal.done;
  console.log(`signals: ended, ${cause(signal)}`);
  throw cause(signal);
}

/** A client, with time for Ctrl-C between its two requests. */
async function visit(ctx: Context, url: string): Promise<void> {
  const reply = await fetch(`${url}/hello`, { signal: ctx.signal });
  console.log(`client: /hello says ${await reply.text()}`);
  await sleep(ctx, 5 * second);
  console.log("client: asks for /quit");
  // Without ctx: that may be done before the answer has come.
  await (await fetch(`${url}/quit`)).text();
}

const odd = Deno.args.find((arg) =>
  arg !== "--fast" && arg !== "--until-signal"
);
if (odd !== undefined) {
  console.error(
    `unknown argument "${odd}"; there are --fast and --until-signal`,
  );
  Deno.exit(2);
}
/** Pace of the client, in ms. */
const second = Deno.args.includes("--fast") ? 20 : 1_000;

await using tasks = group(background());
tasks.go(watchSignals);
tasks.go((ctx) =>
  serve(ctx, (url) => {
    console.log(`server: listening on ${url}`);
    if (Deno.args.includes("--until-signal")) return;
    tasks.go((ctx) => visit(ctx, url));
  })
);
await tasks.wait().catch((error) => console.log(`main: ended by: ${error}`));
