// Run with --v8-flags=--expose-gc: sends as many requests to a server as it is
// told, in ten parts, and prints the heap after a collection after each.
import {
  background,
  requestContext,
  serveHttp,
  withCancel,
  withTimeout,
} from "../../../mod.ts";
import { load } from "../../bench/http_load.ts";
import process from "node:process";

const { gc } = globalThis as unknown as { gc: () => void };
const requests = Number(Deno.args[0]);

// With a deadline, as no server would have it: the dearest there is.
const ctx = withTimeout(withCancel(background()), 3_600_000);
let served = 0;
const server = serveHttp(
  ctx,
  { hostname: "127.0.0.1", port: 0, requestTimeout: 60_000 },
  async (ctx, request) => {
    using step = withTimeout(requestContext(request), 1000);
    // Each touches something else.
    if (++served % 100 === 0) await Promise.resolve();
    const { aborted } = served % 2 === 0 ? ctx.signal : step.signal;
    return new Response(aborted ? "gone " : "hello");
  },
);
const { port } = server.addr as Deno.NetAddr;

const heaps: number[] = [];
for (let part = 0; part < 10; part++) {
  await load(port, requests / 10);
  gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
  gc();
  heaps.push(process.memoryUsage().heapUsed);
}
console.log(JSON.stringify({ served, inFlight: server.inFlight, heaps }));
// Deno 2.9.6 now and then crashes when it tears down what it has.
Deno.exit();
