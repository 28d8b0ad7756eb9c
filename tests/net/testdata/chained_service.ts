// One service of a chain. Prints a line of JSON for each event of a request.
// Argument: the port of the next service; or "hang" or "fail", for the last one.

import {
  afterFunc,
  cause,
  type Context,
  main,
  remaining,
  requestInit,
  retry,
  serveHttp,
  sleep,
} from "@curfew/context";

const [next] = Deno.args;

function print(line: object): void {
  console.log(JSON.stringify(line));
}

/** Calls the next service, again and again if it fails. */
function call(ctx: Context): Promise<Response> {
  return retry(ctx, async (ctx) => {
    const init = requestInit(ctx, {}, { deadlineHeader: "grpc-timeout" });
    const reply = await fetch(`http://127.0.0.1:${next}/`, init);
    const text = await reply.text();
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    return new Response(text);
  }, { attempts: Infinity, backoff: { first: 20 } });
}

await main((ctx) => {
  const options = {
    hostname: "127.0.0.1",
    port: 0,
    deadlineHeaders: ["grpc-timeout"],
    requestTimeout: 60_000,
    onError: () => {},
  };
  const server = serveHttp(ctx, options, async (ctx) => {
    print({ left: remaining(ctx) });
    if (next === "fail") return new Response(null, { status: 503 });
    afterFunc(ctx, () => {
      const why = cause(ctx);
      const name = why instanceof Error ? why.name : String(why);
      print({ ended: ctx.err?.name, cause: name, at: Date.now() });
    });
    await sleep(ctx, 5); // work of its own
    if (next !== "hang") return await call(ctx);
    await ctx.done;
    throw ctx.err;
  });
  print({ port: server.addr.port });
});
