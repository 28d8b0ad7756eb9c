/**
 * Values and cancellation of a request, across two servers: values come down from
 * the server and the connection, and when the client leaves, the work for it ends,
 * on the next server too. Nothing above the request is affected.
 *
 *     client -> front -> backend
 *
 * - In Go: `BaseContext` and `ConnContext` of `http.Server` add values to what
 *   `r.Context()` gives; `http.NewRequestWithContext` hands it on.
 * - Here: the server's context brings its values, `onRequest` adds those of a
 *   request, and the addresses are there. `fetch` with `ctx.signal` passes the end
 *   on, with the cause `ClientGone`. Code that is given only the request, as in a
 *   framework, finds its context with `requestContext`.
 *
 *     deno run --unstable-no-legacy-abort --allow-net=127.0.0.1 examples/patterns/request_chain.ts
 *
 * ```text
 * front: /report for ada in the tea shop, from 127.0.0.1:39532 to 127.0.0.1:35313
 * backend: /report begins
 * ada: goes away
 * front: /report ends, ClientGone: the client has closed the connection
 * backend: /report ends, ClientGone: the client has closed the connection
 * front: /stock for bob in the tea shop, from 127.0.0.1:39534 to 127.0.0.1:35313
 * backend: /stock begins
 * bob: 200 3 left
 * main: both servers serve: true
 * ```
 *
 * The ports vary. Without --unstable-no-legacy-abort it does the same, and Deno warns
 * on stderr about what that flag changes.
 *
 * @module
 */

import {
  cause,
  type Context,
  createKey,
  type HttpHandler,
  type HttpServer,
  localAddrKey,
  main,
  remoteAddrKey,
  requestContext,
  serveHttp,
  sleep,
  withCancel,
  withValue,
} from "@curfew/context";

const shopKey = createKey<string>("shop");
const userKey = createKey<string>("user");

/** Answers /stock at once; any other path takes until its client leaves. */
const backend: HttpHandler = async (ctx, request) => {
  const { pathname } = new URL(request.url);
  console.log(`backend: ${pathname} begins`);
  begun.resolve();
  if (pathname === "/stock") return new Response("3 left");
  await sleep(ctx, Infinity).finally(() => {
    console.log(`backend: ${pathname} ends, ${cause(ctx)}`);
    ended.resolve();
  });
  return new Response("never");
};
const begun = Promise.withResolvers<void>();
const ended = Promise.withResolvers<void>();

/** Is given only the request. */
async function front(request: Request, next: string): Promise<Response> {
  const ctx = requestContext(request);
  const { pathname } = new URL(request.url);
  const who = `${ctx.value(userKey)} in the ${ctx.value(shopKey)} shop`;
  console.log(
    `front: ${pathname} for ${who}, ` +
      `from ${at(ctx.value(remoteAddrKey))} to ${at(ctx.value(localAddrKey))}`,
  );
  try {
    const reply = await fetch(next + pathname, { signal: ctx.signal });
    return new Response(await reply.text());
  } catch (error) {
    console.log(`front: ${pathname} ends, ${cause(ctx)}`);
    throw error;
  }
}

function at(addr: Deno.Addr | undefined): string {
  const { hostname, port } = addr as Deno.NetAddr;
  return `${hostname}:${port}`;
}

async function visit(parent: Context): Promise<void> {
  const listen = { hostname: "127.0.0.1", port: 0 };
  const url = (server: HttpServer) => `http://${at(server.addr)}`;
  await using behind = serveHttp(parent, listen, backend);
  await using ahead = serveHttp(withValue(parent, shopKey, "tea"), {
    ...listen,
    onRequest: (ctx, { headers }) =>
      withValue(ctx, userKey, headers.get("user") ?? "nobody"),
  }, (_ctx, request) => front(request, url(behind)));

  using ada = withCancel(parent);
  const report = fetch(`${url(ahead)}/report`, {
    signal: ada.signal,
    headers: { user: "ada" },
  });
  report.catch(() => {});
  await begun.promise;
  console.log("ada: goes away");
  ada.cancel();
  await ended.promise;

  const headers = { user: "bob" };
  const reply = await fetch(`${url(ahead)}/stock`, { headers });
  console.log(`bob: ${reply.status} ${await reply.text()}`);
  console.log(`main: both servers serve: ${ahead.ready && behind.ready}`);
}

// Nothing here waits for a time, so --fast changes nothing.
const odd = Deno.args.find((arg) => arg !== "--fast");
if (odd !== undefined) {
  console.error(`unknown argument "${odd}"; there is only --fast`);
  Deno.exit(2);
}

await main(visit);
