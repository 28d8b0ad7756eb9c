// Run with few file descriptors: takes all of them, so that the server cannot
// accept, and prints what becomes of it and of a request in flight.
import { background, serveHttp } from "../../../mod.ts";

const entered = Promise.withResolvers<void>();
const server = serveHttp(
  background(),
  {
    hostname: "127.0.0.1",
    port: 0,
    grace: 5,
    onListen() {},
    onError: (error) => console.log(`reported: ${error}`),
  },
  () => {
    entered.resolve();
    return new Promise(() => {});
  },
);
const { hostname, port } = server.addr as Deno.NetAddr;
using client = await Deno.connect({ hostname, port });
await client.write(
  new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
);
await entered.promise;
const taken: Deno.FsFile[] = [];
try {
  for (;;) taken.push(Deno.openSync("/dev/null"));
} catch {
  // None is left. One for the client:
  taken.pop()!.close();
}
// The end of the listener resets it, connected or not.
const attempt = Deno.connect({ hostname, port }).then(
  (conn) => conn.close(),
  () => {},
);
const { cause, forced } = await server.finished;
for (const file of taken) file.close();
await attempt;
console.log(`forced: ${forced}`);
console.log(`${cause}, because of ${(cause as Error).cause}`);
