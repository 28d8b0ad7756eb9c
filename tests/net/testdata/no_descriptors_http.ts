// Run with few file descriptors, with "recover" or "give up": takes all of them,
// so that Deno stops listening. Prints the reports and how the server goes on.
import { background, serveHttp } from "../../../mod.ts";
import { realTimers } from "../../../net/real_timers.ts";

const { setTimeout } = realTimers;
// Pauses of 5 ms to 1 s become ones of 0 to 10 ms.
realTimers.setTimeout =
  ((f: () => void, ms = 0) => setTimeout(f, ms / 100)) as typeof setTimeout;

const wanted = Deno.args[0];
const hostname = "127.0.0.1";
const inFlight = Promise.withResolvers<void>();
const entered = Promise.withResolvers<void>();
const server = serveHttp(
  background(),
  {
    hostname,
    port: 0,
    onError: (error) => console.log(`reported: ${error}`),
  },
  async (_ctx, request) => {
    if (!request.url.endsWith("/early")) return new Response("served again");
    entered.resolve();
    await inFlight.promise;
    return new Response("in flight");
  },
);
const { port } = server.addr;
const url = `http://${hostname}:${port}`;
const early = fetch(`${url}/early`);
await entered.promise;

const taken: Deno.FsFile[] = [];
try {
  for (;;) taken.push(Deno.openSync("/dev/null"));
} catch {
  // None is left. One for the client:
  taken.pop()!.close();
}
// Deno cannot accept it, stops listening and so resets it.
await Deno.connect({ hostname, port }).then((conn) => conn.close(), () => {});

if (wanted === "give up") {
  for (const file of taken) file.close();
  const other = Deno.listen({ hostname, port });
  inFlight.resolve();
  const error = await server.finished.catch((error) => error);
  console.log(`rejected: ${error}`);
  console.log(`cause: ${error.cause.name}`);
  other.close();
} else {
  // Some attempts to listen again fail for want of descriptors as well.
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const file of taken) file.close();
  for (;;) {
    try {
      console.log(await (await fetch(url)).text());
      break;
    } catch {
      // Not yet.
    }
  }
  inFlight.resolve();
  await server.shutdown();
}
console.log(await (await early).text());
