// A server for the rolling restart, "curfew" or "plain": PORT in the environment,
// SIGTERM shuts it down. Answers with the length of the request's body; /slow takes
// SLOW_MS.
import { main, serveHttp } from "../../../mod.ts";

const hostname = "127.0.0.1";
const port = Number(Deno.env.get("PORT"));
const slow = Number(Deno.env.get("SLOW_MS"));
let isLeaving = false;

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/ready") {
    return new Response(null, { status: isLeaving ? 503 : 200 });
  }
  const { length } = await request.text();
  if (pathname === "/slow") {
    await new Promise((resolve) => setTimeout(resolve, slow));
  }
  return new Response(`${length} bytes\n`);
}

if (Deno.args[0] === "curfew") {
  await main((ctx) => {
    ctx.signal.addEventListener("abort", () => isLeaving = true);
    serveHttp(ctx, { hostname, port }, (_ctx, request) => answer(request));
  });
} else {
  const server = Deno.serve({ hostname, port, onListen() {} }, answer);
  Deno.addSignalListener("SIGTERM", () => {
    isLeaving = true;
    server.shutdown();
  });
  await server.finished;
  // The signal listener is still there.
  Deno.exit(0);
}
